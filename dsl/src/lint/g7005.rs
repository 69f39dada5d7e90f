//! ## What
//!
//! A `udp` is open to everybody and nothing bounds it.
//!
//! ## Why
//!
//! The source address of a datagram is easily forged, so that answers go to somebody who never asked: the service amplifies an attack. A limit per source bounds what one victim gets.
//!
//! ## Wrong
//!
//! ```route
//! pool dns = 10.0.0.53:53
//!
//! udp :53 {
//!     idle 10s
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
//!     limit 100/s per client.ip
//!     -> dns
//! }
//! ```

use super::l4::{Item, checks, reads};
use crate::check::l4::Kind;
use crate::diagnostic::Diagnostic;
use crate::tree::ir::Field;
use std::net::IpAddr;

/// Looks for an entry that anybody reaches, with neither a limit nor a `require`.
pub(super) fn item(item: &mut Item<'_>) {
    let public = item.listener.is_some_and(|listener| listener.ip.is_none_or(is_public));
    let open = |item: &Item<'_>| item.open().any(|e| !checks(e) && !reads(&e.guard).contains(&Field::ClientIp));
    if item.info.kind != Kind::Udp || !public || !open(item) {
        return;
    }
    let line = "limit 100/s per client.ip";
    let d = "anybody can send here under a forged address, and the answers go to its owner: usable for amplification";
    let d = Diagnostic::warning("G7005", item.head, d)
        .help("bound what one address gets", line, item.on_top(line, false))
        .help("or let only those in that you know", "require client.ip in [10.0.0.0/8]", None);
    item.out.push(d);
}

/// Whether the Internet may reach an address.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_private() || ip.is_link_local()),
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
    }
}
