//! Diagnostics as people and tools read them.
//!
//! Every renderer is total: a span past the end of its file, inside a character, or in a file that
//! nobody knows gives the nearest sensible place, never a panic.

mod concise;
mod full;
mod github;
mod json;
mod place;
mod sarif;

pub use concise::concise;
pub use full::full;
pub use github::github;
pub use json::json;
pub use sarif::sarif;

use super::{Diagnostic, Severity};
use std::collections::BTreeSet;

impl Severity {
    /// `error`, `warning`, `info`.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// `2 errors, 1 warning in 3 files`, without a full stop.
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    let kinds = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "hint")];
    let said: Vec<String> = kinds
        .iter()
        .map(|(severity, word)| (count(*severity), word))
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| plural(n, word))
        .collect();
    if said.is_empty() {
        return "nothing to report".to_owned();
    }
    let files: BTreeSet<_> = diagnostics.iter().map(|d| d.primary.loc.file).collect();
    format!("{} in {}", said.join(", "), plural(files.len(), "file"))
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// Control characters of the user's text, made visible: a file must not drive the terminal.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
