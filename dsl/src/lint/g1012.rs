//! ## What
//!
//! A value that may be missing stands where one is required.
//!
//! ## Why
//!
//! A header can be left out by any client; a key made of it would then count everybody together, or nobody.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     set request header x-team = header.x-group
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     set request header x-team = header.x-group if missing "none"
//!     else -> respond 404
//! }
//! ```

use super::insert;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// A key.
pub(crate) fn key(loc: Loc, name: &str, written: &str) -> Diagnostic {
    let (by, deny) = (format!("{written} if missing client.ip"), format!("{written} if missing deny 401"));
    Diagnostic::error("G1012", loc, "this key can be missing")
        .at(format!("a request without `{name}` would have no key"))
        .help("decide what happens then", by.clone(), insert(loc, " if missing client.ip"))
        .help("or", deny, None)
}

/// A header's value.
pub(crate) fn header(loc: Loc, name: &str, written: &str) -> Diagnostic {
    Diagnostic::error("G1012", loc, "this value can be missing")
        .at(format!("a request without `{name}` would leave nothing to write"))
        .help("decide what happens then", format!("{written} if missing \"\""), insert(loc, " if missing \"\""))
        .help("or", format!("{written} if missing deny 400"), None)
}

/// A hole of a template.
pub(crate) fn hole(loc: Loc, name: &str, header: bool) -> Diagnostic {
    let d = Diagnostic::error("G1012", loc, "this hole can be empty").at(format!("`{name}` can be missing"));
    if header {
        d.help("say behind the value what happens then", "if missing deny 400", None)
    } else {
        d.help("ask for it above, so that it is there", format!("require {name} else deny 400"), None)
    }
}

/// A capture that one of several patterns lacks, in a template.
pub(crate) fn absent(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1012", loc, "this hole can be empty")
        .at("one of the patterns does not capture it")
        .help("capture it in every pattern, or write a route for each", "", None)
}

/// An optional argument for a parameter that takes none.
pub(crate) fn argument(loc: Loc, what: &str) -> Diagnostic {
    Diagnostic::error("G1012", loc, format!("{what} takes a value that is always there, this one can be missing"))
        .help("ask for it above, or give the parameter a type that ends in `?`", "", None)
}

/// A key of several parts with `if missing VALUE`.
pub(crate) fn compound_key(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1012", loc, "a key of several parts cannot fall back on another key")
        .help("answer instead", "if missing deny 400", None)
}

/// A part of a pool's key; `whole` is the key.
pub(crate) fn pool_key(loc: Loc, whole: Loc, name: &str, written: &str) -> Diagnostic {
    Diagnostic::error("G1012", loc, "this key can be missing")
        .at(format!("a request without `{name}` would have no key"))
        .help("say what stands in for it", format!("{written} if missing client.ip"), insert(whole, " if missing client.ip"))
        .help("or", format!("{written} if missing \"none\""), None)
}

/// The `cost` of a limit.
pub(crate) fn cost(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1012", loc, "this cost can be missing")
        .help("say behind it what counts then", "if missing 1", insert(loc, " if missing 1"))
}
