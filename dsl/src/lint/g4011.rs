//! ## What
//!
//! What arrived encrypted is sent on in clear, to an address of the public internet.
//!
//! ## Why
//!
//! Whoever is on the way reads it, though the client sees a lock. Loopback and private networks are left out.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 203.0.113.9:80
//!
//! site a.example.com {
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web = https://web.example.net:443
//!
//! site a.example.com {
//!     else -> web
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::{Endpoint, EndpointKind, Pool};
use std::net::IpAddr;

/// An endpoint of a pool without TLS that is an address of the public internet. What a name stands for
/// is not known here.
fn in_the_open(pool: &Pool) -> Option<&Endpoint> {
    let public = |e: &&Endpoint| e.kind == EndpointKind::Tcp && e.host.parse().is_ok_and(|ip| !private(ip));
    if pool.tls.is_some() { None } else { pool.endpoints.iter().find(public) }
}

/// A pool where it is used for what was decrypted.
pub(crate) fn run(pool: &Pool, used: Loc) -> Option<Diagnostic> {
    let endpoint = in_the_open(pool)?;
    let message = format!("decrypted here, sent in clear to {}", endpoint.host);
    let d = Diagnostic::warning("G4011", used, message).label(endpoint.loc, "an address of the public internet");
    Some(d.help("let the endpoint speak TLS", "https://HOST:PORT", None))
}

/// Loopback, private, shared and link-local networks (RFC 1918, 4193, 6598, 3927).
fn private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            v6.is_loopback() || v6.is_unspecified() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_are_ones_own() {
        for ip in ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.0.1", "169.254.1.1", "100.64.0.1", "::1", "fd00::1", "fe80::1"] {
            assert!(private(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "203.0.113.9", "2001:db8::1"] {
            assert!(!private(ip.parse().unwrap()), "{ip}");
        }
    }
}
