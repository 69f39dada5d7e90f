//! What a reload did, for the console and for the commands that load once.

use super::load::Replaced;
use crate::console::printable;
use dsl::diagnostic::{Diagnostic, Severity, Sources};
use dsl::syntax::span::{FileId, Loc};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Texts behind file numbers, with the paths to show.
#[derive(Debug, Default)]
pub struct Texts {
    texts: HashMap<FileId, (String, Arc<str>)>,
}

impl Texts {
    /// Adds one.
    pub fn insert(&mut self, file: FileId, path: String, text: Arc<str>) {
        self.texts.insert(file, (path, text));
    }

    /// Whether it is there.
    pub fn contains(&self, file: FileId) -> bool {
        self.texts.contains_key(&file)
    }

    /// `sites/a.route:3` for a place.
    pub fn line(&self, loc: Loc) -> String {
        match self.source(loc.file) {
            Some((path, text)) => format!("{path}:{}", line_of(text, loc.span.start)),
            None => "?".into(),
        }
    }
}

impl Sources for Texts {
    fn source(&self, file: FileId) -> Option<(&str, &str)> {
        match self.texts.get(&file) {
            Some((path, text)) => Some((path, text)),
            None => dsl::stdlib::source(file),
        }
    }
}

/// The same for many places of the same texts: each text is counted through once.
#[derive(Debug)]
pub struct Lines {
    texts: Texts,
    /// Where the lines of a text begin.
    begins: RefCell<HashMap<FileId, Vec<u32>>>,
}

impl Lines {
    /// Of these texts, and the standard library's.
    pub fn new(texts: Texts) -> Self {
        Self { texts, begins: RefCell::default() }
    }

    /// `sites/a.route:3` for a place.
    pub fn line(&self, loc: Loc) -> String {
        let Some((path, text)) = self.texts.source(loc.file) else { return "?".into() };
        let mut begins = self.begins.borrow_mut();
        let begins = begins.entry(loc.file).or_insert_with(|| {
            let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            ends.filter_map(|(at, _)| u32::try_from(at + 1).ok()).collect()
        });
        format!("{path}:{}", begins.partition_point(|begin| *begin <= loc.span.start) + 1)
    }
}

/// The line of a byte, from 1.
pub fn line_of(text: &str, at: u32) -> usize {
    let end = (at as usize).min(text.len());
    text.as_bytes()[..end].iter().filter(|b| **b == b'\n').count() + 1
}

/// Why a file's newest version does not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where its first error is: `sites/a.route:7`.
    pub place: String,
    /// The error's code; none where the file could not be read.
    pub code: &'static str,
    /// The error's words.
    pub message: String,
}

impl Refused {
    /// By the first error among findings.
    pub fn by(findings: &[Diagnostic], texts: &Texts) -> Option<Self> {
        let error = findings.iter().find(|d| d.severity == Severity::Error)?;
        Some(Self { place: texts.line(error.primary.loc), code: error.code, message: error.message.clone() })
    }
}

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is new, and serves.
    Added,
    /// It changed, and the change serves.
    Changed,
    /// It did not change, but what it imports did.
    Recompiled,
    /// It is gone.
    Removed,
    /// A file of rows changed, and so many serve. No route file was touched for it.
    Rows(usize),
    /// What it says now does not serve.
    Refused {
        /// Why.
        why: Refused,
        /// Whether its last good version serves instead.
        kept: bool,
    },
}

/// What a reload did.
#[derive(Debug, Default)]
pub struct Report {
    /// File by file, by the path to show.
    pub events: Vec<(String, Event)>,
    /// What was found in files that were compiled, by file, in the order of their paths.
    pub findings: Vec<Diagnostic>,
    /// Which pools the files that were compiled declare and name.
    pub pools: Vec<dsl::lint::Pools>,
    /// Warnings that are not about a file's text.
    pub warnings: Vec<String>,
    /// The texts that the findings speak of.
    pub texts: Texts,
    /// What served before it.
    pub replaced: Replaced,
}

impl Report {
    /// Whether nothing happened that anybody wants to know.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.warnings.is_empty()
    }

    /// Files that were refused, and why.
    pub fn refused(&self) -> impl Iterator<Item = (&str, &Refused, bool)> {
        self.events.iter().filter_map(|(path, event)| match event {
            Event::Refused { why, kept } => Some((path.as_str(), why, *kept)),
            Event::Added | Event::Changed | Event::Recompiled | Event::Removed | Event::Rows(_) => None,
        })
    }

    /// How many findings are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|d| d.severity == severity).count()
    }

    /// What changed and what was refused, in one line.
    pub fn line(&self) -> String {
        let named = |wanted: &[Event]| -> Vec<&str> {
            self.events.iter().filter(|(_, e)| wanted.contains(e)).map(|(path, _)| path.as_str()).collect()
        };
        let mut parts = Vec::new();
        for (what, event) in [
            ("added", Event::Added),
            ("changed", Event::Changed),
            ("removed", Event::Removed),
            ("recompiled", Event::Recompiled),
        ] {
            let names = named(&[event]);
            if !names.is_empty() {
                parts.push(format!("{what} {}", list(&names)));
            }
        }
        let rows = self.events.iter().filter_map(|(path, event)| match event {
            Event::Rows(count) => Some(format!("{path} ({count} rows)")),
            _ => None,
        });
        let rows: Vec<String> = rows.collect();
        if !rows.is_empty() {
            parts.push(format!("rows of {}", list(&rows.iter().map(String::as_str).collect::<Vec<_>>())));
        }
        let refused: Vec<String> = self
            .refused()
            .map(|(path, why, kept)| {
                let code = if why.code.is_empty() { String::new() } else { format!(" {}", why.code) };
                let kept = match kept {
                    true if !path.ends_with(".route") => " (the rows before it stay)",
                    true => " (its last good version serves)",
                    false => "",
                };
                format!("{}{code} {}{kept}", why.place, why.message)
            })
            .collect();
        if !refused.is_empty() {
            let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
            parts.push(format!("refused {}", list(&refused)));
        }
        parts.join("; ")
    }
}

/// A few names, and how many there are beside them.
fn list(names: &[&str]) -> String {
    const FEW: usize = 5;
    let mut out = names[..names.len().min(FEW)].iter().map(|n| printable(n)).collect::<Vec<_>>().join(", ");
    if names.len() > FEW {
        out.push_str(&format!(" and {} more", names.len() - FEW));
    }
    out
}
