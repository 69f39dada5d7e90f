//! ## What
//!
//! A pattern of a host or path that is none, or that no request can match.
//!
//! ## Why
//!
//! A pattern that cannot match is a route that does not exist.
//!
//! ## Wrong
//!
//! ```route
//! site a.*.example.com {
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site *.example.com {
//!     else -> respond 404
//! }
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// A capture or star that is not leftmost.
pub(crate) fn leftmost(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1026", loc, "only the leftmost label of a host may be a capture or a star")
}

/// A host that is none.
pub(crate) fn host(loc: Loc, why: &str) -> Diagnostic {
    Diagnostic::error("G1026", loc, why)
}

/// A path that is none.
pub(crate) fn path(loc: Loc, why: &str) -> Diagnostic {
    Diagnostic::error("G1026", loc, why)
}

/// Two captures in a segment or label (LANGUAGE rule 7).
pub(crate) fn two_captures(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1026", loc, "a segment or label has one capture at most")
        .help("capture the whole with a regular expression, or split it by `/`", "", None)
}

/// A type of captures that does not exist.
pub(crate) fn capture_type(loc: Loc, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("G1026", loc, format!("captures have no type `{name}`"))
        .note("a capture is an `int`, a `uuid`, one of two or more texts `a|b`, or a regular expression in quotes");
    match near {
        Some(near) => d.help("did you mean", near, replace(loc, near, true)),
        None => d,
    }
}

/// `{v:int|uuid}` (LANGUAGE rule 7).
pub(crate) fn type_in_set(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1026", loc, format!("alternatives are texts; `{name}` is the name of a type"))
}
