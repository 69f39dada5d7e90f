//! ## What
//!
//! A module or a built-in value has no member of that name.
//!
//! ## Why
//!
//! A policy that is not inserted does not protect.
//!
//! ## Wrong
//!
//! ```route
//! import std/web
//!
//! site a.example.com {
//!     use web.secure-haeders
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! import std/web
//!
//! site a.example.com {
//!     use web.secure-headers
//!     else -> respond 404
//! }
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// `of` has no member `name`; `kind` says what was looked for.
pub(crate) fn no_member(loc: Loc, of: &str, kind: &str, name: &str, near: Option<&str>) -> Diagnostic {
    let message = match kind {
        "member" => format!("`{of}` has no member `{name}`"),
        _ => format!("{of} has no {kind} `{name}`"),
    };
    unknown(loc, &message, near)
}

/// A value whose type has no members.
pub(crate) fn no_members(loc: Loc, of: &str, ty: &str) -> Diagnostic {
    Diagnostic::error("G1004", loc, format!("`{of}` is {ty} and has no members"))
}

/// No policy of this name is declared or imported.
pub(crate) fn no_policy(loc: Loc, name: &str, near: Option<&str>) -> Diagnostic {
    unknown(loc, &format!("no policy named `{name}`"), near)
}

/// A member of a module that is not imported.
pub(crate) fn not_imported(loc: Loc, alias: &str, near: Option<&str>, std: Option<&str>) -> Diagnostic {
    let d = unknown(loc, &format!("no module named `{alias}` is imported"), near);
    match std {
        Some(std) => d.help("import it at the top of the file", format!("import std/{std}"), None),
        None => d,
    }
}

fn unknown(loc: Loc, message: &str, near: Option<&str>) -> Diagnostic {
    match near {
        Some(near) => Diagnostic::error("G1004", loc, format!("{message}; did you mean `{near}`?"))
            .help("did you mean", near, replace(loc, near, true)),
        None => Diagnostic::error("G1004", loc, message),
    }
}
