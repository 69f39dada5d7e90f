//! ## What
//!
//! A route leads to a pool that is not declared.
//!
//! ## Why
//!
//! Its requests would have nowhere to go.
//!
//! ## Wrong
//!
//! ```route
//! pool checkout = 10.0.0.1:80
//!
//! site a.example.com {
//!     -> chekout
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool checkout = 10.0.0.1:80
//!
//! site a.example.com {
//!     -> checkout
//! }
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// No pool has this name; `near` is the one that could be meant, and where it stands.
pub(crate) fn no_pool(loc: Loc, name: &str, near: Option<(&str, Loc)>) -> Diagnostic {
    match near {
        Some((near, at)) => Diagnostic::error("G1002", loc, format!("no pool named `{name}`; did you mean `{near}`?"))
            .label(at, format!("`{near}` is declared here"))
            .help("did you mean", near, replace(loc, near, true)),
        None => Diagnostic::error("G1002", loc, format!("no pool named `{name}`"))
            .help("declare it", format!("pool {name} = 127.0.0.1:8000"), None),
    }
}
