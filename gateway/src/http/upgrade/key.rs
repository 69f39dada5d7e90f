//! The key of a handshake that the gateway makes, and what an origin must answer to it (RFC 6455
//! section 4.2.2).

use aws_lc_rs::{digest, rand};
use http::header::HeaderValue;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A key, and the proof that an origin has read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// `Sec-WebSocket-Key`
    pub key: HeaderValue,
    /// `Sec-WebSocket-Accept`
    pub accept: HeaderValue,
}

impl Key {
    /// A fresh one.
    #[must_use]
    pub fn fresh() -> Self {
        let mut nonce = [0; 16];
        rand::fill(&mut nonce).expect("the system gives random numbers, without which there is no TLS either");
        Self::of(base64(&nonce))
    }

    fn of(key: HeaderValue) -> Self {
        let text = [key.as_bytes(), GUID].concat();
        let accept = base64(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &text).as_ref());
        Self { key, accept }
    }
}

/// RFC 4648 section 4, with padding.
fn base64(bytes: &[u8]) -> HeaderValue {
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            // Six bits: an index of the alphabet.
            let letter = ALPHABET[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= three.len() { letter } else { b'=' });
        }
    }
    HeaderValue::from_bytes(&text).expect("letters, digits, `+`, `/` and `=` are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let key = Key::of(HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(key.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn base64_as_in_rfc_4648() {
        for (bytes, text) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("", "")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn no_two_are_the_same() {
        let (one, other) = (Key::fresh(), Key::fresh());
        assert_ne!(one, other);
        assert_eq!(one.key.len(), 24);
    }
}
