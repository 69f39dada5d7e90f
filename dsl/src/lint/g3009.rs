//! ## What
//!
//! The client chooses the upstream, or the Host that it sees.
//!
//! ## Why
//!
//! Requests could be steered into any network that the gateway reaches: destinations are pools (rule 25).
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     else -> http://{header.x-backend}:80
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     else -> web
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// A URL behind an arrow; `client` when a request fills a hole of it.
pub(crate) fn url(loc: Loc, client: bool) -> Diagnostic {
    let message = if client {
        "the client would choose the upstream; destinations are pools"
    } else {
        "destinations are pools, not URLs"
    };
    Diagnostic::error("G3009", loc, message).help("declare a pool and name it", "pool web = 127.0.0.1:8000", None)
}

/// A hole of client text in `host`.
pub(crate) fn host(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G3009", loc, "the client would choose the Host that the upstream sees")
        .at(format!("`{name}` comes from the client"))
}
