//! One line each, for editors and `grep`.

use super::place::Files;
use super::visible;
use crate::diagnostic::{Diagnostic, Sources};
use std::fmt::Write;

/// `path:line:col: error[G1002]: message`, one line for each finding.
pub fn concise(diagnostics: &[Diagnostic], sources: &dyn Sources) -> String {
    let mut files = Files::new(sources);
    let mut out = String::new();
    for d in diagnostics {
        let (path, at, _) = files.place(d.primary.loc);
        let _ = writeln!(
            out,
            "{path}:{}:{}: {}[{}]: {}",
            at.line,
            at.column,
            d.severity.word(),
            d.code,
            visible(&d.message)
        );
    }
    out
}
