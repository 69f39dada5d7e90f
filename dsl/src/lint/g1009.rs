//! ## What
//!
//! An imported module cannot be had.
//!
//! ## Why
//!
//! Without it, the names it would declare mean nothing.
//!
//! ## Wrong
//!
//! ```route
//! import std/wbe
//! ```
//!
//! ## Right
//!
//! ```route
//! import std/web
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// No module of the standard library has this name.
pub(crate) fn no_std_module(loc: Loc, spec: &str, near: Option<&str>) -> Diagnostic {
    match near {
        Some(near) => {
            let near = format!("std/{near}");
            Diagnostic::error("G1009", loc, format!("there is no module `{spec}`; did you mean `{near}`?"))
                .help("did you mean", near.clone(), replace(loc, &near, true))
        }
        None => {
            let all: Vec<String> =
                crate::resolve::stdlib::names().map(|n| format!("`std/{n}`")).collect();
            Diagnostic::error("G1009", loc, format!("there is no module `{spec}`"))
                .note(format!("the standard library has {}", all.join(", ")))
        }
    }
}

/// The file behind an import cannot be read.
pub(crate) fn not_found(loc: Loc, spec: &str, why: &str) -> Diagnostic {
    Diagnostic::error("G1009", loc, format!("cannot import `{spec}`: {why}"))
}

/// A path that is neither `std/…` nor relative.
pub(crate) fn bad_path(loc: Loc, spec: &str) -> Diagnostic {
    let path = match crate::resolve::stdlib::names().find(|n| *n == spec) {
        Some(std) => format!("std/{std}"),
        None => format!("./{spec}"),
    };
    Diagnostic::error("G1009", loc, format!("`{spec}` is neither `std/…` nor a path that starts with `./` or `../`")).help(
        "did you mean",
        path.clone(),
        replace(loc, &path, false),
    )
}
