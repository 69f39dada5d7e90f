//! Hellos on their way: a client's first datagrams, until its hello is whole and says where they go.
//!
//! A hello with a post-quantum key share needs two datagrams, which may come in either order, and
//! clients cut it into many frames on purpose. What is not whole is kept for a while and within
//! bounds: a flood of half hellos pushes out half hellos, the oldest first, and nothing else.

use super::initial::{Keys, crypto};
use super::packet::{Header, Kind, LONGEST_CID, Long, SHORTEST_INITIAL};
use crate::listen::hello::LONGEST;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// How long a hello may be on its way: a lost datagram is sent again after a second, then two.
pub const PATIENCE_MS: u64 = 3_000;
/// Hellos on their way, for each socket.
pub const PENDING: usize = 256;
/// Datagrams that are kept for one hello: 16 KB of it fill fourteen.
const DATAGRAMS: usize = 16;
/// Bytes that are kept for one hello.
const BYTES: usize = 24 * 1024;
/// Parts of a hello that have gaps between them.
const PARTS: usize = 64;
/// Packets that are looked at in a datagram.
const PACKETS: usize = 8;
/// What a TLS record carries (RFC 8446 section 5.1).
const FRAGMENT: usize = 1 << 14;

/// Why a datagram leads to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dropped {
    /// No QUIC packet, or none that begins a connection.
    NotInitial,
    /// A version that is not known here.
    Version,
    /// An Initial packet in a datagram of less than 1200 bytes (RFC 9000 section 14.1).
    Short,
    /// It does not decrypt, or holds what it must not.
    Malformed,
    /// More datagrams, bytes or parts than a hello has.
    TooLong,
}

/// What became of a datagram.
#[derive(Debug)]
pub enum Offered {
    /// It made the hello whole.
    Whole(Box<Collected>),
    /// It is kept, or brought nothing new.
    Kept,
    /// It leads to nothing.
    Dropped(Dropped),
}

/// A hello that is whole.
#[derive(Debug)]
pub struct Collected {
    /// The hello, as a TLS client would send it.
    pub hello: Vec<u8>,
    /// The datagrams before the one that made it whole, in the order of their arrival.
    pub before: Vec<Box<[u8]>>,
    /// The connection ID that the client drew for the server.
    pub drawn: Cid,
    /// The client's own.
    pub client: Cid,
}

/// A connection ID.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cid {
    length: u8,
    bytes: [u8; LONGEST_CID],
}

impl Cid {
    /// From its bytes; `None` for more than 20.
    #[must_use]
    pub fn of(cid: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONGEST_CID];
        bytes.get_mut(..cid.len())?.copy_from_slice(cid);
        Some(Self { length: u8::try_from(cid.len()).ok()?, bytes })
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for Cid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The hellos that are on their way to a socket.
#[derive(Debug, Default)]
pub struct Collector {
    /// Oldest first: few enough to be looked through.
    pending: VecDeque<Pending>,
    /// Where packets are decrypted: what is handed on must stay as it is.
    scratch: Vec<u8>,
    forgotten: u64,
}

#[derive(Debug)]
struct Pending {
    client: SocketAddr,
    drawn: Cid,
    since: u64,
    keys: Keys,
    stream: Stream,
    datagrams: Vec<Box<[u8]>>,
    bytes: usize,
}

impl Collector {
    /// Takes the datagram of a client that belongs to no flow. `now` in milliseconds.
    pub fn offer(&mut self, client: SocketAddr, datagram: &[u8], now: u64) -> Offered {
        self.expire(now);
        match self.take(client, datagram, now) {
            Ok(Some(collected)) => Offered::Whole(Box::new(collected)),
            Ok(None) => Offered::Kept,
            Err(dropped) => Offered::Dropped(dropped),
        }
    }

    /// Forgets the hellos that did not become whole in time.
    pub fn expire(&mut self, now: u64) {
        while self.pending.front().is_some_and(|oldest| oldest.since + PATIENCE_MS <= now) {
            self.pending.pop_front();
            self.forgotten += 1;
        }
    }

    /// How many hellos were forgotten before they were whole, since this was asked last.
    pub fn forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    /// How many hellos are on their way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn take(&mut self, client: SocketAddr, datagram: &[u8], now: u64) -> Result<Option<Collected>, Dropped> {
        let Some(Header::Long(long)) = Header::of(datagram) else { return Err(Dropped::NotInitial) };
        let version = long.version().ok_or(Dropped::Version)?;
        let drawn = Cid::of(long.to).ok_or(Dropped::Malformed)?;
        let place = self.pending.iter().rposition(|p| p.drawn == drawn && p.client == client);
        match long.kind() {
            Some(Kind::Initial) if datagram.len() < SHORTEST_INITIAL => return Err(Dropped::Short),
            Some(Kind::Initial) => {}
            // Sent behind the hello: it waits with it.
            Some(Kind::ZeroRtt) => {
                let pending = place.and_then(|place| self.pending.get_mut(place)).ok_or(Dropped::NotInitial)?;
                pending.keep(datagram)?;
                return Ok(None);
            }
            _ => return Err(Dropped::NotInitial),
        }
        let mut fresh = None;
        let pending = match place.and_then(|place| self.pending.get_mut(place)) {
            Some(pending) => pending,
            None => fresh.insert(Pending {
                client,
                drawn,
                since: now,
                keys: Keys::of(version, long.to).ok_or(Dropped::Version)?,
                stream: Stream::default(),
                datagrams: Vec::new(),
                bytes: 0,
            }),
        };
        let new = pending.read(long, datagram, &mut self.scratch)?;
        if let Some(message) = pending.stream.whole()? {
            let hello = records(message);
            let before = std::mem::take(&mut pending.datagrams);
            if let Some(place) = place {
                self.pending.remove(place);
            }
            let client = Cid::of(long.from).ok_or(Dropped::Malformed)?;
            return Ok(Some(Collected { hello, before, drawn, client }));
        }
        if new {
            pending.keep(datagram)?;
            // Only what decrypts takes the place of others.
            if let Some(fresh) = fresh {
                if self.pending.len() >= PENDING {
                    self.pending.pop_front();
                    self.forgotten += 1;
                }
                self.pending.push_back(fresh);
            }
        }
        Ok(None)
    }
}

