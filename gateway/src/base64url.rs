//! base64url without padding (RFC 4648 section 5), strictly: bytes have one text.

use zeroize::Zeroizing;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// What a byte of a text stands for; above 63: it is no letter of it.
const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut at = 0;
    while at < ALPHABET.len() {
        values[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// The text of some bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let group = three.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(char::from(ALPHABET[(group >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}

/// The text of some bytes in the other alphabet, padded (RFC 4648 section 4): for headers.
pub(crate) fn encode_padded(bytes: &[u8]) -> String {
    let mut text = encode(bytes).replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// The bytes of a text; `None` where it is not their one text.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    // One letter more than whole groups has fewer bits than a byte.
    if text.len() % 4 == 1 {
        return None;
    }
    let (mut bytes, mut group, mut bits) = (Vec::with_capacity(text.len() * 3 / 4), 0_u32, 0);
    for letter in text {
        let value = VALUES[usize::from(*letter)];
        if value > 63 {
            return None;
        }
        group = group << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits) as u8);
            group &= (1 << bits) - 1;
        }
    }
    // What is left over says nothing: else there would be several texts of the same bytes.
    (group == 0).then_some(bytes)
}

/// The same, of exactly so many bytes.
pub(crate) fn decode_exactly<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    (text.len() == (N * 8).div_ceil(6)).then(|| decode(text)?.try_into().ok())?
}

/// The bytes of a text that somebody copied: in either alphabet, padded or not, blanks around it left out; `None` where
/// it is no base64.
pub(crate) fn decode_copied(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let in_ours = |letter: &u8| match letter {
        b'+' => b'-',
        b'/' => b'_',
        other => *other,
    };
    decode(&Zeroizing::new(text.iter().map(in_ours).collect::<Vec<u8>>()))
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
        assert_eq!(decode(b"-_8"), Some(vec![0xfb, 0xff]));
        assert_eq!(decode_exactly(b"Zm9vYg"), Some(*b"foob"));
        assert_eq!(decode(b""), Some(Vec::new()));
    }

    #[test]
    fn what_was_copied_is_read_in_any_spelling() {
        for text in ["Zm9vYg==", "Zm9vYg", " Zm9vYg==\n"] {
            assert_eq!(decode_copied(text.as_bytes()).as_deref(), Some(b"foob".as_slice()), "{text}");
        }
        for text in [" -_8\n", "+/8=", "+_8"] {
            assert_eq!(decode_copied(text.as_bytes()).as_deref(), Some([0xfb, 0xff].as_slice()), "{text}");
        }
        for wrong in ["Z", "Zh==", "Z!==", "Zm9v Zm9v"] {
            assert_eq!(decode_copied(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn bytes_have_one_text() {
        assert_eq!(decode(b"Zm9vYh"), None, "bits that say nothing");
        for other in [&b"Zm9vYg="[..], b"Zm9v+g", b"Zm9v/g", b"Zm9v g", b"Zm9vY", b"Z", b"Zg\n"] {
            assert_eq!(decode(other), None, "{other:?}");
        }
        for other in [&b"Zm9vY"[..], b"Zm9vYg=", b"Zm9vYmF", b"Zm9v+g", b"Zm9v g"] {
            assert_eq!(decode_exactly::<4>(other), None, "{other:?}");
        }
    }
}
