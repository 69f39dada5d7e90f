//! ## What
//!
//! A `without` that removes nothing, or that stands at a pattern.
//!
//! ## Why
//!
//! `without` names a policy as it was used in an enclosing block of this file, for one literal path (rule 5).
//!
//! ## Wrong
//!
//! ```route
//! import std/auth
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.only-from([10.0.0.0/8])
//!         ./{page} without auth.only-from -> respond 200
//!     }
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! import std/auth
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.only-from([10.0.0.0/8])
//!         ./login without auth.only-from -> respond 200
//!         else -> respond 200 "in"
//!     }
//!     else -> respond 404
//! }
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// A pattern that is more than one path.
pub(crate) fn literal(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G2022", loc, format!("`without {name}` needs a literal path: no captures, no `*`"))
}

/// A policy that no enclosing block uses under this name.
pub(crate) fn not_used(loc: Loc, name: &str, near: Option<&str>) -> Diagnostic {
    match near {
        Some(near) => Diagnostic::error(
            "G2022",
            loc,
            format!("no enclosing block of this file uses `{name}`; did you mean `{near}`?"),
        )
        .help("did you mean", near, replace(loc, near, true)),
        None => Diagnostic::error("G2022", loc, format!("no enclosing block of this file uses `{name}`")),
    }
}
