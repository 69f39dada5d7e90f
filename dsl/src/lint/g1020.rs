//! ## What
//!
//! A policy stands below a route of its block.
//!
//! ## Why
//!
//! Statements run as written, so a reader takes the route above it for unprotected. Policies come first, then routes.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     else -> respond 200 "in"
//!     require client.ip in [10.0.0.0/8] else deny
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     require client.ip in [10.0.0.0/8] else deny
//!     else -> respond 200 "in"
//! }
//! ```

use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};

/// `word` is the statement's name, `first` the first route above it, `text` the file's text.
pub(crate) fn below(loc: Loc, word: &str, first: Loc, text: &str) -> Diagnostic {
    let d = Diagnostic::error(
        "G1020",
        loc,
        format!("policies come before routes in a block; this {word} would not protect the routes above it"),
    )
    .label(first, "this route stands above it");
    let (Some(stmt), Some(between)) =
        (text.get(loc.span.range()), text.get(first.span.start as usize..loc.span.start as usize))
    else {
        return d.help("move it above the first route", "", None);
    };
    let start = text[..first.span.start as usize].rfind('\n').map_or(0, |n| n + 1);
    let indent = &text[start..first.span.start as usize];
    let indent = if indent.trim().is_empty() { indent } else { "" };
    let edit = Edit {
        loc: Loc { file: loc.file, span: Span { start: first.span.start, end: loc.span.end } },
        text: format!("{stmt}\n{indent}{}", between.trim_end()),
        safe: true,
    };
    d.help("move it above the first route", stmt, Some(edit))
}
