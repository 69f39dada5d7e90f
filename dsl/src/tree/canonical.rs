//! One spelling for a path and for a host (LANGUAGE section 4).
//!
//! What this returns is what routes, policies, logs and the upstream see. Everything that two readers
//! of a request could read differently is either brought to one spelling or refused:
//!
//! * Escapes of unreserved characters are decoded, once; digits of the others are upper case.
//! * Bytes that RFC 3986 does not allow in a path, and that clients send all the same (`"<>^{|}` and a
//!   backquote, bytes from 0x80), are escaped. `?` and `#` end a path before it comes here: refused.
//! * `//` becomes `/`, then dot segments are resolved. A trailing slash is kept.
//!
//! A site that says `paths raw` opts out: its paths are what was sent, and only what cannot be sent on is refused.

mod disguise;

use super::bytes::{escape, push_escape, segment_byte, unreserved};
use super::ir::{Paths, SiteSettings};
use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Why a path is answered 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathRefusal {
    /// It does not start with a slash.
    NotAbsolute,
    /// A `%` without two hex digits.
    BadEscape,
    /// `%2F`, on a site without `paths opaque-slash`.
    EncodedSlash,
    /// `\` or `%5C`.
    Backslash,
    /// A control byte, escaped or not.
    Control,
    /// A space, `?` or `#`.
    Delimiter,
    /// `..` leads above the root.
    AboveRoot,
    /// A byte beyond ASCII, on a site with `paths raw`.
    NotAscii,
    /// `;`, on a site whose policies hang on paths and that does not say `paths semicolon`.
    Semicolon,
    /// An origin that decodes more than once may read it as a path that policies hang on, and it stands elsewhere.
    Disguised,
}

impl PathRefusal {
    /// For logs and counters.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotAbsolute => "path does not start with a slash",
            Self::BadEscape => "bad escape in the path",
            Self::EncodedSlash => "encoded slash in the path",
            Self::Backslash => "backslash in the path",
            Self::Control => "control byte in the path",
            Self::Delimiter => "delimiter in the path",
            Self::AboveRoot => "path above the root",
            Self::NotAscii => "byte beyond ASCII in the path",
            Self::Semicolon => "semicolon in the path",
            Self::Disguised => "path that may be read as another one, which has policies",
        }
    }
}

impl fmt::Display for PathRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// The canonical path of a request for a site: [`path`], what its settings say of `;`, and none that may be read as
/// another one.
///
/// # Errors
/// Why it has none.
pub fn path_for<'r>(raw: &'r [u8], settings: &SiteSettings) -> Result<Cow<'r, str>, PathRefusal> {
    let path = path(raw, settings.paths)?;
    if !settings.semicolon && path.contains(';') {
        return Err(PathRefusal::Semicolon);
    }
    let disguised = settings.paths != Paths::Raw && disguise::is_disguised(&path, &settings.walls);
    if disguised { Err(PathRefusal::Disguised) } else { Ok(path) }
}

/// The canonical path of a raw one, query cut off.
///
/// # Errors
/// Why it has none.
pub fn path(raw: &[u8], paths: Paths) -> Result<Cow<'_, str>, PathRefusal> {
    if raw.first() != Some(&b'/') {
        return Err(PathRefusal::NotAbsolute);
    }
    if paths == Paths::Raw {
        return as_sent(raw).map(Cow::Borrowed);
    }
    if let Some(text) = already_canonical(raw) {
        return Ok(Cow::Borrowed(text));
    }
    let path = respell(raw, paths)?;
    Ok(match std::str::from_utf8(raw) {
        Ok(text) if *text == *path => Cow::Borrowed(text),
        Ok(_) | Err(_) => Cow::Owned(path),
    })
}

/// Whether a text is a canonical path.
pub fn is_canonical(text: &str, paths: Paths) -> bool {
    path(text.as_bytes(), paths).is_ok_and(|canonical| *canonical == *text)
}

/// `paths raw`: what can be sent on is left as it is. A backslash cannot: it is a slash to some origins and browsers.
fn as_sent(raw: &[u8]) -> Result<&str, PathRefusal> {
    for &byte in raw {
        match byte {
            b'\\' => return Err(PathRefusal::Backslash),
            b' ' | b'?' | b'#' => return Err(PathRefusal::Delimiter),
            byte if byte.is_ascii_control() => return Err(PathRefusal::Control),
            byte if !byte.is_ascii() => return Err(PathRefusal::NotAscii),
            _ => {}
        }
    }
    std::str::from_utf8(raw).map_err(|_| PathRefusal::NotAscii)
}

/// Most paths: no escape, no empty segment, no segment that starts with a dot.
fn already_canonical(raw: &[u8]) -> Option<&str> {
    let mut previous = b' ';
    for &byte in raw {
        let plain = match byte {
            b'/' | b'.' => previous != b'/',
            byte => segment_byte(byte),
        };
        if !plain {
            return None;
        }
        previous = byte;
    }
    std::str::from_utf8(raw).ok()
}

