//! What a trusted peer says about the connection that it passes on.

use super::{SIGNATURE, crc32c};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The longest header that is read, bytes: a binary one with 4 KB behind its fixed part.
pub const MAX: usize = FIXED + 4096;
/// Section 2.1: the longest text header, its line end included.
const V1_MAX: usize = 107;
/// Section 2.2: signature, version and command, family and protocol, length.
const FIXED: usize = 16;
/// Section 2.2.3: the checksum over the whole header.
const TLV_CRC32C: u8 = 0x03;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The connection is the peer's own (LOCAL), or the peer does not know (UNKNOWN, UNSPEC): its
    /// socket's addresses stand.
    Own,
    /// The connection is passed on.
    For {
        /// Who connected.
        client: SocketAddr,
        /// What was reached.
        local: SocketAddr,
    },
}

/// How far the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A header that is so many bytes long.
    Whole(Header, usize),
    /// All of these bytes belong to a header, and there is more of it to come.
    More,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// They begin neither as text nor as binary.
    NoHeader,
    /// A text header whose line does not end within 107 bytes.
    Line,
    /// A text header with a word that is not one of the specification's.
    Words,
    /// A binary header of another version, command, family or protocol.
    Kind,
    /// A binary header whose length is too small for its addresses, or too large for us.
    Length,
    /// A binary header whose TLVs do not add up to its length.
    Tlv,
    /// A binary header whose checksum is wrong.
    Checksum,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "no PROXY header",
            Self::Line => "a PROXY line of more than 107 bytes",
            Self::Words => "a PROXY line that is not understood",
            Self::Kind => "a PROXY header of an unknown version, command or family",
            Self::Length => "a PROXY header of a wrong length",
            Self::Tlv => "a PROXY header with broken TLVs",
            Self::Checksum => "a PROXY header with a wrong checksum",
        })
    }
}

impl std::error::Error for Bad {}

/// Looks at the first bytes of a connection.
///
/// # Errors
/// When no header can begin so, whatever follows.
pub fn parse(bytes: &[u8]) -> Result<Step, Bad> {
    let binary = bytes.len().min(SIGNATURE.len());
    if bytes[..binary] == SIGNATURE[..binary] {
        return v2(bytes);
    }
    let text = bytes.len().min(PROXY.len());
    if bytes[..text] == PROXY[..text] {
        return v1(bytes);
    }
    Err(Bad::NoHeader)
}

/// Section 2.1.
const PROXY: &[u8] = b"PROXY ";

fn v1(bytes: &[u8]) -> Result<Step, Bad> {
    let window = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() < V1_MAX { Ok(Step::More) } else { Err(Bad::Line) };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(Bad::Line)?;
    let line = std::str::from_utf8(&line[PROXY.len()..]).map_err(|_| Bad::Words)?;
    let whole = |header| Ok(Step::Whole(header, end + 1));
    // "the receiver must ignore anything presented before the CRLF"
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return whole(Header::Own);
    }
    let mut words = line.split(' ');
    let family = words.next();
    let mut word = || words.next().ok_or(Bad::Words);
    let (from, to, from_port, to_port) = (word()?, word()?, word()?, word()?);
    if words.next().is_some() {
        return Err(Bad::Words);
    }
    let (from, to): (IpAddr, IpAddr) = match family {
        Some("TCP4") => (address::<Ipv4Addr>(from)?.into(), address::<Ipv4Addr>(to)?.into()),
        Some("TCP6") => (address::<Ipv6Addr>(from)?.into(), address::<Ipv6Addr>(to)?.into()),
        Some(_) | None => return Err(Bad::Words),
    };
    whole(Header::For {
        client: SocketAddr::new(from.to_canonical(), port(from_port)?),
        local: SocketAddr::new(to.to_canonical(), port(to_port)?),
    })
}

fn address<T: FromStr>(word: &str) -> Result<T, Bad> {
    word.parse().map_err(|_| Bad::Words)
}

/// "one to five digits, no leading zero"
fn port(word: &str) -> Result<u16, Bad> {
    let plain = word == "0" || (!word.starts_with('0') && word.bytes().all(|b| b.is_ascii_digit()));
    if plain { word.parse().map_err(|_| Bad::Words) } else { Err(Bad::Words) }
}

fn v2(bytes: &[u8]) -> Result<Step, Bad> {
    // What is known to be wrong is refused before the rest of it is waited for.
    if let Some(kind) = bytes.get(12) {
        // Version 2; LOCAL or PROXY.
        if !matches!(kind, 0x20 | 0x21) {
            return Err(Bad::Kind);
        }
    }
    let Some(fixed) = bytes.get(..FIXED) else { return Ok(Step::More) };
    let len = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let whole = FIXED + len;
    if whole > MAX {
        return Err(Bad::Length);
    }
    let local = fixed[12] == 0x20;
    let addresses = match (local, fixed[13]) {
        // "The receiver must accept this connection as valid and must use the real connection
        // endpoints and discard the protocol block including the family".
        (true, _) => 0,
        // UNSPEC: "the receiver should ignore address information".
        (false, 0x00) => 0,
        (false, 0x11) => 12,
        (false, 0x21) => 36,
        // Datagrams have no stream, and a Unix socket no address that could be a client's.
        (false, _) => return Err(Bad::Kind),
    };
    if len < addresses {
        return Err(Bad::Length);
    }
    let Some(header) = bytes.get(..whole) else { return Ok(Step::More) };
    if addresses == 0 {
        return Ok(Step::Whole(Header::Own, whole));
    }
    let (block, tlvs) = header[FIXED..].split_at(addresses);
    check_tlvs(header, tlvs)?;
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    let (from, to, ports) = if addresses == 12 {
        let ip = |at: usize| IpAddr::from([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        (ip(0), ip(4), 8)
    } else {
        let ip = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&block[at..at + 16]);
            IpAddr::from(octets)
        };
        (ip(0), ip(16), 32)
    };
    let header = Header::For {
        client: SocketAddr::new(from.to_canonical(), port(ports)),
        local: SocketAddr::new(to.to_canonical(), port(ports + 2)),
    };
    Ok(Step::Whole(header, whole))
}

/// Section 2.2: type, length, value, up to the end; the checksum, where there is one, holds.
fn check_tlvs(header: &[u8], mut tlvs: &[u8]) -> Result<(), Bad> {
    while let [kind, high, low, rest @ ..] = tlvs {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, after) = rest.split_at_checked(len).ok_or(Bad::Tlv)?;
        if *kind == TLV_CRC32C {
            let sent = value.try_into().map(u32::from_be_bytes).map_err(|_| Bad::Tlv)?;
            let at = header.len() - after.len() - value.len();
            // Section 2.2.3: computed with the checksum's own bytes as zeros.
            let sum = [&header[..at], &[0; 4], after].into_iter().fold(crc32c::START, crc32c::add);
            if crc32c::end(sum) != sent {
                return Err(Bad::Checksum);
            }
        }
        tlvs = after;
    }
    if tlvs.is_empty() { Ok(()) } else { Err(Bad::Tlv) }
}
