//! Reading a field of a request: missing, one value, or several that differ.

use super::bytes::{Bytes, Small};
use super::ir::{CallIdx, Capture, Cond, Field, Missing, Part, Test, Value};
use super::pattern;
use super::request::Request;
use super::rows::{Cell, Found};
use std::net::IpAddr;

/// What a field holds.
pub(crate) enum Read<'a> {
    /// It is not there.
    Missing,
    /// It is there several times, with different values.
    Conflict,
    /// Its value.
    One(Text<'a>),
}

/// A value of a field.
pub(crate) enum Text<'a> {
    /// Bytes of the request.
    Bytes(Bytes<'a>),
    /// A number.
    Number(u64),
    /// An address.
    Ip(IpAddr),
    /// Lines of a Cookie header that HTTP/2 allows to be split: the one text that is copied to be read.
    Joined(Vec<u8>),
    /// The value of a row.
    Row(Cell),
}

impl Text<'_> {
    /// Hands the bytes on.
    pub(crate) fn with<R>(&self, f: impl FnOnce(Bytes<'_>) -> R) -> R {
        match self {
            Self::Bytes(bytes) => f(*bytes),
            Self::Number(n) => f(Bytes::raw(Small::of(n).as_bytes())),
            Self::Ip(ip) => f(Bytes::raw(Small::of(ip).as_bytes())),
            Self::Joined(bytes) => f(Bytes::raw(bytes)),
            Self::Row(cell) => f(Bytes::raw(cell.value().as_bytes())),
        }
    }

    /// As a decimal number, `[0-9]{1,18}`.
    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(n) => i64::try_from(*n).ok().filter(|n| *n < 1_000_000_000_000_000_000),
            Self::Bytes(_) | Self::Ip(_) | Self::Joined(_) | Self::Row(_) => self.with(|bytes| {
                let mut value = None;
                for (at, byte) in bytes.enumerate() {
                    if at >= 18 || !byte.is_ascii_digit() {
                        return None;
                    }
                    value = Some(value.unwrap_or(0) * 10 + i64::from(byte - b'0'));
                }
                value
            }),
        }
    }

    /// As an address, IPv4-mapped ones as IPv4.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Bytes(_) | Self::Number(_) | Self::Joined(_) | Self::Row(_) => self.with(|bytes| {
                let mut text = [0; 46];
                let mut len = 0;
                for byte in bytes {
                    *text.get_mut(len)? = byte;
                    len += 1;
                }
                std::str::from_utf8(&text[..len]).ok()?.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
            }),
        }
    }
}

/// Reads a field.
pub(crate) fn read<'a>(field: &Field, req: &'a impl Request) -> Read<'a> {
    let raw = |text: &'a str| Read::One(Text::Bytes(Bytes::raw(text.as_bytes())));
    let maybe = |text: Option<&'a str>| text.map_or(Read::Missing, raw);
    match field {
        Field::Method => raw(req.method()),
        Field::Path => raw(req.path()),
        Field::Uri => Read::One(Text::Bytes(Bytes::uri(req.path().as_bytes(), req.query().map(str::as_bytes)))),
        Field::QueryString => maybe(req.query()),
        Field::Size => req.size().map_or(Read::Missing, |n| Read::One(Text::Number(n))),
        Field::Version => raw(req.version()),
        Field::Host => raw(req.host()),
        Field::ClientIp => Read::One(Text::Ip(req.client_ip().to_canonical())),
        Field::ClientPort => Read::One(Text::Number(req.client_port().into())),
        Field::ClientCountry => maybe(req.country()),
        Field::TlsSni => maybe(req.tls().and_then(|tls| tls.sni)),
        Field::TlsVersion => maybe(req.tls().map(|tls| tls.version)),
        Field::TlsAlpn => maybe(req.tls().and_then(|tls| tls.alpn)),
        Field::TlsCert(part) => maybe(req.tls().and_then(|tls| tls.cert?.part(*part))),
        Field::Header(_) | Field::Cookie(_) | Field::Query(_) => read_copies(field, req),
        Field::Capture(capture) if req.raw_paths() => maybe(read_capture(capture, req)),
        Field::Capture(capture) => read_capture(capture, req)
            .map_or(Read::Missing, |text| Read::One(Text::Bytes(Bytes::percent(text.as_bytes())))),
        Field::Row(lookup) => match lookup.find(req) {
            Found::Missing => Read::Missing,
            Found::Conflict(_) => Read::Conflict,
            Found::Row(cell) => Read::One(Text::Row(cell)),
        },
        Field::Body(call, _) => {
            let said = req.calls().and_then(|calls| calls.read(*call));
            maybe(said.and_then(|said| said.first()).map(|(_, text)| &**text))
        }
        Field::Call(call, _) => maybe(req.calls().and_then(|calls| calls.read(*call)).map(|_| "yes")),
        Field::Claim(call, name) => {
            let claims = req.calls().and_then(|calls| calls.read(*call)).unwrap_or_default();
            let mut own = claims.iter().filter(|(n, _)| n == name);
            // A list is not one text: `has` looks into it.
            match (own.next(), own.next()) {
                (Some((_, text)), None) => raw(text),
                (None, _) | (Some(_), Some(_)) => Read::Missing,
            }
        }
    }
}

