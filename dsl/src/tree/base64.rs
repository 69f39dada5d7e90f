//! Base64 of the standard alphabet (RFC 4648 section 4), strictly: bytes have one text.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text of some bytes, without padding.
#[must_use]
pub fn encode_bare(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let group = three.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(char::from(LETTERS[(group >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}

/// What a letter stands for.
fn value(letter: u8) -> Option<u32> {
    Some(u32::from(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// The bytes of a text without padding; `None` where it is not their one text.
#[must_use]
pub fn decode_bare(text: &str) -> Option<Vec<u8>> {
    // One letter more than whole groups has fewer bits than a byte.
    if text.len() % 4 == 1 {
        return None;
    }
    let (mut bytes, mut group, mut bits) = (Vec::with_capacity(text.len() * 3 / 4), 0_u32, 0);
    for letter in text.bytes() {
        group = group << 6 | value(letter)?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(group >> bits).ok()?);
            group &= (1 << bits) - 1;
        }
    }
    // What is left over says nothing: else there would be several texts of the same bytes.
    (group == 0).then_some(bytes)
}

/// The bytes of a text with its padding; `None` where it is not their one text.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    (text.len().is_multiple_of(4) && padding < 3).then(|| decode_bare(bare))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_rfc_4648() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (bytes, text) in vectors {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
            assert_eq!(decode_bare(text.trim_end_matches('=')).as_deref(), Some(bytes.as_bytes()), "{text}");
            assert_eq!(encode_bare(bytes.as_bytes()), text.trim_end_matches('='));
        }
        assert_eq!(decode("+/8="), Some(vec![0xfb, 0xff]));
    }

    #[test]
    fn bytes_have_one_text() {
        for other in ["Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9v====", "-_8=", "Zm9v\n", "Z g=", "=Zg="] {
            assert_eq!(decode(other), None, "{other:?}");
        }
        for other in ["Zg==", "Z", "Zh", "-_8"] {
            assert_eq!(decode_bare(other), None, "{other:?}");
        }
    }
}
