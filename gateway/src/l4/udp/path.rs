//! Who talks to whom: the two ends of a flow on the client's side, compact and fast to compare.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A client's address and the address of ours that it reached. The port that it reached is the
/// listener's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    client: [u8; 16],
    /// Zero where the listener has one address only: the kernel puts it in.
    local: [u8; 16],
    /// The interface of a link-local address.
    scope: u32,
    port: u16,
    v6: bool,
}

impl Path {
    /// From addresses as the kernel gives them.
    #[inline]
    #[must_use]
    pub fn new(client: SocketAddr, local: Option<IpAddr>) -> Self {
        let (client, port, scope, v6) = match client {
            SocketAddr::V4(a) => (wide(*a.ip()), a.port(), 0, false),
            SocketAddr::V6(a) => (a.ip().octets(), a.port(), a.scope_id(), true),
        };
        let local = match local {
            None => [0; 16],
            Some(IpAddr::V4(ip)) => wide(ip),
            Some(IpAddr::V6(ip)) => ip.octets(),
        };
        Self { client, local, scope, port, v6 }
    }

    /// The client.
    #[inline]
    #[must_use]
    pub fn client(&self) -> SocketAddr {
        if self.v6 {
            SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(self.client), self.port, 0, self.scope))
        } else {
            SocketAddr::V4(SocketAddrV4::new(narrow(self.client), self.port))
        }
    }

    /// What it reached, where that is not said by the listener's address alone.
    #[inline]
    #[must_use]
    pub fn local(&self) -> Option<IpAddr> {
        if self.local == [0; 16] {
            None
        } else if self.v6 {
            Some(IpAddr::V6(Ipv6Addr::from(self.local)))
        } else {
            Some(IpAddr::V4(narrow(self.local)))
        }
    }

    /// From where an answer leaves: the address, and the interface by which a link-local client is
    /// reached (0 for any other).
    #[inline]
    #[must_use]
    pub fn source(&self) -> Option<(IpAddr, u32)> {
        self.local().map(|ip| (ip, self.scope))
    }
}

fn wide(ip: Ipv4Addr) -> [u8; 16] {
    let mut wide = [0; 16];
    wide[..4].copy_from_slice(&ip.octets());
    wide
}

fn narrow(wide: [u8; 16]) -> Ipv4Addr {
    Ipv4Addr::new(wide[0], wide[1], wide[2], wide[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_were() {
        for (client, local) in [
            ("192.0.2.1:7", Some("127.0.0.2")),
            ("192.0.2.1:7", None),
            ("[2001:db8::1]:65535", Some("::1")),
            ("[fe80::1%3]:1", Some("fe80::2")),
        ] {
            let client: SocketAddr = client.parse().expect("an address");
            let local = local.map(|l| l.parse().expect("an address"));
            let path = Path::new(client, local);
            assert_eq!((path.client(), path.local()), (client, local));
        }
    }
}
