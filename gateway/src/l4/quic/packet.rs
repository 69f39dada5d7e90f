//! The parts of QUIC packets that are not encrypted.

use rustls::quic::Version;

/// The longest connection ID of the versions that are known here (RFC 9000 section 17.2).
pub const LONGEST_CID: usize = 20;
/// A datagram with an Initial packet is no shorter (RFC 9000 section 14.1).
pub const SHORTEST_INITIAL: usize = 1200;

/// How a packet begins, whatever its version (RFC 8999 sections 5.1 and 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    /// While a connection is made: both sides' connection IDs.
    Long(Long<'a>),
    /// Afterwards: what follows the first byte begins with the receiver's connection ID, whose length
    /// only the receiver knows.
    Short(&'a [u8]),
}

/// A long header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long<'a> {
    /// The first byte.
    pub first: u8,
    /// The version, as a number; 0 in Version Negotiation packets.
    pub version: u32,
    /// The connection ID of who shall receive it.
    pub to: &'a [u8],
    /// The connection ID of who sent it.
    pub from: &'a [u8],
    /// Where what depends on the version begins.
    pub rest: usize,
}

/// What a packet with a long header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first of a connection.
    Initial,
    /// Data before the handshake.
    ZeroRtt,
    /// What finishes the handshake.
    Handshake,
    /// Ask again, with a token. It has no length, and ends the datagram.
    Retry,
}

/// An Initial packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initial {
    /// Where the packet number begins.
    pub number: usize,
    /// Where the packet ends.
    pub end: usize,
}

impl<'a> Header<'a> {
    /// Of a datagram. `None`: it is no QUIC packet.
    #[must_use]
    pub fn of(datagram: &'a [u8]) -> Option<Self> {
        let (first, rest) = datagram.split_first()?;
        if first & 0x80 == 0 {
            return Some(Self::Short(rest));
        }
        let mut at = 5;
        let version = u32::from_be_bytes(datagram.get(1..5)?.try_into().ok()?);
        let to = cid(datagram, &mut at)?;
        let from = cid(datagram, &mut at)?;
        Some(Self::Long(Long { first: *first, version, to, from, rest: at }))
    }
}

/// A connection ID with its length before it.
fn cid<'a>(datagram: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let length = usize::from(*datagram.get(*at)?);
    if length > LONGEST_CID {
        return None;
    }
    let cid = datagram.get(*at + 1..*at + 1 + length)?;
    *at += 1 + length;
    Some(cid)
}

impl Long<'_> {
    /// The version, where it is known here.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        match self.version {
            // RFC 9000 section 15.
            0x0000_0001 => Some(Version::V1),
            // RFC 9369 section 3.1.
            0x6b33_43cf => Some(Version::V2),
            _ => None,
        }
    }

    /// What it is; `None` in versions that are not known.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        // RFC 9000 section 17.2; RFC 9369 section 3.2 counts on by one.
        let shift = match self.version()? {
            Version::V2 => 3,
            _ => 0,
        };
        Some(match ((self.first >> 4) + shift) & 3 {
            0 => Kind::Initial,
            1 => Kind::ZeroRtt,
            2 => Kind::Handshake,
            _ => Kind::Retry,
        })
    }

    /// The places of an Initial packet (RFC 9000 section 17.2.2). `datagram` is the one that it stands
    /// at the start of.
    #[must_use]
    pub fn initial(&self, datagram: &[u8]) -> Option<Initial> {
        let mut at = self.rest;
        let token = varint(datagram, &mut at)?;
        at = at.checked_add(usize::try_from(token).ok()?)?;
        let (number, end) = numbered(datagram, at)?;
        Some(Initial { number, end })
    }

    /// Where the packet ends: there the next one of the datagram begins (RFC 9000 section 12.2).
    #[must_use]
    pub fn end(&self, datagram: &[u8]) -> Option<usize> {
        match self.kind()? {
            Kind::Initial => self.initial(datagram).map(|initial| initial.end),
            Kind::ZeroRtt | Kind::Handshake => numbered(datagram, self.rest).map(|(_, end)| end),
            Kind::Retry => Some(datagram.len()),
        }
    }
}

/// The length of a packet's rest, and the rest itself, from its packet number on.
fn numbered(datagram: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let length = varint(datagram, &mut at)?;
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    (end <= datagram.len()).then_some((at, end))
}

/// A number of variable length (RFC 9000 section 16).
pub fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    let length = 1 << (first >> 6);
    let all = bytes.get(*at..*at + length)?;
    *at += length;
    Some(all[1..].iter().fold(u64::from(first & 0x3f), |n, byte| n << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length() {
        // RFC 9000 appendix A.1.
        for (bytes, number) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            let mut at = 0;
            assert_eq!(varint(bytes, &mut at), Some(number));
            assert_eq!(at, bytes.len());
            assert_eq!(varint(&bytes[..bytes.len() - 1], &mut 0), None);
        }
    }

    #[test]
    fn what_is_cut_short_is_no_packet() {
        let whole = [&[0xc0, 0, 0, 0, 1, 2, 7, 8, 1, 9][..], &[0, 2, 0, 0]].concat();
        for end in 0..10 {
            assert_eq!(Header::of(&whole[..end]), None, "{end}");
        }
        let Some(Header::Long(long)) = Header::of(&whole) else { panic!("a long header") };
        assert_eq!((long.to, long.from, long.kind()), (&[7, 8][..], &[9][..], Some(Kind::Initial)));
        assert_eq!(long.initial(&whole), Some(Initial { number: 12, end: 14 }));
        for end in 10..14 {
            assert_eq!(long.initial(&whole[..end]), None, "{end}");
        }
        // Connection IDs of more than 20 bytes.
        assert_eq!(Header::of(&[&[0xc0, 0, 0, 0, 1, 21][..], &[0; 40]].concat()), None);
        // Lengths beyond all memory.
        let far = [&whole[..10], &[0xff; 20]].concat();
        assert_eq!(long.initial(&far), None);
    }
}
