//! ## What
//!
//! A file is not written as `sluice fmt` writes it.
//!
//! ## Why
//!
//! There is one way to write a file, so that differences between versions are differences in meaning.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!   /x -> respond 200
//!   else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /x   -> respond 200
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{FileId, Loc, Span};

/// Looks at a text.
#[must_use]
pub fn unformatted(file: FileId, text: &str) -> Option<Diagnostic> {
    let formatted = crate::fmt::format(text);
    if formatted == text {
        return None;
    }
    // The first line that would change.
    let same: usize = text.split_inclusive('\n').zip(formatted.split_inclusive('\n')).take_while(|(a, b)| a == b).map(|(a, _)| a.len()).sum();
    let line = text[same..].find('\n').map_or(text.len(), |n| same + n);
    let loc = Loc { file, span: Span::new(same, line) };
    let edit = Edit { loc: Loc { file, span: Span::new(0, text.len()) }, text: formatted, safe: true };
    Some(Diagnostic::hint("G9004", loc, "not formatted").help("run", "sluice fmt", Some(edit)))
}
