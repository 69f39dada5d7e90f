//! ## What
//!
//! A `udp` item has the port on which QUIC for the hosts that are passed through would arrive.
//!
//! ## Why
//!
//! One socket gets the datagrams of a port. The item was written, so it gets them: QUIC to those hosts is not carried there, only TLS over TCP.
//!
//! ## Wrong
//!
//! ```route
//! gateway {
//!     https :443
//! }
//!
//! pool vault = 10.8.0.5:8443
//! pool game = 10.8.0.6:443
//!
//! passthrough vault.bank.example -> vault
//!
//! udp :443 {
//!     idle 60s
//!     limit 100/s per client.ip
//!     -> game
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! gateway {
//!     https :443
//! }
//!
//! pool vault = 10.8.0.5:8443
//! pool game = 10.8.0.6:443
//!
//! passthrough vault.bank.example -> vault
//!
//! udp :4433 {
//!     idle 60s
//!     limit 100/s per client.ip
//!     -> game
//! }
//! ```

use super::l4::{Together, overlap};
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::l4::Transport;

/// Looks for `udp` items on the ports of `https`.
pub(super) fn run(all: &Together<'_>, out: &mut Vec<Diagnostic>) {
    let (Some(gateway), false) = (all.gateway, all.passthroughs.is_empty()) else { return };
    for item in all.listening.iter().filter(|item| item.transport == Transport::Udp) {
        let own = |https: &&crate::tree::ir::Listener| {
            overlap((Transport::Udp, https), (Transport::Udp, &item.listener))
        };
        let Some(https) = gateway.https.iter().find(own) else { continue };
        let port = https.port;
        let d = format!("two listeners on :{port}/udp: QUIC for passthrough hosts does not arrive on `https :{port}`");
        let d = Diagnostic::warning("G4014", item.listener.loc, d).note("this item gets the datagrams of the port");
        out.push(if https.loc == Loc::default() { d } else { d.label(https.loc, "`https` would take QUIC here") });
    }
}