impl Pending {
    /// Reads the Initial packets of a datagram. Whether they brought something new.
    fn read(&mut self, long: Long<'_>, datagram: &[u8], scratch: &mut Vec<u8>) -> Result<bool, Dropped> {
        scratch.clear();
        scratch.extend_from_slice(datagram);
        let mut new = false;
        let mut at = 0;
        for number in 0..PACKETS {
            let rest = &mut scratch[at..];
            let next = match Header::of(rest) {
                // RFC 9000 section 12.2: packets for another connection are not looked at.
                Some(Header::Long(next)) if next.to == self.drawn.bytes() && next.version == long.version => next,
                _ => break,
            };
            let Some(end) = next.end(rest) else { return if number == 0 { Err(Dropped::Malformed) } else { Ok(new) } };
            if next.kind() == Some(Kind::Initial) {
                let initial = next.initial(rest).ok_or(Dropped::Malformed)?;
                let payload = self.keys.open(rest, initial).ok_or(Dropped::Malformed)?;
                crypto(payload, |offset, bytes| {
                    new |= self.stream.insert(offset, bytes)?;
                    Ok(())
                })?;
            }
            at += end;
        }
        Ok(new)
    }

    /// Keeps a datagram until the hello is whole.
    fn keep(&mut self, datagram: &[u8]) -> Result<(), Dropped> {
        if self.datagrams.len() >= DATAGRAMS || self.bytes + datagram.len() > BYTES {
            return Err(Dropped::TooLong);
        }
        self.bytes += datagram.len();
        self.datagrams.push(datagram.into());
        Ok(())
    }
}

/// What CRYPTO frames carry, put in order.
#[derive(Debug, Default)]
struct Stream {
    bytes: Vec<u8>,
    /// What of it has arrived: in order, apart from each other.
    parts: Vec<(usize, usize)>,
}

impl Stream {
    /// Puts bytes where they belong. Whether there was something new.
    fn insert(&mut self, offset: u64, bytes: &[u8]) -> Result<bool, Dropped> {
        let from = usize::try_from(offset).map_err(|_| Dropped::TooLong)?;
        let to = from.checked_add(bytes.len()).filter(|to| *to <= LONGEST).ok_or(Dropped::TooLong)?;
        // Those that it touches or overlaps become one with it.
        let first = self.parts.partition_point(|(_, end)| *end < from);
        let last = self.parts.partition_point(|(begin, _)| *begin <= to);
        let mut joined = (from, to);
        for (begin, end) in &self.parts[first..last] {
            let (same_from, same_to) = ((*begin).max(from), (*end).min(to));
            // Two texts for one place: the upstream could read the other one.
            if same_from < same_to && self.bytes[same_from..same_to] != bytes[same_from - from..same_to - from] {
                return Err(Dropped::Malformed);
            }
            if *begin <= from && to <= *end {
                return Ok(false);
            }
            joined = (joined.0.min(*begin), joined.1.max(*end));
        }
        if bytes.is_empty() {
            return Ok(false);
        }
        if first == last && self.parts.len() >= PARTS {
            return Err(Dropped::TooLong);
        }
        if self.bytes.len() < to {
            self.bytes.resize(to, 0);
        }
        self.bytes[from..to].copy_from_slice(bytes);
        self.parts.splice(first..last, [joined]);
        Ok(true)
    }

    /// The hello, when all of it is there.
    fn whole(&self) -> Result<Option<&[u8]>, Dropped> {
        let Some((0, end)) = self.parts.first() else { return Ok(None) };
        let Some(header) = self.bytes[..*end].first_chunk::<4>() else { return Ok(None) };
        let [kind, a, b, c] = *header;
        if kind != 1 {
            return Err(Dropped::Malformed);
        }
        let length = 4 + usize::from(a) * 65_536 + usize::from(b) * 256 + usize::from(c);
        if length > LONGEST {
            return Err(Dropped::TooLong);
        }
        Ok((*end >= length).then(|| &self.bytes[..length]))
    }
}

/// A handshake message in TLS records: one reader for all hellos.
fn records(message: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(message.len() + 10);
    for piece in message.chunks(FRAGMENT) {
        raw.extend_from_slice(&[22, 3, 1]);
        // At most 2^14.
        raw.extend_from_slice(&(piece.len() as u16).to_be_bytes());
        raw.extend_from_slice(piece);
    }
    raw
}

#[cfg(test)]
#[path = "collector_tests.rs"]
mod tests;
