//! Which byte may stand where.

/// RFC 9110 section 5.6.2: `tchar`.
const TOKEN: u8 = 1;
/// Bytes of a request target: what RFC 3986 allows, and the few others that clients send and that
/// `http::Uri` takes as they are. Neither `#` nor anything that is not visible ASCII.
const TARGET: u8 = 2;
/// Bytes of a registered name or IPv4 address.
const HOST: u8 = 4;

/// Bytes of a query: passed on byte for byte, so all that `http::Uri` can carry.
const QUERY: u8 = 8;

static TABLE: [u8; 256] = table();

const fn table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        let alphanumeric = b.is_ascii_alphanumeric();
        let mut bits = 0;
        if alphanumeric || in_set(b, b"!#$%&'*+-.^_`|~") {
            bits |= TOKEN;
        }
        if alphanumeric || in_set(b, b"-._~:/?[]@!$&'()*+,;=%\"{}|^\\") {
            bits |= TARGET;
        }
        if b.is_ascii_graphic() && !in_set(b, b"\"#<>") {
            bits |= QUERY;
        }
        if alphanumeric || in_set(b, b"-._") {
            bits |= HOST;
        }
        table[i] = bits;
        i += 1;
    }
    table
}

const fn in_set(b: u8, set: &[u8]) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == b {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether the byte may stand in a token.
#[inline]
#[must_use]
pub fn is_token(b: u8) -> bool {
    TABLE[b as usize] & TOKEN != 0
}

/// Whether the byte may stand in a request target.
#[inline]
pub(super) fn is_target(b: u8) -> bool {
    TABLE[b as usize] & TARGET != 0
}

/// Whether the byte may stand in a query, its question mark included.
#[inline]
pub(super) fn is_query(b: u8) -> bool {
    TABLE[b as usize] & QUERY != 0
}

/// Whether the byte may stand in a name of a host.
#[inline]
pub(super) fn is_host(b: u8) -> bool {
    TABLE[b as usize] & HOST != 0
}

/// Whether a control byte stands in a field value or line; a tab is none. Written so that the
/// compiler makes vector code of it.
#[inline]
pub(super) fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |bad, &b| bad | ((b < 0x20) & (b != b'\t')) | (b == 0x7f))
}
