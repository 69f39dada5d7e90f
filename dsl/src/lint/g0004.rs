//! ## What
//!
//! A route file says nothing: it is empty, or it cannot be read.
//!
//! ## Why
//!
//! Editors and copies empty a file before they fill it, and a file that cannot be read is not gone. What
//! it served before goes on serving; to end that, delete the file.
//!
//! ## Wrong
//!
//! ```route
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// Nothing stands in it.
pub fn empty(loc: Loc) -> Diagnostic {
    Diagnostic::error("G0004", loc, "this file is empty")
        .note("what it served before goes on; delete the file to end that")
}

/// It is there, and cannot be had.
pub fn unreadable(loc: Loc, why: &str) -> Diagnostic {
    Diagnostic::error("G0004", loc, format!("it cannot be read: {why}"))
}
