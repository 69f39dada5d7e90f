//! ## What
//!
//! A setting is said twice in one place.
//!
//! ## Why
//!
//! One of them would be dropped silently.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     timeout 5s
//!     timeout 30s
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     timeout 30s
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The setting and where it was said first.
pub(crate) fn twice(loc: Loc, setting: &str, first: Loc) -> Diagnostic {
    Diagnostic::error("G1023", loc, format!("`{setting}` is said twice here")).label(first, "said here first")
}

/// Two limits of one name that say different things.
pub(crate) fn unlike(loc: Loc, name: &str, first: Loc) -> Diagnostic {
    Diagnostic::error("G1023", loc, format!("the limit `{name}` is said twice, and not alike"))
        .label(first, "said here first")
        .note("limits of one name share their buckets: they have one rate, one burst and one key")
}
