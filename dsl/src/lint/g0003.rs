//! ## What
//!
//! The compiled program and the reference interpreter disagree about a request.
//!
//! ## Why
//!
//! One of them is wrong. The file is refused, so that nothing is served by a program that is not understood.
//!
//! ## Wrong
//!
//! ```route
//! # no file of yours is at fault: please report the one that shows it
//! ```
//!
//! ## Right
//!
//! ```route
//! # none
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The request.
pub(crate) fn disagree(loc: Loc, request: &str) -> Diagnostic {
    Diagnostic::error("G0003", loc, "internal error: the compiled program and the interpreter disagree")
        .note(format!("about {request}; please report it with this file"))
}
