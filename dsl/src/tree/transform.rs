//! What is made of a field's text before it is written: `lower(…)`, `hash(…)`, `local-path(…)`.

use super::bytes::{self, Bytes};
use super::ir::Transform;
use sha2::{Digest, Sha256};

/// Hands on the bytes that are made of a text.
pub(super) fn each(text: Bytes<'_>, transform: Transform, each: &mut dyn FnMut(u8)) {
    match transform {
        Transform::None => text.for_each(each),
        Transform::Lower => text.map(|b| b.to_ascii_lowercase()).for_each(each),
        Transform::Hash => hash(text).into_iter().for_each(each),
        Transform::LowerHash => hash(text.map(|b| b.to_ascii_lowercase())).into_iter().for_each(each),
    }
}

/// The SHA-256 of a text, in hexadecimal digits.
#[must_use]
pub fn hash_hex(text: &str) -> String {
    hash(text.bytes()).iter().map(|digit| char::from(*digit)).collect()
}

/// The SHA-256 of some bytes (FIPS 180-4), in hexadecimal digits.
pub(super) fn hash(text: impl Iterator<Item = u8>) -> [u8; 64] {
    let mut digest = Sha256::new();
    let mut block = [0; 64];
    let mut len = 0;
    for byte in text {
        block[len] = byte;
        len += 1;
        if len == block.len() {
            digest.update(block);
            len = 0;
        }
    }
    digest.update(&block[..len]);
    let mut hex = [0; 64];
    for (pair, byte) in hex.chunks_mut(2).zip(digest.finalize()) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    hex
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Whether a text can only lead to this host: one slash first, nothing that a browser reads as another
/// one, and nothing that it drops.
pub(super) fn is_local_path(text: &[u8]) -> bool {
    text.first() == Some(&b'/')
        && text.get(1) != Some(&b'/')
        && !text.iter().any(|b| *b == b'\\' || b.is_ascii_control())
}

/// Writes a path with its query; what can stand in no URL is escaped, what is an escape stays one.
pub(super) fn local_path(text: &[u8], out: &mut String) {
    for (at, byte) in text.iter().enumerate() {
        let escape = text.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match byte {
            b'%' if escape => out.push('%'),
            b'%' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => bytes::push_escape(out, *byte),
            b if b.is_ascii_graphic() => out.push((*b).into()),
            b => bytes::push_escape(out, *b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standard() {
        // FIPS 180-2, appendix B: less than a block, two blocks, many.
        for (text, hex) in [
            ("".to_owned(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc".to_owned(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".to_owned(),
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            ("a".repeat(1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ] {
            assert_eq!(hash(text.bytes()), hex.as_bytes());
        }
    }

    #[test]
    fn only_a_path_of_this_host_is_local() {
        for local in ["/", "/a/b?x=1", "/a//b", "/%2Fevil.example"] {
            assert!(is_local_path(local.as_bytes()), "{local}");
        }
        for other in
            ["", "a", "//evil.example", "https://evil.example", "/\\evil.example", "\\/x", "/\t/evil.example", " /x"]
        {
            assert!(!is_local_path(other.as_bytes()), "{other}");
        }
        let mut out = String::new();
        local_path("/a b/%20%zz?q=ü\"#x".as_bytes(), &mut out);
        assert_eq!(out, "/a%20b/%20%25zz?q=%C3%BC%22#x");
    }
}
