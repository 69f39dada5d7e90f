//! The beginning of a request's body, taken before it is decided where the request goes.
//!
//! It lies in memory, so it is bounded three times: per request by `inspect`, in time by the one who takes it, and
//! over the whole process by a budget. INVARIANT: what was taken is sent on byte for byte, before the rest.

use bytes::Bytes;
use dsl::body::Taken;
use http::HeaderMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of bodies that may lie here at once, over the whole process.
pub const MOST_HELD: usize = 64 << 20;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// What was taken of a body.
#[derive(Debug, Default)]
pub enum Beginning {
    /// Nothing, so far.
    #[default]
    Untaken,
    /// There is no body.
    Nothing,
    /// This.
    Some(Box<Prefix>),
}

/// Bytes from the start of a body.
#[derive(Debug)]
pub struct Prefix {
    bytes: Vec<u8>,
    /// What came behind it, where that was taken too.
    pub trailers: Option<HeaderMap>,
    /// Whether nothing comes after it.
    pub ended: bool,
    /// Whether the client said beforehand how long the body is: it is said again to the origin, and only then.
    pub measured: bool,
    held: Held,
}

/// A part of the budget, given back when it is dropped.
#[derive(Debug, Default)]
struct Held(usize);

impl Beginning {
    /// As a program reads it.
    #[must_use]
    pub fn taken(&self) -> Option<Taken<'_>> {
        match self {
            Self::Untaken => None,
            Self::Nothing => Some(Taken { bytes: &[], whole: true }),
            Self::Some(prefix) => Some(Taken { bytes: &prefix.bytes, whole: prefix.ended }),
        }
    }
}

impl Prefix {
    /// Nothing of a body yet, whose length was said beforehand or was not.
    #[must_use]
    pub fn new(measured: bool) -> Self {
        Self { bytes: Vec::new(), trailers: None, ended: false, measured, held: Held::default() }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is neither a byte nor a trailer in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.trailers.is_none()
    }

    /// Adds what comes next; false where the process holds as much as it may.
    #[must_use]
    pub fn add(&mut self, piece: &[u8]) -> bool {
        if self.bytes.len() + piece.len() > self.bytes.capacity() {
            // What is asked for is what is counted: doubling is done here, not by the vector.
            let room = (self.bytes.len() + piece.len()).max(2 * self.bytes.capacity());
            if !self.held.grow(room) {
                return false;
            }
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        true
    }

    /// Its bytes, to be sent; what they take of the budget is given back when nobody has them any more.
    #[must_use]
    pub fn take_bytes(&mut self) -> Option<Bytes> {
        if self.bytes.is_empty() {
            return None;
        }
        let (bytes, held) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.held));
        Some(Bytes::from_owner(Sent { bytes, _held: held }))
    }
}

struct Sent {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Held {
    fn grow(&mut self, to: usize) -> bool {
        let more = to.saturating_sub(self.0);
        if HELD.fetch_add(more, Ordering::Relaxed).saturating_add(more) > MOST_HELD {
            HELD.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.0 += more;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_kept_and_given_back() {
        let mut prefixes = Vec::new();
        let piece = vec![b'x'; 1 << 20];
        let taken = loop {
            let mut prefix = Prefix::new(true);
            if !prefix.add(&piece) {
                break prefixes.len();
            }
            prefixes.push(prefix);
            assert!(prefixes.len() <= MOST_HELD >> 20, "there is a bound");
        };
        assert!(taken > 32, "{taken}");
        // What is on its way still counts …
        let sent = prefixes.pop().and_then(|mut prefix| prefix.take_bytes()).expect("it has bytes");
        assert!(!Prefix::new(true).add(&piece));
        // … until it is gone.
        drop(sent);
        let mut again = Prefix::new(true);
        assert!(again.add(&piece));
        assert_eq!(again.len(), piece.len());
    }

    #[test]
    fn bytes_are_sent_as_they_came() {
        let mut prefix = Prefix::new(false);
        assert!(prefix.add(b"ab") && prefix.add(b"") && prefix.add(b"cd"));
        assert_eq!(prefix.take_bytes().expect("there are some"), "abcd");
        assert!(prefix.is_empty() && prefix.take_bytes().is_none());
    }
}