fn respell(raw: &[u8], paths: Paths) -> Result<String, PathRefusal> {
    let mut out = String::with_capacity(raw.len() + 8);
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'/' => {
                end_segment(&mut out)?;
                if !out.ends_with('/') {
                    out.push('/');
                }
            }
            b'%' => {
                let byte =
                    after.first_chunk().and_then(|[high, low]| escape(*high, *low)).ok_or(PathRefusal::BadEscape)?;
                rest = &after[2..];
                match byte {
                    byte if byte.is_ascii_control() => return Err(PathRefusal::Control),
                    b'\\' => return Err(PathRefusal::Backslash),
                    b'/' if paths == Paths::Canonical => return Err(PathRefusal::EncodedSlash),
                    byte if unreserved(byte) => out.push(byte.into()),
                    byte => push_escape(&mut out, byte),
                }
            }
            b'\\' => return Err(PathRefusal::Backslash),
            b' ' | b'?' | b'#' => return Err(PathRefusal::Delimiter),
            byte if byte.is_ascii_control() => return Err(PathRefusal::Control),
            byte if segment_byte(byte) => out.push(byte.into()),
            byte => push_escape(&mut out, byte),
        }
    }
    end_segment(&mut out)?;
    Ok(out)
}

/// Resolves the last segment where it is a dot segment; a slash stays before the place where it stood.
fn end_segment(out: &mut String) -> Result<(), PathRefusal> {
    let Some(slash) = out.rfind('/') else { return Ok(()) };
    match &out[slash + 1..] {
        "." => out.truncate(slash + 1),
        ".." => {
            let parent = out[..slash].rfind('/').ok_or(PathRefusal::AboveRoot)?;
            out.truncate(parent + 1);
        }
        _ => {}
    }
    Ok(())
}

/// Why a host is answered 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostRefusal {
    /// Nothing, or an empty label.
    Empty,
    /// A byte that stands in no host name. Names in other scripts arrive as `xn--…`.
    BadCharacter,
    /// A label past 63 bytes, or a name past 253.
    TooLong,
    /// What stands after the colon is no port.
    BadPort,
    /// It looks like an address and is none.
    BadAddress,
}

impl HostRefusal {
    /// For logs and counters.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Empty => "empty host or label",
            Self::BadCharacter => "bad character in the host",
            Self::TooLong => "host too long",
            Self::BadPort => "bad port",
            Self::BadAddress => "bad address",
        }
    }
}

impl fmt::Display for HostRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// The canonical host of an authority: lower case, without port and the dot at its end; IPv6
/// addresses shortest and in brackets.
///
/// # Errors
/// Why it has none.
pub fn host(raw: &[u8]) -> Result<Cow<'_, str>, HostRefusal> {
    authority(raw).map(|(host, _)| host)
}

/// The canonical host of an authority, and its port.
///
/// # Errors
/// Why it has none.
pub fn authority(raw: &[u8]) -> Result<(Cow<'_, str>, Option<u16>), HostRefusal> {
    let text = std::str::from_utf8(raw).map_err(|_| HostRefusal::BadCharacter)?;
    if let Some(inner) = text.strip_prefix('[') {
        let (address, after) = inner.split_once(']').ok_or(HostRefusal::BadAddress)?;
        let address: Ipv6Addr = address.parse().map_err(|_| HostRefusal::BadAddress)?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(parse_port(port)?),
            None if after.is_empty() => None,
            None => return Err(HostRefusal::BadPort),
        };
        let canonical = format!("[{address}]");
        return Ok(match text.strip_prefix(&*canonical) {
            Some(_) => (Cow::Borrowed(&text[..canonical.len()]), port),
            None => (Cow::Owned(canonical), port),
        });
    }
    let (name, port) = match raw.iter().position(|b| *b == b':') {
        Some(at) => (&text[..at], Some(parse_port(&text[at + 1..])?)),
        None => (text, None),
    };
    Ok((name_of(name)?, port))
}

fn name_of(name: &str) -> Result<Cow<'_, str>, HostRefusal> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > 253 {
        return Err(HostRefusal::TooLong);
    }
    // Every request comes through here: one pass over the bytes.
    let (mut upper, mut begins) = (false, 0);
    let label = |begins: usize, ends: usize| match ends - begins {
        0 => Err(HostRefusal::Empty),
        1..=63 => Ok(()),
        _ => Err(HostRefusal::TooLong),
    };
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'A'..=b'Z' => upper = true,
            b'.' => {
                label(begins, at)?;
                begins = at + 1;
            }
            _ => return Err(HostRefusal::BadCharacter),
        }
    }
    label(begins, name.len())?;
    let last = &name[begins..];
    // As browsers read it: what ends in a number is an address, and there is one way to write it.
    if looks_numeric(last) && name.parse::<Ipv4Addr>().is_err() {
        return Err(HostRefusal::BadAddress);
    }
    Ok(if upper { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) })
}

fn looks_numeric(label: &str) -> bool {
    match label.strip_prefix("0x").or_else(|| label.strip_prefix("0X")) {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

fn parse_port(text: &str) -> Result<u16, HostRefusal> {
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().map_err(|_| HostRefusal::BadPort) } else { Err(HostRefusal::BadPort) }
}

#[cfg(test)]
mod tests;
