//! Opening Initial packets. Their keys come from the connection ID that the client drew and a number
//! that each version publishes (RFC 9001 section 5.2, RFC 9369 section 3.3.1): they protect against
//! accidents, not against readers.

use super::collector::Dropped;
use super::packet::{Initial, varint};
use rustls::Side;
use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::quic::{DirectionalKeys, Version};
use std::fmt;

/// A packet number has four bytes at most, and the sample of header protection begins behind them
/// (RFC 9001 section 5.4.2).
const LONGEST_NUMBER: usize = 4;

/// What a client's Initial packets are encrypted with.
pub struct Keys(DirectionalKeys);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// Of the connection whose client drew this ID for the server.
    ///
    /// `None` where the crypto provider has no QUIC, which ours has.
    #[must_use]
    pub fn of(version: Version, drawn: &[u8]) -> Option<Self> {
        let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else { return None };
        // What the client sends is what a server's remote side sends.
        Some(Self(suite.quic_suite()?.keys(drawn, Side::Server, version).remote))
    }

    /// Decrypts a packet in place, which begins where `datagram` does. `None`: it is not what it says,
    /// and whatever it was is gone.
    ///
    /// The first packets of a connection have small numbers, which are sent whole: no number that was
    /// seen before is needed to complete them (RFC 9000 section 17.1).
    pub fn open<'d>(&self, datagram: &'d mut [u8], initial: Initial) -> Option<&'d [u8]> {
        let packet = datagram.get_mut(..initial.end)?;
        let (at, sample_at) = (initial.number, initial.number + LONGEST_NUMBER);
        // RFC 9001 section 5.4: the mask of a sample lies over the first byte and the number.
        let mut first = *packet.first()?;
        let mut number: [u8; LONGEST_NUMBER] = packet.get(at..sample_at)?.try_into().ok()?;
        let sample = packet.get(sample_at..sample_at + self.0.header.sample_len())?;
        self.0.header.decrypt_in_place(sample, &mut first, &mut number).ok()?;
        let length = usize::from(first & 3) + 1;
        packet[0] = first;
        packet[at..at + length].copy_from_slice(&number[..length]);
        let number = number[..length].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let (header, payload) = packet.split_at_mut(at + length);
        self.0.packet.decrypt_in_place(number, header, payload).ok()
    }
}

/// Hands the CRYPTO frames of a client's Initial packet on: where each belongs, and its bytes.
///
/// # Errors
/// [`Dropped::Malformed`] where something else is in it than such a packet may hold (RFC 9000
/// section 12.4, table 3), or the client closes the connection; what `take` says otherwise.
pub fn crypto<'p>(
    payload: &'p [u8],
    mut take: impl FnMut(u64, &'p [u8]) -> Result<(), Dropped>,
) -> Result<(), Dropped> {
    let mut at = 0;
    while at < payload.len() {
        if let Some((offset, bytes)) = frame(payload, &mut at).ok_or(Dropped::Malformed)? {
            take(offset, bytes)?;
        }
    }
    Ok(())
}

/// A frame: what a CRYPTO frame carries.
fn frame<'p>(payload: &'p [u8], at: &mut usize) -> Option<Option<(u64, &'p [u8])>> {
    match varint(payload, at)? {
        // PADDING, PING.
        0 | 1 => Some(None),
        // ACK, with ranges, and with counts of ECN.
        kind @ (2 | 3) => {
            let [_largest, _delay, ranges, _first] = numbers(payload, at)?;
            for _ in 0..ranges {
                let [_gap, _length] = numbers(payload, at)?;
            }
            if kind == 3 {
                let [_, _, _] = numbers(payload, at)?;
            }
            Some(None)
        }
        6 => {
            let [offset, length] = numbers(payload, at)?;
            let end = at.checked_add(usize::try_from(length).ok()?)?;
            let bytes = payload.get(*at..end)?;
            *at = end;
            Some(Some((offset, bytes)))
        }
        _ => None,
    }
}

fn numbers<const N: usize>(bytes: &[u8], at: &mut usize) -> Option<[u64; N]> {
    let mut all = [0; N];
    for one in &mut all {
        *one = varint(bytes, at)?;
    }
    Some(all)
}

#[cfg(test)]
#[path = "initial_tests.rs"]
mod tests;
