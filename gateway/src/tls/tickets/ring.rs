//! The secrets that tickets are sealed with: when one is drawn, how long it opens what it sealed, and
//! how they lie in a file. No clock and no file is touched here.

use crate::secrets::equal;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use aws_lc_rs::rand;
use std::fmt;
use zeroize::Zeroizing;

/// Seconds that a ticket is good for, as clients are told.
pub(super) const LIFETIME: u32 = 12 * 60 * 60;
/// Seconds that a secret seals tickets for, at least.
const TURN: u64 = 6 * 60 * 60;
/// And so many seconds more at most, different for each secret: gateways that were started together
/// do not all draw at once.
const JITTER: u64 = 30 * 60;
/// A secret from the future is used when it is not further off than this: clocks are put back a little.
const SLACK: u64 = 60 * 60;
/// Secrets that are kept. By their ages there are never more, unless the clock is turned to and fro.
const MOST: usize = 4;

/// Bytes of a secret.
const SECRET: usize = 32;
/// The name and version of the file's format.
const MAGIC: &[u8] = b"sluice tickets 1\n";
/// Bytes of a secret in a file: its time, then itself.
const RECORD: usize = 8 + SECRET;

/// One secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret {
    /// When it was drawn, seconds since 1970.
    made: u64,
    bytes: Zeroizing<[u8; SECRET]>,
}

impl Secret {
    /// `None` when the system draws no random numbers.
    fn drawn(now: u64) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; SECRET]);
        rand::fill(&mut bytes[..]).ok()?;
        Some(Self { made: now, bytes })
    }

    /// What keys are derived from.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..]
    }

    /// Until when it seals: the jitter is its own, and the same after a restart.
    fn seals_until(&self) -> u64 {
        let drawn = digest(&SHA256, &self.bytes[..]);
        let drawn = u64::from(u16::from_be_bytes([drawn.as_ref()[0], drawn.as_ref()[1]]));
        self.made.saturating_add(TURN + drawn * JITTER / u64::from(u16::MAX))
    }

    fn opens(&self, now: u64) -> bool {
        let ends = self.seals_until().saturating_add(u64::from(LIFETIME));
        self.made <= now.saturating_add(SLACK) && now < ends
    }
}

/// The secrets of a gateway, the newest first. That one seals, all of them open.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Ring(Vec<Secret>);

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ring").field(&self.0.len()).finish()
    }
}

impl Ring {
    /// What it is at a time (seconds since 1970): without what has ended, and with a new secret when
    /// none seals any more. `None` when it stays as it is, or nothing can be drawn.
    pub(super) fn turned(&self, now: u64) -> Option<Self> {
        let mut secrets: Vec<Secret> = self.0.iter().filter(|secret| secret.opens(now)).cloned().collect();
        if secrets.first().is_none_or(|newest| now >= newest.seals_until()) {
            secrets.insert(0, Secret::drawn(now)?);
            secrets.truncate(MOST);
        }
        let turned = Self(secrets);
        (turned != *self).then_some(turned)
    }

    /// The newest first.
    pub(super) fn secrets(&self) -> &[Secret] {
        &self.0
    }

    /// As it lies in a file: what it is, the secrets, a checksum over both.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Room for all of it: a vector that grows leaves secrets behind.
        let mut file = Zeroizing::new(Vec::with_capacity(MAGIC.len() + self.0.len() * RECORD + SHA256_OUTPUT_LEN));
        file.extend_from_slice(MAGIC);
        for secret in &self.0 {
            file.extend_from_slice(&secret.made.to_be_bytes());
            file.extend_from_slice(&secret.bytes[..]);
        }
        let sum = digest(&SHA256, &file);
        file.extend_from_slice(sum.as_ref());
        file
    }

    /// Reads what [`Ring::encode`] wrote; `None` for anything else.
    #[must_use]
    pub fn decode(file: &[u8]) -> Option<Self> {
        let (content, sum) = file.split_last_chunk::<SHA256_OUTPUT_LEN>()?;
        if !equal(digest(&SHA256, content).as_ref(), sum) {
            return None;
        }
        let (records, rest) = content.strip_prefix(MAGIC)?.as_chunks::<RECORD>();
        if !rest.is_empty() || records.len() > MOST {
            return None;
        }
        let secrets = records.iter().map(|record| {
            let (made, bytes) = record.split_first_chunk::<8>().expect("a record begins with its time");
            let mut secret = Secret { made: u64::from_be_bytes(*made), bytes: Zeroizing::new([0; SECRET]) };
            secret.bytes.copy_from_slice(bytes);
            secret
        });
        Some(Self(secrets.collect()))
    }
}
