//! base64url without padding (RFC 4648 section 5), of so many bytes and no others.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The text of some bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let group = three.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(char::from(ALPHABET[(group >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}

/// The bytes of a text; `None` where it is not the one text of exactly so many bytes.
pub(super) fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != (N * 8).div_ceil(6) {
        return None;
    }
    let (mut bytes, mut at, mut group, mut bits) = ([0; N], 0, 0_u32, 0);
    for letter in text {
        let value = ALPHABET.iter().position(|known| known == letter)? as u32;
        group = group << 6 | value;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            *bytes.get_mut(at)? = (group >> bits) as u8;
            at += 1;
            group &= (1 << bits) - 1;
        }
    }
    // What is left over says nothing: else there would be several texts of the same bytes.
    (group == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_rfc_4648() {
        for (bytes, text) in [("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(bytes.as_bytes()), text);
        }
        assert_eq!(encode(&[0xfb, 0xff]), "-_8");
        assert_eq!(decode(b"-_8"), Some([0xfb, 0xff]));
        assert_eq!(decode(b"Zm9vYg"), Some(*b"foob"));
    }

    #[test]
    fn bytes_have_one_text() {
        assert_eq!(decode::<4>(b"Zm9vYh"), None, "bits that say nothing");
        for other in [&b"Zm9vY"[..], b"Zm9vYg=", b"Zm9vYmF", b"Zm9v+g", b"Zm9v g"] {
            assert_eq!(decode::<4>(other), None, "{other:?}");
        }
    }
}
