//! Paths that are one path to us and may be another to the origin.
//!
//! What we decode once, an origin may decode twice; what is a character to us may be a dot, a slash or the end of a
//! name to it. Such a path is none of our business, unless the other path is one that policies hang on: then the
//! request would pass outside of a wall that it arrives inside of. It is refused.

use super::{push_escape, segment_byte};
use crate::tree::bytes::escape;
use crate::tree::ir::Walls;
use crate::tree::pattern::segments;

/// How often escapes are looked for in what escapes gave.
const ROUNDS: usize = 4;

/// Whether a canonical path may be read as one of a wall that it does not stand in itself.
pub(super) fn is_disguised(path: &str, walls: &Walls) -> bool {
    if walls.is_empty() || !may_be_read_otherwise(path) {
        return false;
    }
    let other = folded(path);
    let first = segments(&other).next().unwrap_or_default();
    walls.that_begin(first).any(|wall| wall.matches(&other) && !wall.matches(path))
}

/// Most paths have nothing that anybody folds.
fn may_be_read_otherwise(path: &str) -> bool {
    let mut previous = b'/';
    let mut odd = path.ends_with('.');
    for byte in path.bytes() {
        odd |= matches!(byte, b'%' | b';') | (byte == b'/' && previous == b'.');
        previous = byte;
    }
    odd
}

/// What the most careless origin makes of a path: escapes decoded as often as there are any, overlong UTF-8 and the
/// wide forms of ASCII read as what they stand for, parameters and all behind a NUL, `?` or `#` cut off, backslashes
/// turned, dots and spaces around a name dropped, empty and dot segments resolved.
fn folded(path: &str) -> String {
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..ROUNDS {
        let decoded = plain(&unescaped(&bytes));
        if decoded == bytes {
            break;
        }
        bytes = decoded;
    }
    let end = bytes.iter().position(|byte| matches!(byte, 0 | b'?' | b'#')).unwrap_or(bytes.len());
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in bytes[..end].split(|byte| matches!(byte, b'/' | b'\\')) {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        match name.trim_ascii() {
            b".." => {
                kept.pop();
            }
            name => {
                let end = name.iter().rposition(|byte| !matches!(byte, b'.' | b' ')).map_or(0, |last| last + 1);
                kept.extend((end > 0).then_some(&name[..end]));
            }
        }
    }
    let mut out = String::with_capacity(path.len());
    for name in kept {
        out.push('/');
        for &byte in name {
            if segment_byte(byte) {
                out.push(byte.into());
            } else {
                push_escape(&mut out, byte);
            }
        }
    }
    if out.is_empty() {
        out.push('/');
    }
    out
}

/// With escapes decoded, once; `%uXXXX` of old servers too. What is none stays.
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let pair = |at: usize| after.get(at..at + 2).and_then(|pair| escape(pair[0], pair[1]));
        match (byte, pair(0), after.first()) {
            (b'%', Some(decoded), _) => {
                out.push(decoded);
                rest = &after[2..];
            }
            (b'%', None, Some(b'u' | b'U')) if pair(1).is_some() && pair(3).is_some() => {
                let unit = u32::from(pair(1).unwrap_or_default()) << 8 | u32::from(pair(3).unwrap_or_default());
                let mut text = [0; 4];
                out.extend_from_slice(char::from_u32(unit).unwrap_or(' ').encode_utf8(&mut text).as_bytes());
                rest = &after[5..];
            }
            _ => out.push(byte),
        }
    }
    out
}

/// With ASCII that is written longer than it may be, or wide (U+FF01 to U+FF5E), as ASCII.
fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let low = |byte: u8| u32::from(byte & 0x3f);
        let (read, length) = match rest {
            [0xc0 | 0xc1, a, ..] => (Some(u32::from(byte & 0x1f) << 6 | low(*a)), 2),
            [0xe0, a @ 0x80..=0x9f, b, ..] => (Some(low(*a) << 6 | low(*b)), 3),
            [0xf0, a @ 0x80..=0x8f, b, c, ..] => (Some(low(*a) << 12 | low(*b) << 6 | low(*c)), 4),
            [0xef, a @ (0xbc | 0xbd), b, ..] => ((low(*a) << 6 | low(*b) | 0xf000).checked_sub(0xfee0), 3),
            _ => (None, 1),
        };
        match read.and_then(|read| u8::try_from(read).ok()).filter(u8::is_ascii) {
            Some(ascii) => {
                out.push(ascii);
                rest = &rest[length..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::ir::{PathPattern, Segment};

    #[test]
    fn what_an_origin_may_read_as_a_walled_path_is_known() {
        let wall = PathPattern { segments: vec![Segment::Lit("admin".into())], splat: true };
        let mut walls = Walls::default();
        walls.add(&wall);
        for path in [
            "/%2561dmin",
            "/%252561dmin/x",
            "/a%2564min/../admin%252Fx",
            "/x%252Fadmin/..%252f..%252fadmin",
            "/x/%252e%252e/admin",
            "/admin./x",
            "/admin%20/x",
            "/%20admin",
            "/admin;a=b/x",
            "/x/..;/admin",
            "/%C0%AE%C0%AE/admin",
            "/%C1%A1dmin",
            "/%E0%81%A1dmin",
            "/%EF%BD%81dmin",
            "/%25u0061dmin",
            "/%25uff41dmin",
            "/x%255c..%255cadmin",
            "/admin%253Fx",
            "/admin%2500.png",
            "/%252Fadmin",
        ] {
            assert!(is_disguised(path, &walls), "{path} folds to {}", folded(path));
        }
        for path in [
            "/admin",
            "/admin/%2561dmin",
            "/admin/a.b;c/x.",
            "/administrator",
            "/public/100%25",
            "/proxy/https%253A%252F%252Fexample.com%252Fadmin",
            "/a%20b/c.d/",
            "/%C3%A4dmin",
            "/file.",
            "/",
        ] {
            assert!(!is_disguised(path, &walls), "{path} folds to {}", folded(path));
        }
    }

    #[test]
    fn any_bytes_fold_to_a_path() {
        for one in 0..=255_u8 {
            for two in [b'%', b'u', 0xc0, 0xe0, 0xf0, 0xef, b'.', b'/', 0x80, 0xbc] {
                for text in
                    [format!("/%{one:02X}%{two:02X}"), format!("/%{one:02X}"), format!("/%25{one:02X}%{two:02X}.;")]
                {
                    assert!(folded(&text).starts_with('/'), "{text}");
                }
            }
        }
    }
}
