//! ## What
//!
//! A split without a key.
//!
//! ## Why
//!
//! Each request is drawn anew, so that one visitor sees both sides.
//!
//! ## Wrong
//!
//! ```route
//! pool a = 10.0.0.1:80
//! pool b = 10.0.0.2:80
//!
//! site a.example.com {
//!     else -> 95% a, 5% b
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool a = 10.0.0.1:80
//! pool b = 10.0.0.2:80
//!
//! site a.example.com {
//!     else -> 95% a, 5% b by cookie.uid if missing client.ip
//! }
//! ```
//!
//! ## Fix
//!
//! Visitors are told apart by the cookie `uid`, and where they have none by their address: each stays on one side.

use super::insert;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The split.
pub(crate) fn drawn_anew(loc: Loc) -> Diagnostic {
    let by = "by cookie.uid if missing client.ip";
    Diagnostic::warning("G2010", loc, "every request is drawn anew, so one visitor sees both sides")
        .help("say by what a visitor is known", by, insert(loc, &format!(" {by}")))
}

/// The split of a `tcp`, `udp` or `passthrough`.
pub(crate) fn connections(loc: Loc) -> Diagnostic {
    let by = "by client.ip";
    Diagnostic::warning("G2010", loc, "every connection is drawn anew, so one client meets both sides")
        .help("say by what a client is known", by, insert(loc, &format!(" {by}")))
}
