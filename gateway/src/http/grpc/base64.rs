//! Base64 (RFC 4648 section 4) in pieces of any length.

use bytes::{BufMut, Bytes, BytesMut};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What came of a group of four characters.
#[derive(Debug, Default)]
pub struct Decoder {
    bits: u32,
    /// Characters of the group so far, padding included.
    taken: u8,
    /// Of them padding.
    padding: u8,
}

impl Decoder {
    /// Takes more characters; `None` when one of them has no place there. Padding ends a group, and
    /// another group may follow: clients send each piece padded.
    pub fn decode(&mut self, text: &[u8]) -> Option<Bytes> {
        let mut data = BytesMut::with_capacity(text.len() / 4 * 3 + 3);
        for byte in text {
            let value = match byte {
                b'=' if self.taken >= 2 => {
                    self.padding += 1;
                    0
                }
                _ if self.padding > 0 => return None,
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            self.bits = self.bits << 6 | u32::from(value);
            self.taken += 1;
            if self.taken == 4 {
                let kept = 3 - usize::from(self.padding);
                let [_, bytes @ ..] = self.bits.to_be_bytes();
                // What padding stands for is zero: anything else says one thing in two ways.
                if bytes[kept..].iter().any(|byte| *byte != 0) {
                    return None;
                }
                data.put_slice(&bytes[..kept]);
                *self = Self::default();
            }
        }
        Some(data.freeze())
    }

    /// Whether no group is begun.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.taken == 0
    }
}

/// Encodes a piece, padded.
#[must_use]
pub fn encode(data: &[u8]) -> Bytes {
    let mut text = BytesMut::with_capacity(data.len().div_ceil(3) * 4);
    for group in data.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| group.get(at).copied().unwrap_or(0));
        let bits = u32::from_be_bytes([0, a, b, c]);
        for at in 0..4 {
            let value = (bits >> (18 - 6 * at)) & 63;
            text.put_u8(if at > group.len() { b'=' } else { ALPHABET[value as usize] });
        }
    }
    text.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_in_pieces() {
        for (data, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy"), ("\u{ff}>?", "w78+Pw==")]
        {
            assert_eq!(encode(data.as_bytes()), text);
            for cut in 0..=text.len() {
                let mut decoder = Decoder::default();
                let first = decoder.decode(&text.as_bytes()[..cut]).expect(text);
                let second = decoder.decode(&text.as_bytes()[cut..]).expect(text);
                assert_eq!([first, second].concat(), data.as_bytes());
                assert!(decoder.is_whole());
            }
        }
        // One padded piece after another.
        assert_eq!(Decoder::default().decode(b"Zg==Zm8=Zm9v").expect("it is"), "ffofoo");
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for text in ["Z===", "=", "Zg=a", "Zm9v!", "Zm 9v", "Zg\n==", "Zh==", "Zm9=", "Z-_="] {
            assert_eq!(Decoder::default().decode(text.as_bytes()), None, "{text}");
        }
        let mut begun = Decoder::default();
        assert!(begun.decode(b"Zm9vZ").is_some() && !begun.is_whole());
    }
}