/// The one value of a field that may arrive several times.
fn read_copies<'a>(field: &Field, req: &'a impl Request) -> Read<'a> {
    let mut first: Option<Bytes<'a>> = None;
    let mut conflict = false;
    copies(field, req, &mut |copy| match first {
        None => first = Some(copy),
        Some(seen) => conflict |= !seen.eq(copy),
    });
    match (first, field) {
        (None, _) => Read::Missing,
        // RFC 9113 section 8.2.3: a cookie header may be split, and its parts are one value.
        (Some(_), Field::Header(name)) if conflict && **name == *"cookie" => {
            let mut joined = Vec::new();
            copies(field, req, &mut |copy| {
                if !joined.is_empty() {
                    joined.extend_from_slice(b"; ");
                }
                joined.extend(copy);
            });
            Read::One(Text::Joined(joined))
        }
        (Some(_), _) if conflict => Read::Conflict,
        (Some(text), _) => Read::One(Text::Bytes(text)),
    }
}

/// Calls `each` for every copy of a header, cookie or query field, and for every text of a claim; for no
/// other field.
pub(crate) fn copies<'a>(field: &Field, req: &'a impl Request, each: &mut dyn FnMut(Bytes<'a>)) {
    match field {
        Field::Header(name) => req.header(name, &mut |value| each(Bytes::raw(value))),
        Field::Cookie(name) => req.header("cookie", &mut |line| {
            // The values may be long: they are passed over in large steps.
            let ends = memchr::memchr_iter(b';', line).chain([line.len()]);
            let mut start = 0;
            for end in ends {
                let pair = line[start..end].trim_ascii();
                start = end + 1;
                if let Some(at) = pair.iter().position(|b| *b == b'=')
                    && pair[..at].trim_ascii_end() == name.as_bytes()
                {
                    each(Bytes::raw(pair[at + 1..].trim_ascii_start()));
                }
            }
        }),
        Field::Query(name) => {
            let Some(query) = req.query() else { return };
            for pair in query.as_bytes().split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
                let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
                if Bytes::form(&pair[..at]).is(name.as_bytes()) {
                    each(Bytes::form(pair.get(at + 1..).unwrap_or_default()));
                }
            }
        }
        Field::Method
        | Field::Path
        | Field::Uri
        | Field::QueryString
        | Field::Size
        | Field::Version
        | Field::Host
        | Field::ClientIp
        | Field::ClientPort
        | Field::ClientCountry
        | Field::TlsSni
        | Field::TlsVersion
        | Field::TlsAlpn
        | Field::TlsCert(_)
        | Field::Capture(_)
        | Field::Row(_)
        | Field::Call(..)
        | Field::Body(..) => {}
        Field::Claim(call, name) => {
            let claims = req.calls().and_then(|calls| calls.read(*call)).unwrap_or_default();
            claims.iter().filter(|(n, _)| n == name).for_each(|(_, text)| each(Bytes::raw(text.as_bytes())));
        }
    }
}

/// A capture, as it stands in the canonical path or host.
pub(crate) fn read_capture<'a>(capture: &Capture, req: &'a impl Request) -> Option<&'a str> {
    let cut = |text: &'a str, prefix: u32, suffix: u32| {
        let end = text.len().checked_sub(suffix as usize)?;
        text.get(prefix as usize..end).filter(|value| !value.is_empty())
    };
    match capture {
        Capture::Segment { index, prefix, suffix } => {
            cut(pattern::segments(req.path()).nth(*index as usize)?, *prefix, *suffix)
        }
        Capture::Splat { from } => {
            let mut rest = req.path().strip_prefix('/').unwrap_or(req.path());
            for _ in 0..*from {
                rest = rest.split_once('/').map_or("", |(_, rest)| rest);
            }
            Some(rest)
        }
        Capture::Host { prefix, suffix } => cut(req.host().split('.').next()?, *prefix, *suffix),
    }
}

