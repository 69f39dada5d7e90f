//! A request head or a trailer section, line by line.
//!
//! A line is judged once, when its line feed is there; what was judged is never looked at again, so
//! that a head that trickles in byte by byte costs no more than one that comes at once.

use super::Reason;
use super::tables::{has_control, is_host, is_query, is_target, is_token};
use crate::http::headers;

/// Bounds on what a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request line, its end included.
    pub line: usize,
    /// Bytes of one header line, its end included.
    pub field: usize,
    /// Bytes of the whole head.
    pub head: usize,
    /// Number of headers; hyper takes no more than 100.
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: 8 * 1024, field: 16 * 1024, head: 32 * 1024, fields: 100 }
    }
}

impl Limits {
    /// The bounds for a gateway whose `limits` allow heads of so many bytes.
    #[must_use]
    pub fn with_head(head: usize) -> Self {
        let base = Self::default();
        // Beyond 64 KiB hyper's URI type ends.
        let line = base.line.max(head / 4).min(60 * 1024);
        Self { line: line.min(head), field: base.field.max(head / 2).min(head), head, ..base }
    }
}

/// Trailers are few and small.
pub(super) const TRAILERS: Limits = Limits { line: 0, field: 4096, head: 8192, fields: 64 };

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes follow.
    Length(u64),
    /// Chunks follow.
    Chunked,
    /// Nothing follows, and then perhaps another protocol: the request asks for WebSocket (RFC 6455
    /// section 4.1).
    Switch,
}

/// What has been seen of a head so far. Offsets are relative to its first byte.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// Where the first line begins that has not been judged.
    at: usize,
    /// Up to where that line was searched for its end.
    searched: usize,
    empty_lines: u8,
    request_line: bool,
    fields: usize,
    old: bool,
    /// The authority of an absolute-form target.
    authority: Option<(usize, usize)>,
    host: Option<(usize, usize)>,
    length: Option<u64>,
    chunked: bool,
    get: bool,
    /// Whether `Upgrade` names WebSocket and nothing else, where it is there.
    websocket: Option<bool>,
    /// Options of `Connection`.
    upgrade: bool,
    close: bool,
}

/// What looking at more bytes brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen<T> {
    /// The end is not there yet.
    Partial,
    /// It ends after so many bytes.
    Complete(usize, T),
    /// It is refused.
    Refused(Reason),
}

impl Head {
    /// Looks at a head. `input` begins with its first byte each time, with more bytes at the end.
    pub(super) fn request(&mut self, input: &[u8], limits: &Limits) -> Seen<Framing> {
        loop {
            let begin = self.at;
            let Some(line) = self.next_line(input) else {
                return match self.too_large(input.len(), begin, limits) {
                    Some(reason) => Seen::Refused(reason),
                    None => Seen::Partial,
                };
            };
            if let Some(reason) = self.too_large(self.at, begin, limits) {
                return Seen::Refused(reason);
            }
            let (start, end) = match line {
                Ok(range) => range,
                Err(reason) => return Seen::Refused(reason),
            };
            let judged = if !self.request_line {
                self.first_line(input, start, end)
            } else if start == end {
                return match self.framing(input) {
                    Ok(framing) => Seen::Complete(self.at, framing),
                    Err(reason) => Seen::Refused(reason),
                };
            } else {
                self.field(input, start, end, limits)
            };
            if let Err(reason) = judged {
                return Seen::Refused(reason);
            }
        }
    }

    /// Looks at a trailer section, likewise.
    pub(super) fn trailers(&mut self, input: &[u8]) -> Seen<()> {
        let limits = &TRAILERS;
        loop {
            let Some(line) = self.next_line(input) else {
                let partial = input.len() <= limits.head;
                return if partial { Seen::Partial } else { Seen::Refused(Reason::Trailer) };
            };
            let Ok((start, end)) = line else { return Seen::Refused(Reason::Trailer) };
            if start == end {
                return Seen::Complete(self.at, ());
            }
            self.fields += 1;
            let line = &input[start..end];
            let refused = self.fields > limits.fields
                || self.at > limits.head
                || line.len() > limits.field
                || match split_field(line) {
                    Ok((name, _)) => forbidden_trailer(name),
                    Err(_) => true,
                };
            if refused {
                return Seen::Refused(Reason::Trailer);
            }
        }
    }

