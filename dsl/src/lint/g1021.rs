//! ## What
//!
//! Arguments do not fit the parameters.
//!
//! ## Why
//!
//! A policy without its argument would protect nothing in particular.
//!
//! ## Wrong
//!
//! ```route
//! import std/auth
//!
//! site a.example.com {
//!     use auth.only-from
//!     else -> respond 200 "in"
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! import std/auth
//!
//! site a.example.com {
//!     use auth.only-from([10.0.0.0/8])
//!     else -> respond 200 "in"
//! }
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// A parameter without default got no argument.
pub(crate) fn missing(loc: Loc, callee: &str, param: &str, ty: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("G1021", loc, format!("`{callee}` needs an argument for `{param}`"));
    match ty {
        Some(ty) => d.note(format!("`{param}` takes {ty}")),
        None => d,
    }
}

/// An argument for a parameter that does not exist.
pub(crate) fn unknown(loc: Loc, callee: &str, name: &str, near: Option<&str>) -> Diagnostic {
    match near {
        Some(near) => Diagnostic::error(
            "G1021",
            loc,
            format!("`{callee}` has no parameter `{name}`; did you mean `{near}`?"),
        )
        .help("did you mean", near, replace(loc, near, true)),
        None => Diagnostic::error("G1021", loc, format!("`{callee}` has no parameter `{name}`")),
    }
}

/// Two arguments for one parameter.
pub(crate) fn twice(loc: Loc, callee: &str, param: &str) -> Diagnostic {
    Diagnostic::error("G1021", loc, format!("`{callee}` gets `{param}` twice"))
}

/// More arguments than parameters.
pub(crate) fn too_many(loc: Loc, callee: &str, params: usize) -> Diagnostic {
    let s = if params == 1 { "" } else { "s" };
    Diagnostic::error("G1021", loc, format!("`{callee}` takes {params} argument{s}"))
}

/// A function with a fixed number of arguments.
pub(crate) fn count(loc: Loc, name: &str, want: usize, got: usize) -> Diagnostic {
    let s = if want == 1 { "" } else { "s" };
    Diagnostic::error("G1021", loc, format!("`{name}` takes {want} argument{s}, not {got}"))
}

/// An argument that must say which parameter it is for.
pub(crate) fn unnamed(loc: Loc, callee: &str, param: &str) -> Diagnostic {
    Diagnostic::error("G1021", loc, format!("`{callee}` takes this by its name"))
        .help("say which it is", format!("{param}: …"), None)
}
