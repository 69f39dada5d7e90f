//! Text of a request, read without being copied: escapes are decoded on the way.

use std::fmt::Write;

/// How bytes are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decode {
    /// Not at all.
    Raw,
    /// `%41`
    Percent,
    /// `%41`, and `+` for a space.
    Form,
}

/// Decoded bytes, one after the other. A `%` without two hex digits stands for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a> {
    text: &'a [u8],
    /// After a `?`, once `text` is used up.
    query: Option<&'a [u8]>,
    decode: Decode,
}

impl<'a> Bytes<'a> {
    /// Bytes as they are.
    pub(crate) fn raw(text: &'a [u8]) -> Self {
        Self { text, query: None, decode: Decode::Raw }
    }

    /// Percent-encoded bytes.
    pub(crate) fn percent(text: &'a [u8]) -> Self {
        Self { text, query: None, decode: Decode::Percent }
    }

    /// Bytes of a query.
    pub(crate) fn form(text: &'a [u8]) -> Self {
        Self { text, query: None, decode: Decode::Form }
    }

    /// A path and its query.
    pub(crate) fn uri(path: &'a [u8], query: Option<&'a [u8]>) -> Self {
        Self { text: path, query, decode: Decode::Raw }
    }

    /// Whether it is exactly this text.
    pub(crate) fn is(self, text: &[u8]) -> bool {
        match self.plain() {
            Some(bytes) => bytes == text,
            None => self.eq(text.iter().copied()),
        }
    }

    /// The bytes, when nothing has to be decoded or joined.
    pub(crate) fn plain(&self) -> Option<&'a [u8]> {
        let plain = self.query.is_none()
            && match self.decode {
                Decode::Raw => true,
                Decode::Percent => memchr::memchr(b'%', self.text).is_none(),
                Decode::Form => memchr::memchr2(b'%', b'+', self.text).is_none(),
            };
        plain.then_some(self.text)
    }
}

impl Iterator for Bytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let Some((&byte, rest)) = self.text.split_first() else {
            self.text = self.query.take()?;
            return Some(b'?');
        };
        self.text = rest;
        match (self.decode, byte) {
            (Decode::Percent | Decode::Form, b'%') => {
                let Some(decoded) = rest.first_chunk().and_then(|[high, low]| escape(*high, *low)) else {
                    return Some(b'%');
                };
                self.text = &rest[2..];
                Some(decoded)
            }
            (Decode::Form, b'+') => Some(b' '),
            (Decode::Raw | Decode::Percent | Decode::Form, byte) => Some(byte),
        }
    }
}

/// The byte that `%` with these two digits stands for.
pub(crate) fn escape(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// `A–Z a–z 0–9 - . _ ~`: never escaped in a canonical text.
pub(crate) fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What may stand unescaped in a segment of a path (RFC 3986 `pchar`).
pub(crate) fn segment_byte(byte: u8) -> bool {
    unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@')
}

/// Appends a byte as `%41`.
pub(crate) fn push_escape(out: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(out, "%{byte:02X}");
}

/// A short text made on the stack: an address, a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Small {
    text: [u8; 46],
    len: u8,
}

impl Small {
    /// The text of a value that is never longer than an IPv6 address.
    pub(crate) fn of(value: &dyn std::fmt::Display) -> Self {
        let mut small = Self { text: [0; 46], len: 0 };
        // Cut off where it would be longer.
        let _ = write!(small, "{value}");
        small
    }

    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }
}

impl Write for Small {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        let at = usize::from(self.len);
        let room = self.text.get_mut(at..at + s.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len += u8::try_from(s.len()).map_err(|_| std::fmt::Error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding() {
        let text = |b: Bytes<'_>| String::from_utf8(b.collect()).unwrap();
        assert_eq!(text(Bytes::percent(b"a%20b+%2b%zz%4")), "a b++%zz%4");
        assert_eq!(text(Bytes::form(b"a+b%2B%C3%A9")), "a b+é");
        assert_eq!(text(Bytes::raw(b"a%20+")), "a%20+");
        assert_eq!(text(Bytes::uri(b"/a", Some(b""))), "/a?");
        assert_eq!(text(Bytes::uri(b"/a", None)), "/a");
        assert!(Bytes::percent(b"%61").is(b"a") && !Bytes::percent(b"%61").is(b"%61"));
        assert!(Bytes::uri(b"/a", Some(b"b")).is(b"/a?b"));
    }

    #[test]
    fn small_texts() {
        let longest: std::net::IpAddr = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap();
        assert_eq!(Small::of(&longest).as_bytes(), longest.to_string().as_bytes());
        assert_eq!(Small::of(&u64::MAX).as_bytes(), b"18446744073709551615");
    }
}
