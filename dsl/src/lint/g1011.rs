//! ## What
//!
//! A method or a status that does not exist, or that its place does not take.
//!
//! ## Why
//!
//! No request has the method `GTE`, no client understands the status 99.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /x when method is GTE -> respond 200
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /x when method is GET -> respond 200
//!     else -> respond 404
//! }
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// No method of this name; other methods than the usual are written in quotes.
pub(crate) fn no_method(loc: Loc, name: &str) -> Diagnostic {
    let upper = name.to_ascii_uppercase();
    let known = crate::check::METHODS.iter().copied();
    let near = known.clone().find(|m| *m == upper).or_else(|| crate::resolve::nearest(&upper, known));
    match near {
        Some(near) => Diagnostic::error("G1011", loc, format!("`{name}` is not a method; did you mean `{near}`?"))
            .help("did you mean", near, replace(loc, near, true)),
        None => Diagnostic::error("G1011", loc, format!("`{name}` is not a method"))
            .help("a method beyond the usual ones stands in quotes", format!("\"{upper}\""), None),
    }
}

/// A status out of range.
pub(crate) fn status(loc: Loc, status: i64, rule: &str) -> Diagnostic {
    Diagnostic::error("G1011", loc, format!("{rule}, not {status}"))
}

/// A body where HTTP has none.
pub(crate) fn no_body(loc: Loc, status: u16) -> Diagnostic {
    Diagnostic::error("G1011", loc, format!("an answer with the status {status} has no body"))
}
