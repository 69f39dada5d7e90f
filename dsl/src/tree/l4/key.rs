//! What a connection is told apart by, as a number: the same in every process and on every machine.
//!
//! The function is xxHash64 (seed 0 for the first part of a key, the hash so far as the seed of each
//! part after it). Each part begins with a byte that says what it is; addresses are their bytes, ports
//! big-endian, `tls.sni` its text. Whoever can choose the key can choose the endpoint: that is what
//! the same number everywhere means, and why limits have a hash of their own.

use super::{Facts, Key, KeyPart};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The hash of a connection's key.
#[must_use]
pub fn hash_of(key: &Key, facts: &Facts<'_>) -> u64 {
    key.0.iter().fold(0, |hash, part| match part {
        KeyPart::ClientIp => client_ip(hash, facts.client.ip()),
        KeyPart::ClientPort => client_port(hash, facts.client.port()),
        KeyPart::Connection => {
            let hash = part_of(hash, b'c', &socket(facts.client));
            part_of(hash, b'l', &socket(facts.local))
        }
        KeyPart::Sni => xxh64(facts.sni.unwrap_or_default().as_bytes(), xxh64(b"s", hash)),
    })
}

/// The address that stands for a client: IPv4-mapped addresses as IPv4, IPv6 addresses by their /64,
/// which is the least that a client is given (LANGUAGE rule 21).
#[must_use]
pub fn client_group(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

/// A client's address, after so much of a key.
#[must_use]
pub fn client_ip(hash: u64, ip: IpAddr) -> u64 {
    let (bytes, len) = address(client_group(ip));
    part_of(hash, b'i', &bytes[..len])
}

/// A client's port, after so much of a key.
#[must_use]
pub fn client_port(hash: u64, port: u16) -> u64 {
    part_of(hash, b'p', &port.to_be_bytes())
}

fn part_of(seed: u64, tag: u8, bytes: &[u8]) -> u64 {
    // A tag, an address, a port.
    let mut part = [0; 1 + 16 + 2];
    part[0] = tag;
    part[1..=bytes.len()].copy_from_slice(bytes);
    xxh64(&part[..=bytes.len()], seed)
}

fn address(ip: IpAddr) -> ([u8; 16], usize) {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            (bytes, 4)
        }
        IpAddr::V6(ip) => (ip.octets(), 16),
    }
}

fn socket(at: SocketAddr) -> [u8; 18] {
    let mut bytes = [0; 18];
    // Both families in one shape: IPv4 as mapped.
    let ip = match at.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&at.port().to_be_bytes());
    bytes
}

const P1: u64 = 0x9e37_79b1_85eb_ca87;
const P2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const P3: u64 = 0x1656_67b1_9e37_79f9;
const P4: u64 = 0x85eb_ca77_c2b2_ae63;
const P5: u64 = 0x27d4_eb2f_1656_67c5;

/// xxHash64, as its specification says.
#[must_use]
pub fn xxh64(input: &[u8], seed: u64) -> u64 {
    let (stripes, _) = input.as_chunks::<32>();
    let mut hash = if stripes.is_empty() {
        seed.wrapping_add(P5)
    } else {
        let first = P1.wrapping_add(P2).wrapping_add(seed);
        let mut lanes = [first, seed.wrapping_add(P2), seed, seed.wrapping_sub(P1)];
        for stripe in stripes {
            let (words, _) = stripe.as_chunks::<8>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane = round(*lane, u64::from_le_bytes(*word));
            }
        }
        let turned = lanes.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
        let hash = turned.fold(0_u64, u64::wrapping_add);
        lanes.iter().fold(hash, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(P1).wrapping_add(P4))
    };
    hash = hash.wrapping_add(input.len() as u64);
    let (words, rest) = input[stripes.len() * 32..].as_chunks::<8>();
    for word in words {
        hash = (hash ^ round(0, u64::from_le_bytes(*word))).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for half in halves {
        hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(P1);
        hash = hash.rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
    hash ^ (hash >> 32)
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // From the reference implementation (`xxhsum -H64`).
        assert_eq!(xxh64(b"", 0), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"a", 0), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xxh64(b"abc", 0), 0x44bc_2cf5_ad77_0999);
        assert_eq!(xxh64(b"Nobody inspects the spammish repetition", 0), 0xfbce_a83c_8a37_8bf1);
    }

    fn facts<'a>(client: &str, sni: Option<&'a str>) -> Facts<'a> {
        Facts { client: client.parse().unwrap(), local: "192.0.2.1:443".parse().unwrap(), sni, alpn: &[] }
    }

    #[test]
    fn keys_hash_alike_on_every_machine() {
        // Written down: another number here moves every client of every installation.
        let ip = Key(vec![KeyPart::ClientIp]);
        assert_eq!(hash_of(&ip, &facts("192.0.2.7:1000", None)), xxh64(&[b'i', 192, 0, 2, 7], 0));
        let both = Key(vec![KeyPart::ClientIp, KeyPart::ClientPort]);
        let expected = xxh64(&[b'p', 0x03, 0xe8], xxh64(&[b'i', 192, 0, 2, 7], 0));
        assert_eq!(hash_of(&both, &facts("192.0.2.7:1000", None)), expected);
        let sni = Key(vec![KeyPart::Sni]);
        assert_eq!(hash_of(&sni, &facts("192.0.2.7:1000", Some("a.test"))), xxh64(b"a.test", xxh64(b"s", 0)));
    }

    #[test]
    fn addresses_group_as_clients_do() {
        let ip = Key(vec![KeyPart::ClientIp]);
        let hash = |client| hash_of(&ip, &facts(client, None));
        assert_eq!(hash("[2001:db8:0:1::1]:1"), hash("[2001:db8:0:1:ffff::2]:2"));
        assert_ne!(hash("[2001:db8:0:1::1]:1"), hash("[2001:db8:0:2::1]:1"));
        assert_eq!(hash("[::ffff:192.0.2.7]:1"), hash("192.0.2.7:2"));
        let connection = Key(vec![KeyPart::Connection]);
        let hash = |client| hash_of(&connection, &facts(client, None));
        assert_ne!(hash("[2001:db8:0:1::1]:1"), hash("[2001:db8:0:1::2]:1"));
        assert_eq!(hash("[::ffff:192.0.2.7]:1"), hash("192.0.2.7:1"));
        assert_ne!(hash("192.0.2.7:1"), hash("192.0.2.7:2"));
    }
}
