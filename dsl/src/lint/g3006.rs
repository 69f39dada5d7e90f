//! ## What
//!
//! Every address is trusted as a proxy.
//!
//! ## Why
//!
//! Everybody could state an address of their own in X-Forwarded-For.
//!
//! ## Wrong
//!
//! ```route
//! gateway {
//!     trust proxies [0.0.0.0/0]
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! gateway {
//!     trust proxies [10.0.0.0/8]
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The network.
pub(crate) fn everybody(loc: Loc, net: &str) -> Diagnostic {
    Diagnostic::error("G3006", loc, format!("`{net}` is everybody: each client could state its own address"))
        .help("name the networks of your proxies", "[10.0.0.0/8]", None)
}