    /// The next whole line, without its end.
    fn next_line(&mut self, input: &[u8]) -> Option<Result<(usize, usize), Reason>> {
        let Some(feed) = memchr::memchr(b'\n', &input[self.searched..]) else {
            self.searched = input.len();
            return None;
        };
        let (start, feed) = (self.at, self.searched + feed);
        self.at = feed + 1;
        self.searched = self.at;
        if feed == start || input[feed - 1] != b'\r' {
            return Some(Err(Reason::BareLf));
        }
        let end = feed - 1;
        if has_control(&input[start..end]) {
            let cr = memchr::memchr(b'\r', &input[start..end]).is_some();
            return Some(Err(if cr { Reason::BareCr } else { Reason::ControlByte }));
        }
        Some(Ok((start, end)))
    }

    /// `seen` bytes are there, of which those from `begin` on are the current line. Asked before
    /// anything else, so that the answer does not depend on how the bytes arrived.
    fn too_large(&self, seen: usize, begin: usize, limits: &Limits) -> Option<Reason> {
        if !self.request_line {
            return (seen > limits.line).then_some(Reason::LineTooLong);
        }
        (seen > limits.head || seen - begin > limits.field).then_some(Reason::HeadTooLarge)
    }

    fn first_line(&mut self, input: &[u8], start: usize, end: usize) -> Result<(), Reason> {
        if start == end {
            // RFC 9112 section 2.2 asks to ignore one; hyper ignores it too.
            self.empty_lines += 1;
            return if self.empty_lines > 1 { Err(Reason::EmptyLines) } else { Ok(()) };
        }
        let line = &input[start..end];
        self.request_line = true;
        let space = memchr::memchr(b' ', line).ok_or(Reason::RequestLine)?;
        let last = memchr::memrchr(b' ', line).ok_or(Reason::RequestLine)?;
        let (method, version) = (&line[..space], &line[last + 1..]);
        if method.is_empty() || last <= space {
            return Err(Reason::RequestLine);
        }
        if !method.iter().all(|b| is_token(*b)) {
            return Err(Reason::Method);
        }
        self.old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(Reason::Version),
        };
        self.get = method == b"GET";
        let target = &line[space + 1..last];
        if method == b"CONNECT" {
            return Err(Reason::Connect);
        }
        match target {
            [b'/', ..] => {}
            b"*" => return Err(Reason::Asterisk),
            _ => {
                let (from, to) = authority(target)?;
                let base = start + space + 1;
                self.authority = Some((base + from, base + to));
            }
        }
        let path = memchr::memchr(b'?', target).unwrap_or(target.len());
        let sound = target[..path].iter().all(|b| is_target(*b)) && target[path..].iter().all(|b| is_query(*b));
        if sound { Ok(()) } else { Err(Reason::Target) }
    }

    fn field(&mut self, input: &[u8], start: usize, end: usize, limits: &Limits) -> Result<(), Reason> {
        self.fields += 1;
        if self.fields > limits.fields {
            return Err(Reason::TooManyHeaders);
        }
        let line = &input[start..end];
        let (name, value) = split_field(line)?;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.host.is_some() {
                    return Err(Reason::HostRepeated);
                }
                check_host(value)?;
                let after = line.len() - name.len() - 1;
                let blank = line[name.len() + 1..].iter().take_while(|b| matches!(b, b' ' | b'\t'));
                let from = end - after + blank.count();
                self.host = Some((from, from + value.len()));
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                // Several protocols to choose from are nobody's WebSocket client.
                self.websocket = Some(self.websocket.is_none() && value.eq_ignore_ascii_case(b"websocket"));
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in value.split(|b| *b == b',') {
                    let option = option.trim_ascii();
                    if is_protected(option) {
                        return Err(Reason::ConnectionOption);
                    }
                    self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                    self.close |= option.eq_ignore_ascii_case(b"close");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.length.is_some() {
                    return Err(Reason::LengthRepeated);
                }
                self.length = Some(parse_length(value)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                // RFC 9112 section 6.1: a second coding, a list or a parameter is how framings
                // come to be read in two ways.
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Reason::Encoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// What follows the head.
    fn framing(&self, input: &[u8]) -> Result<Framing, Reason> {
        match (self.host, self.authority) {
            (None, None) if self.old => {}
            (None, Some(_)) if self.old => {}
            (None, _) => return Err(Reason::HostMissing),
            (Some(_), None) => {}
            (Some((a, b)), Some((c, d))) => {
                if !input[a..b].eq_ignore_ascii_case(&input[c..d]) {
                    return Err(Reason::HostMismatch);
                }
            }
        }
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Reason::LengthAndEncoding),
            (None, true) if self.old => Err(Reason::EncodingOnOld),
            (None, true) => Ok(Framing::Chunked),
            (None | Some(0), false) if self.switches() => Ok(Framing::Switch),
            (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }

    /// Whether it asks for WebSocket. Anything else that asks for another protocol is a request like any
    /// other: what follows it is HTTP.
    fn switches(&self) -> bool {
        self.get && !self.old && self.websocket == Some(true) && self.upgrade && !self.close
    }

    /// Whether anything of it has arrived.
    pub(super) fn begun(&self) -> bool {
        self.searched > 0
    }
}

/// RFC 9110 section 7.6.1: an option asks the next hop to remove the header of its name. What frames or
/// addresses a message, or says who sent it, is not for a client to have removed.
fn is_protected(option: &[u8]) -> bool {
    const NAMES: [&[u8]; 5] = [b"host", b"content-length", b"transfer-encoding", b"forwarded", b"x-real-ip"];
    const PREFIX: &[u8] = b"x-forwarded-";
    NAMES.iter().any(|name| option.eq_ignore_ascii_case(name))
        || option.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Name and value of a header line; the value without white space around it.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    let mut colon = 0;
    while colon < line.len() && is_token(line[colon]) {
        colon += 1;
    }
    if colon == 0 {
        let folded = matches!(line[0], b' ' | b'\t');
        return Err(if folded { Reason::ObsFold } else { Reason::HeaderName });
    }
    match line.get(colon) {
        Some(b':') => Ok((&line[..colon], trim(&line[colon + 1..]))),
        Some(b' ' | b'\t') => Err(Reason::SpaceBeforeColon),
        Some(_) | None => Err(Reason::HeaderName),
    }
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn parse_length(value: &[u8]) -> Result<u64, Reason> {
    // `5, 5` and `+5` are no numbers here, and neither is what would not fit hyper's count.
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Reason::LengthInvalid);
    }
    Ok(value.iter().fold(0, |n, b| n * 10 + u64::from(b - b'0')))
}

/// A host with an optional port, and nothing else: no user information, no lists.
pub(super) fn check_host(value: &[u8]) -> Result<(), Reason> {
    let (host, port) = if let [b'[', rest @ ..] = value {
        let end = memchr::memchr(b']', rest).ok_or(Reason::HostInvalid)?;
        let address = std::str::from_utf8(&rest[..end]).map_err(|_| Reason::HostInvalid)?;
        address.parse::<std::net::Ipv6Addr>().map_err(|_| Reason::HostInvalid)?;
        (None, &rest[end + 1..])
    } else {
        let end = memchr::memchr(b':', value).unwrap_or(value.len());
        (Some(&value[..end]), &value[end..])
    };
    if host.is_some_and(|h| h.is_empty() || h.len() > 255 || !h.iter().all(|b| is_host(*b))) {
        return Err(Reason::HostInvalid);
    }
    match port {
        [] => Ok(()),
        [b':', digits @ ..]
            if (1..=5).contains(&digits.len())
                && digits.iter().all(u8::is_ascii_digit)
                && digits.iter().fold(0u32, |n, b| n * 10 + u32::from(b - b'0')) <= 65_535 =>
        {
            Ok(())
        }
        _ => Err(Reason::HostInvalid),
    }
}

/// Where the authority of an absolute-form target stands.
fn authority(target: &[u8]) -> Result<(usize, usize), Reason> {
    let from = if target.len() >= 7 && target[..7].eq_ignore_ascii_case(b"http://") {
        7
    } else if target.len() >= 8 && target[..8].eq_ignore_ascii_case(b"https://") {
        8
    } else {
        return Err(Reason::Target);
    };
    let to = memchr::memchr2(b'/', b'?', &target[from..]).map_or(target.len(), |i| from + i);
    check_host(&target[from..to])?;
    Ok((from, to))
}

/// RFC 9110 section 6.5.1: what frames, routes or authenticates a message is no trailer.
pub(in crate::http) fn forbidden_trailer(name: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 12] = [
        b"transfer-encoding",
        b"content-length",
        b"host",
        b"connection",
        b"te",
        b"trailer",
        b"upgrade",
        b"expect",
        b"authorization",
        b"cookie",
        b"content-type",
        b"content-encoding",
    ];
    let forged = || std::str::from_utf8(name).is_ok_and(|name| headers::is_forged(&name.to_ascii_lowercase()));
    FORBIDDEN.iter().any(|f| name.eq_ignore_ascii_case(f)) || forged()
}
