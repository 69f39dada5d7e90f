//! ## What
//!
//! A text that cannot stand where it is written.
//!
//! ## Why
//!
//! A line break in a header splits the message; a space in a target breaks the request line.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     set response header x-a = "one\ntwo"
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     set response header x-a = "one two"
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// A control byte, or a space or backslash in a target.
pub(crate) fn control(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1027", loc, "this text has a byte that cannot stand here: a control byte, or in a target a space or `\\`")
}

/// A hole where only a constant can stand.
pub(crate) fn constant(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1027", loc, "this must be the same for every request: it has a hole that a request fills")
}

/// A hole in a test.
pub(crate) fn written_out(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1027", loc, "a test is written out: there is nothing that could fill a hole here")
        .note("a brace that is meant as such is written `\\{`")
}
