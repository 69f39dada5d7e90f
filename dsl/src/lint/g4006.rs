//! ## What
//!
//! Certificates are made for whatever name is asked for.
//!
//! ## Why
//!
//! Anyone can point names at the gateway and make it request certificates until the authority refuses it.
//!
//! ## Wrong
//!
//! ```route
//! site {tenant}.example.app {
//!     tls on-demand
//!     else -> respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool control = 10.0.9.5:8080
//!
//! site {tenant}.example.app {
//!     tls on-demand {
//!         allow when ask(control, GET /tenants/{tenant})
//!         limit 20/h
//!     }
//!     else -> respond 200
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// `tls on-demand` without `allow`.
pub(crate) fn whoever(loc: Loc) -> Diagnostic {
    Diagnostic::error("G4006", loc, "anyone could make the gateway request certificates for any name")
        .help("ask whether a name is one of yours", "allow when ask(control, GET /tenants/{tenant})", None)
}
