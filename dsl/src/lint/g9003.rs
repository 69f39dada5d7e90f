//! ## What
//!
//! A `# allow` comment that allows nothing, or does not say why.
//!
//! ## Why
//!
//! It outlives what it was written for and would hide the next mistake. Errors cannot be allowed: what they
//! speak of does not load.
//!
//! ## Wrong
//!
//! ```route
//! # allow G2005
//! site a.example.com {
//!     /x -> respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! # allow G2005: whatever else is asked for is not found, and that is meant
//! site a.example.com {
//!     /x -> respond 200
//! }
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// Nothing is said where it stands. `whole` is what goes with it.
pub(super) fn unused(loc: Loc, code: &str, whole: Loc) -> Diagnostic {
    Diagnostic::warning("G9003", loc, format!("nothing to allow here any more: {code} is not found"))
        .help("remove the comment", "", replace(whole, "", true))
}

/// One of several codes is not found.
pub(super) fn one_of(loc: Loc, code: &str, whole: Loc, rest: &str) -> Diagnostic {
    Diagnostic::warning("G9003", loc, format!("nothing to allow here any more: {code} is not found"))
        .help("write", rest, replace(whole, rest, true))
}

/// No reason is given.
pub(super) fn unexplained(loc: Loc, code: &str) -> Diagnostic {
    Diagnostic::warning("G9003", loc, format!("this does not say why {code} is allowed, and so it is not"))
        .help("give a reason, as in", format!("# allow {code}: the origin checks it"), None)
}

/// What it names refuses the file.
pub(super) fn error(loc: Loc, code: &str, whole: Loc) -> Diagnostic {
    Diagnostic::warning("G9003", loc, format!("{code} is an error here, and errors cannot be allowed"))
        .note("only warnings and hints can be: what an error speaks of does not load")
        .help("remove the comment, and mend what it speaks of", "", replace(whole, "", false))
}

/// There is no such finding.
pub(super) fn unknown(loc: Loc, code: &str, near: Option<&str>) -> Diagnostic {
    match near {
        Some(near) => Diagnostic::warning("G9003", loc, format!("there is no finding {code}; did you mean {near}?"))
            .help("did you mean", near, replace(loc, near, true)),
        None => Diagnostic::warning("G9003", loc, format!("there is no finding {code}"))
            .help("`sluice lint --explain CODE` tells what a code means", "", None),
    }
}
