//! As workflow commands: GitHub shows each finding at its line of a pull request.
//!
//! <https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions>

use super::place::Files;
use super::visible;
use crate::diagnostic::{Diagnostic, Severity, Sources};
use std::fmt::Write;

/// `::error file=…,line=…,endLine=…,col=…,endColumn=…,title=G2001::message`, one line for each finding.
pub fn github(diagnostics: &[Diagnostic], sources: &dyn Sources) -> String {
    let mut files = Files::new(sources);
    let mut out = String::new();
    for d in diagnostics {
        let (path, start, end) = files.place(d.primary.loc);
        let command = match d.severity {
            Severity::Info => "notice",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let _ = write!(out, "::{command} file={},line={},endLine={}", property(path), start.line, end.line);
        // Columns are only understood within one line.
        if start.line == end.line {
            let _ = write!(out, ",col={},endColumn={}", start.column, end.column.max(start.column));
        }
        let _ = writeln!(out, ",title={}::{}", property(d.code), data(&text(d)));
    }
    out
}

/// The message, and below it what else is known.
fn text(d: &Diagnostic) -> String {
    let mut out = visible(&d.message);
    for help in &d.help {
        let paste = if help.paste.is_empty() { String::new() } else { format!(": {}", help.paste) };
        let _ = write!(out, "\nhelp: {}{paste}", help.text);
    }
    for note in &d.notes {
        let _ = write!(out, "\nnote: {note}");
    }
    if let Some(witness) = &d.witness {
        let _ = write!(out, "\nwitness: {witness}");
    }
    out
}

/// What would end or change the command, as the runner reads it back.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
