//! ## What
//!
//! A `udp` does not say when a flow is forgotten.
//!
//! ## Why
//!
//! Datagrams have no end. What is right depends on the protocol: seconds for DNS, minutes for a game or a call. Without a word it is 60 s.
//!
//! ## Wrong
//!
//! ```route
//! pool dns = 10.0.0.53:53
//!
//! udp :53 {
//!     limit 1000/s per client.ip
//!     -> dns
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool dns = 10.0.0.53:53
//!
//! udp :53 {
//!     idle 10s
//!     limit 1000/s per client.ip
//!     -> dns
//! }
//! ```

use super::l4::Item;
use crate::check::l4::Kind;
use crate::diagnostic::Diagnostic;

/// Looks for `idle`.
pub(super) fn item(item: &mut Item<'_>) {
    if item.info.kind != Kind::Udp || item.info.idle {
        return;
    }
    let d = "nothing says when a flow is forgotten; without `idle` it is after 60s of silence";
    let d = Diagnostic::warning("G7004", item.head, d).help("say so", "idle 60s", item.on_top("idle 60s", true));
    item.out.push(d);
}
