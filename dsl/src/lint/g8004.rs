//! ## What
//!
//! Something that only gateway.route may say.
//!
//! ## Why
//!
//! Listeners, limits and the host of every request belong to the operator's own file.
//!
//! ## Wrong
//!
//! ```route
//! # sites/a.route
//! gateway {
//!     http :80
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! # sites/gateway.route
//! gateway {
//!     http :80
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// A `gateway` item elsewhere.
pub(crate) fn gateway(loc: Loc) -> Diagnostic {
    Diagnostic::error("G8004", loc, "only gateway.route may say `gateway`")
}

/// A `tenant` item elsewhere.
pub(crate) fn tenant(loc: Loc) -> Diagnostic {
    Diagnostic::error("G8004", loc, "only gateway.route may say `tenant`")
}

/// A listener in a tenant's file.
pub(crate) fn listener(loc: Loc, tenant: &str) -> Diagnostic {
    Diagnostic::error("G8004", loc, format!("files of {tenant} bind no listeners: only the operator's own may"))
}

/// A second one.
pub(crate) fn twice(loc: Loc) -> Diagnostic {
    Diagnostic::error("G8004", loc, "`gateway` is said twice")
}

/// `site **` elsewhere.
pub(crate) fn every_host(loc: Loc) -> Diagnostic {
    Diagnostic::error("G8004", loc, "only gateway.route may claim every host")
        .help("name a domain, as in", "**.example.com", None)
}
