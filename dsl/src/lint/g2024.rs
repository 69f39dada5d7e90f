//! ## What
//!
//! A bare arrow stands beside other routes.
//!
//! ## Why
//!
//! It reads as if it answered everything; beside others it is written `else ->` (rule 1).
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /x -> respond 200
//!     -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /x -> respond 200
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::Loc;

/// The arrow.
pub(crate) fn bare(loc: Loc) -> Diagnostic {
    let at = Loc { file: loc.file, span: crate::syntax::span::Span { start: loc.span.start, end: loc.span.start } };
    Diagnostic::warning("G2024", loc, "beside other routes a bare arrow is written `else ->`")
        .help("write", "else", Some(Edit { loc: at, text: "else ".into(), safe: true }))
}