/// Whether `has` asks for a copy of the field that is the text, not for a part of its one text.
pub(crate) fn has_copies(field: &Field) -> bool {
    repeats(field) || matches!(field, Field::Claim(..))
}

/// Whether a field can arrive several times.
pub(crate) fn repeats(field: &Field) -> bool {
    match field {
        Field::Header(_) | Field::Cookie(_) | Field::Query(_) => true,
        Field::Method
        | Field::Path
        | Field::Uri
        | Field::QueryString
        | Field::Size
        | Field::Version
        | Field::Host
        | Field::ClientIp
        | Field::ClientPort
        | Field::ClientCountry
        | Field::TlsSni
        | Field::TlsVersion
        | Field::TlsAlpn
        | Field::TlsCert(_)
        | Field::Capture(_)
        | Field::Call(..)
        | Field::Row(_)
        | Field::Claim(..)
        | Field::Body(..) => false,
    }
}

/// Whether copies that differ can be in the way of reading a field.
pub(crate) fn can_differ(field: &Field) -> bool {
    match field {
        Field::Row(lookup) => lookup.repeats(),
        field => repeats(field),
    }
}

/// Adds the fields of a condition whose second, different copy is answered 400: every header, cookie
/// and query field that it names, save those that only `has` looks at.
pub(crate) fn strict_fields(cond: &Cond, into: &mut Vec<Field>) {
    match cond {
        Cond::Const(_) => {}
        Cond::Test(field, test) => {
            let strict = if repeats(field) { !matches!(test, Test::Has(_)) } else { can_differ(field) };
            if strict && !into.contains(field) {
                into.push(field.clone());
            }
        }
        Cond::Relate(left, _, right) => {
            strict_fields_of_value(left, into);
            strict_fields_of_value(right, into);
        }
        Cond::Not(inner) => strict_fields(inner, into),
        Cond::And(all) | Cond::Or(all) => all.iter().for_each(|c| strict_fields(c, into)),
    }
}

fn strict_fields_of_value(value: &Value, into: &mut Vec<Field>) {
    for part in &value.parts {
        match part {
            Part::Text(_) => {}
            Part::Hole { field, if_missing, .. } => {
                if can_differ(field) && !into.contains(field) {
                    into.push(field.clone());
                }
                match if_missing.as_deref() {
                    Some(Missing::Value(value)) => strict_fields_of_value(value, into),
                    Some(Missing::Answer(_)) | None => {}
                }
            }
        }
    }
}

/// Hands on each field that a condition reads, those of the keys of look-ups and of what stands in for what
/// is missing among them.
pub(crate) fn each_read(cond: &Cond, each: &mut dyn FnMut(&Field)) {
    match cond {
        Cond::Const(_) => {}
        Cond::Test(field, _) => each_read_by(field, each),
        Cond::Relate(left, _, right) => {
            each_in_value(left, each);
            each_in_value(right, each);
        }
        Cond::Not(inner) => each_read(inner, each),
        Cond::And(all) | Cond::Or(all) => all.iter().for_each(|c| each_read(c, each)),
    }
}

/// A field, and those that reading it reads.
pub(crate) fn each_read_by(field: &Field, each: &mut dyn FnMut(&Field)) {
    each(field);
    if let Field::Row(lookup) = field {
        lookup.fields().for_each(each);
    }
}

fn each_in_value(value: &Value, each: &mut dyn FnMut(&Field)) {
    for part in &value.parts {
        let Part::Hole { field, if_missing, .. } = part else { continue };
        each_read_by(field, each);
        if let Some(Missing::Value(value)) = if_missing.as_deref() {
            each_in_value(value, each);
        }
    }
}

/// The call that a field is of.
pub(crate) fn call_of(field: &Field) -> Option<CallIdx> {
    match field {
        Field::Call(call, _) | Field::Claim(call, _) | Field::Body(call, _) => Some(*call),
        _ => None,
    }
}

/// Whether a condition reads a call that is one of those.
pub(crate) fn reads_call(cond: &Cond, of: &dyn Fn(CallIdx) -> bool) -> bool {
    let mut any = false;
    each_read(cond, &mut |field| any |= call_of(field).is_some_and(of));
    any
}
