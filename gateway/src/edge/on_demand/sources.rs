//! How many names that nobody knows a network may ask for: whoever tries names at random is refused before
//! anything is asked about them.
//!
//! Networks and not addresses: who has one address of a network usually has others of it.

use crate::limit::{Rate, Secret};
use std::net::{IpAddr, Ipv6Addr};

/// Unknown names that a network may ask for in a minute, so many at a stroke.
pub(super) const NAMES: u32 = 30;
const PER_MS: u64 = 60_000;

/// The networks that asked of late, bounded as all limits are: where there is no room, networks share.
pub(super) struct Sources {
    rate: Rate,
    secret: Secret,
}

impl Default for Sources {
    fn default() -> Self {
        Self { rate: Rate::new(NAMES, PER_MS, NAMES), secret: Secret::default() }
    }
}

impl Sources {
    /// Whether a client's network may ask for one more name.
    pub(super) fn admit(&self, client: IpAddr) -> bool {
        let network = network_of(client);
        self.rate.admits(self.secret.digest_of(|hasher| {
            // The families are told apart: an IPv4 network is no IPv6 one.
            hasher.write_u8(if network.is_ipv4() { 4 } else { 6 });
            match network {
                IpAddr::V4(ip) => hasher.write(&ip.octets()),
                IpAddr::V6(ip) => hasher.write(&ip.octets()),
            }
        }))
    }
}

/// The network of a client: 256 addresses of IPv4, and of IPv6 what a customer is given at most, a /48
/// (RFC 6177). IPv4-mapped addresses are IPv4.
pub(super) fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// How a network is shown to people.
pub(super) fn shown(network: IpAddr) -> String {
    format!("{network}/{}", if network.is_ipv4() { 24 } else { 48 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn neighbours_share_and_others_do_not() {
        let sources = Sources::default();
        for i in 0..NAMES {
            assert!(sources.admit(ip(&format!("203.0.113.{i}"))));
        }
        assert!(!sources.admit(ip("203.0.113.77")));
        assert!(!sources.admit(ip("::ffff:203.0.113.78")));
        assert!(sources.admit(ip("203.0.114.77")));
        for i in 0..NAMES {
            assert!(sources.admit(ip(&format!("2001:db8:7:{i:x}::1"))));
        }
        assert!(!sources.admit(ip("2001:db8:7:ffff::2")));
        assert!(sources.admit(ip("2001:db8:8::2")));
    }

    #[test]
    fn networks_are_shown_with_their_length() {
        assert_eq!(shown(network_of(ip("203.0.113.9"))), "203.0.113.0/24");
        assert_eq!(shown(network_of(ip("2001:db8:7:1::9"))), "2001:db8:7::/48");
    }
}
