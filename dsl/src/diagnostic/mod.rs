//! Findings about route files: one type, several renderers.
//!
//! Style of the texts: no capital first, no full stop last, the user's own text in backticks, no
//! Rust type names, no line breaks; the message stands alone, help says what to type.

pub mod render;

use crate::syntax::span::{FileId, Loc};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// A hint.
    Info,
    /// Fails under `--deny warnings`.
    Warning,
    /// The file does not load.
    Error,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// `G1001`; stable for ever.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// The place it is said of.
    pub primary: Label,
    /// Other places that matter.
    pub labels: Vec<Label>,
    /// Facts worth knowing.
    pub notes: Vec<String>,
    /// What to type.
    pub help: Vec<Help>,
    /// A request that shows it, where the finding speaks of routing. It was replayed through the
    /// compiled program before the finding was made.
    pub witness: Option<String>,
    /// It rests on a condition that the analysis cannot see into, and no request shows it (LANGUAGE rule 31):
    /// never an error.
    pub possibly: bool,
}

/// A place with a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub loc: Loc,
    /// What about it; may be empty.
    pub text: String,
}

/// What to type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// Why, or what for: `did you mean`, `add`.
    pub text: String,
    /// The text to paste; empty when `text` says all.
    pub paste: String,
    /// The edit that does it, where there is exactly one.
    pub edit: Option<Edit>,
}

/// A replacement in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; empty to insert.
    pub loc: Loc,
    /// With what.
    pub text: String,
    /// Whether it keeps the meaning that its author can have had in mind (`--fix`).
    pub safe: bool,
}

/// The texts behind the file numbers.
pub trait Sources {
    /// The path to show and the text, or `None` for a number that was never given out.
    fn source(&self, file: FileId) -> Option<(&str, &str)>;
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, loc: Loc, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, loc, message)
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, loc: Loc, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, loc, message)
    }

    /// A hint at a place.
    pub fn hint(code: &'static str, loc: Loc, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Info, loc, message)
    }

    fn new(code: &'static str, severity: Severity, loc: Loc, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            message: message.into(),
            primary: Label { loc, text: String::new() },
            labels: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
            witness: None,
            possibly: false,
        }
    }

    /// With words at its primary place.
    #[must_use]
    pub fn at(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// With another place.
    #[must_use]
    pub fn label(mut self, loc: Loc, text: impl Into<String>) -> Self {
        self.labels.push(Label { loc, text: text.into() });
        self
    }

    /// With a fact.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// With advice to paste; `edit` where there is exactly one place for it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>, paste: impl Into<String>, edit: Option<Edit>) -> Self {
        self.help.push(Help { text: text.into(), paste: paste.into(), edit });
        self
    }

    /// With the request that shows it.
    #[must_use]
    pub fn witness(mut self, request: impl Into<String>) -> Self {
        self.witness = Some(request.into());
        self
    }

    /// As something that no request shows, for it rests on these conditions, which cannot be seen into.
    #[must_use]
    pub fn possibly(mut self, opaque: &[String]) -> Self {
        self.possibly = true;
        self.severity = self.severity.min(Severity::Warning);
        self.message = format!("possibly: {}", self.message);
        let shown: Vec<String> = opaque.iter().map(|one| format!("`{one}`")).collect();
        let rests = if shown.is_empty() { "what".to_owned() } else { format!("{}, which", shown.join(" and ")) };
        self.note(format!("this rests on {rests} the analysis cannot see into; no request shows it"))
    }
}
