//! `balance hash KEY`: a ring of points, the same one as nginx's `hash … consistent` and
//! `Cache::Memcached::Fast` make, so that a client keeps its server when its operator comes from there.
//!
//! An endpoint has 160 points for each unit of its weight: CRC-32 of `HOST NUL PORT`, then of the point
//! before it. A key is CRC-32 of its text (nginx's `$remote_addr`, `$remote_port`,
//! `$ssl_preread_server_name`; several parts with `:` between them) and belongs to the first point at
//! or after it. IPv6 clients go by their /64.

use super::client_group;
use crate::upstream::Members;
use dsl::tree::l4::{Facts, Key, KeyPart};
use std::fmt::{self, Write};

/// Points for a unit of weight.
const POINTS: u64 = 160;
/// Points of a ring. Where the weights ask for more, all shares shrink alike, to one point at least.
const MOST: u64 = 1 << 20;

/// Points in their order, each with its endpoint's place in the pool.
#[derive(Debug, Default)]
pub(super) struct Ring(Vec<(u32, u32)>);

impl Ring {
    /// The ring of the endpoints that `of` holds for.
    pub(super) fn build(pool: &Members, of: impl Fn(usize) -> bool) -> Self {
        let endpoints = pool.each();
        let members = || endpoints.iter().enumerate().filter(|(index, _)| of(*index));
        let asked: u64 = members().map(|(_, e)| u64::from(e.weight) * POINTS).sum();
        let mut ring = Vec::with_capacity(asked.min(MOST) as usize);
        for (index, endpoint) in members() {
            let mut count = u64::from(endpoint.weight) * POINTS;
            if asked > MOST {
                count = (u128::from(count) * u128::from(MOST) / u128::from(asked)).max(1) as u64;
            }
            let (host, port) = endpoint.endpoint.spot();
            let base = Crc::new().of(host.as_bytes()).of(&[0]).of(port.as_bytes());
            let mut point = 0_u32;
            for _ in 0..count {
                point = base.of(&point.to_le_bytes()).value();
                ring.push((point, index as u32));
            }
        }
        // Where two endpoints share a point the order of the file shall not decide.
        let name = |index: u32| pool.endpoint(index as usize).name();
        ring.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| name(a.1).cmp(name(b.1))));
        ring.dedup_by_key(|point| point.0);
        Self(ring)
    }

    /// Who is met on the way around from a position: the first one has it.
    pub(super) fn around(&self, position: u32) -> impl Iterator<Item = usize> {
        let start = self.0.partition_point(|(point, _)| *point < position);
        self.0[start..].iter().chain(&self.0[..start]).map(|(_, index)| *index as usize)
    }

    /// Who has each of so many positions, a power of two, evenly spread: for those who measure.
    #[cfg(test)]
    pub(super) fn sampled(&self, count: u32) -> Vec<u32> {
        let at = |n: u32| {
            let start = self.0.partition_point(|(point, _)| *point < n * (u32::MAX / count + 1));
            self.0[start % self.0.len()].1
        };
        (0..count).map(at).collect()
    }
}

/// Where a connection's key lies on the ring.
pub(super) fn position(key: &Key, facts: &Facts<'_>) -> u32 {
    let mut crc = Crc::new();
    for (n, part) in key.0.iter().enumerate() {
        if n > 0 {
            crc = crc.of(b":");
        }
        let ip = |ip: std::net::IpAddr| ip.to_canonical();
        let written = match part {
            KeyPart::ClientIp => write!(crc, "{}", client_group(facts.client.ip())),
            KeyPart::ClientPort => write!(crc, "{}", facts.client.port()),
            KeyPart::Connection => {
                let (client, local) = (facts.client, facts.local);
                write!(crc, "{}:{}:{}:{}", ip(client.ip()), client.port(), ip(local.ip()), local.port())
            }
            KeyPart::Sni => crc.write_str(facts.sni.unwrap_or_default()),
        };
        debug_assert!(written.is_ok(), "a checksum takes any text");
    }
    crc.value()
}

/// CRC-32 of IEEE 802.3, on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crc(u32);

impl Crc {
    pub(super) const fn new() -> Self {
        Self(u32::MAX)
    }

    pub(super) fn of(self, bytes: &[u8]) -> Self {
        let step = |crc: u32, byte: &u8| (crc >> 8) ^ CRC[usize::from(crc as u8 ^ *byte)];
        Self(bytes.iter().fold(self.0, step))
    }

    pub(super) const fn value(self) -> u32 {
        !self.0
    }
}

impl Write for Crc {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        *self = self.of(text.as_bytes());
        Ok(())
    }
}

static CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(Crc::new().of(b"123456789").value(), 0xcbf4_3926);
        assert_eq!(Crc::new().of(b"1234").of(b"56789").value(), 0xcbf4_3926);
    }
}
