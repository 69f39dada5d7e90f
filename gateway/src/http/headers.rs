//! Which headers end here, and which the gateway writes (DESIGN invariant 9).
//!
//! A map is never rebuilt: one look over the names says what there is to remove, which is little.

use super::client::Client;
use super::forward::X_SLUICE_MIRROR;
use super::gate::forbidden_trailer;
use dsl::syntax::ast::HeaderOp;
use dsl::tree::ir::alike;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, header};

/// `X-Forwarded-For`
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Host`
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Headers that concern one connection only, `Connection` apart.
const HOPS: [HeaderName; 9] = [
    TRANSFER_ENCODING,
    UPGRADE,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TE,
    EXPECT,
    HTTP2_SETTINGS,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
];
/// Which of them, and `Connection`, belong to HTTP/1 alone: the first four.
const HTTP1_ONLY: u16 = CONNECTED | 0b1111;
const CONNECTED: u16 = 1 << 15;

/// What a look over the names of a request found.
#[derive(Debug, Default)]
pub struct Found {
    /// Names that are removed before anything reads them: clients speak for the gateway in them.
    pub forged: Vec<HeaderName>,
    /// Headers that concern this connection only, by their place in `HOPS`.
    hops: u16,
    /// Bytes of the lines that were removed because they are forged.
    removed: usize,
}

impl Found {
    /// Whether a header is there that HTTP/2 does not know.
    #[must_use]
    pub fn http1_only(&self) -> bool {
        self.hops & HTTP1_ONLY != 0
    }

    /// The same request, once what is forged has been removed.
    #[must_use]
    pub fn cleaned(&self) -> Self {
        Self { forged: Vec::new(), hops: self.hops, removed: self.removed }
    }
}

/// Whether a header frames or addresses a message, or concerns one connection only: it says nothing about
/// another message.
#[must_use]
pub fn is_framing(name: &HeaderName) -> bool {
    *name == CONTENT_LENGTH || *name == HOST || hop(name.as_str()) != 0
}

/// Looks over the names of a message.
#[must_use]
pub fn look(headers: &HeaderMap) -> Found {
    let mut found = Found::default();
    for name in headers.keys() {
        let text = name.as_str();
        let bytes = text.as_bytes();
        found.hops |= hop(text);
        let forged = match bytes[0] {
            b'x' => speaks_for_gateway(text),
            b'f' => text == "forwarded",
            _ => false,
        };
        if forged || (memchr::memchr(b'_', bytes).is_some() && is_disguised(text)) {
            found.forged.push(name.clone());
        }
    }
    found
}

/// The bit of a header that concerns one connection; none for others.
#[inline]
fn hop(name: &str) -> u16 {
    let place = match (name.as_bytes()[0], name.len()) {
        (b'c', 10) if name == "connection" => return CONNECTED,
        (b't', 17) if name == "transfer-encoding" => 0,
        (b'u', 7) if name == "upgrade" => 1,
        (b'k', 10) if name == "keep-alive" => 2,
        (b'p', 16) if name == "proxy-connection" => 3,
        (b't', 2) if name == "te" => 4,
        (b'e', 6) if name == "expect" => 5,
        (b'h', 14) if name == "http2-settings" => 6,
        (b'p', 19) if name == "proxy-authorization" => 7,
        (b'p', 18) if name == "proxy-authenticate" => 8,
        _ => return 0,
    };
    1 << place
}

fn speaks_for_gateway(name: &str) -> bool {
    name.starts_with("x-forwarded-") || name == "x-real-ip" || name == X_SLUICE_MIRROR
}

/// Whether a client speaks for the gateway by a header of this name, in lower case.
#[must_use]
pub fn is_forged(name: &str) -> bool {
    name == "forwarded" || speaks_for_gateway(name) || (name.contains('_') && is_disguised(name))
}

/// Removes from an origin's trailers what frames, addresses or concerns one connection (RFC 9110 section
/// 6.5.1): who puts trailers and headers together must not be misled.
pub fn clean_trailers(trailers: &mut HeaderMap) {
    let forbidden: Vec<HeaderName> =
        trailers.keys().filter(|name| forbidden_trailer(name.as_str().as_bytes())).cloned().collect();
    for name in forbidden {
        trailers.remove(name);
    }
    remove_answer_hops(trailers);
}

/// A spelling with `_` that a CGI-like origin reads as a header that means something here.
fn is_disguised(name: &str) -> bool {
    let plain = name.replace('_', "-");
    speaks_for_gateway(&plain)
        || plain.starts_with("proxy-")
        || matches!(
            plain.as_str(),
            "forwarded" | "transfer-encoding" | "content-length" | "content-type" | "keep-alive"
        )
}

/// Removes what clients may not say. A trusted proxy may; disguises are nobody's.
pub fn remove_forged(headers: &mut HeaderMap, found: &mut Found, trusted: bool) {
    for name in &found.forged {
        if !trusted || name.as_str().contains('_') {
            found.removed += headers.get_all(name).iter().map(|value| line(name, value)).sum::<usize>();
            headers.remove(name);
        }
    }
}

/// Bytes of the header lines that a client sent, each as `Name: value` with its end; those that were removed
/// because they are forged count.
#[must_use]
pub fn bytes(headers: &HeaderMap, found: &Found) -> usize {
    found.removed + headers.iter().map(|(name, value)| line(name, value)).sum::<usize>()
}

fn line(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + ": ".len() + value.len() + "\r\n".len()
}

/// Removes what concerned the client's connection only (RFC 9110 section 7.6.1). Returns whether the
/// client takes trailers.
pub fn remove_hops(headers: &mut HeaderMap, found: &Found) -> bool {
    if found.hops == 0 {
        return false;
    }
    let trailers = headers.get_all(TE).iter().any(|v| {
        let text = v.to_str().unwrap_or_default();
        text.split(',').any(|t| t.trim().eq_ignore_ascii_case("trailers"))
    });
    remove(headers, found.hops);
    trailers
}

/// Removes what concerned the origin's connection only.
pub fn remove_answer_hops(headers: &mut HeaderMap) {
    let hops = headers.keys().fold(0, |hops, name| hops | hop(name.as_str()));
    if hops != 0 {
        remove(headers, hops);
    }
}

fn remove(headers: &mut HeaderMap, hops: u16) {
    if hops & CONNECTED != 0 {
        remove_listed(headers);
    }
    for (place, name) in HOPS.iter().enumerate() {
        if hops & (1 << place) != 0 {
            headers.remove(name);
        }
    }
}

/// Removes `Connection` and what it lists. What frames and addresses the message stays: nobody may
/// have it removed.
fn remove_listed(headers: &mut HeaderMap) {
    let mut listed = Vec::new();
    for value in headers.get_all(CONNECTION) {
        for token in value.as_bytes().split(|b| *b == b',') {
            let token = token.trim_ascii();
            // What nearly all clients say, and what names no header.
            if token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close") {
                continue;
            }
            if let Ok(name) = HeaderName::from_bytes(token)
                && name != HOST
                && name != CONTENT_LENGTH
                && name != TE
                && !name.as_str().starts_with("x-forwarded-")
                && name != FORWARDED
            {
                listed.push(name);
            }
        }
    }
    headers.remove(CONNECTION);
    for name in listed {
        headers.remove(name);
    }
}

/// Writes who asked, for the origin. `passed_on`: the peer is a trusted proxy and what it said stays.
pub fn write_forwarded(headers: &mut HeaderMap, client: &Client, passed_on: bool) {
    let scheme = HeaderValue::from_static(client.scheme());
    let host = headers.get(HOST).cloned().unwrap_or(HeaderValue::from_static("unknown"));
    let forwarded = client.forwarded(&host);
    headers.reserve(4);
    if passed_on {
        let through = append(headers, &X_FORWARDED_FOR, client.written_ip());
        headers.insert(X_FORWARDED_FOR, through);
        let through = append(headers, &FORWARDED, &forwarded);
        headers.insert(FORWARDED, through);
        headers.entry(X_FORWARDED_PROTO).or_insert(scheme);
        headers.entry(X_FORWARDED_HOST).or_insert(host);
    } else {
        headers.insert(X_FORWARDED_FOR, client.written_ip().clone());
        headers.insert(FORWARDED, forwarded);
        headers.insert(X_FORWARDED_PROTO, scheme);
        headers.insert(X_FORWARDED_HOST, host);
    }
}

fn append(headers: &HeaderMap, name: &HeaderName, last: &HeaderValue) -> HeaderValue {
    let mut text = Vec::new();
    for value in headers.get_all(name) {
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b", ");
    }
    text.extend_from_slice(last.as_bytes());
    // Header values joined by visible ASCII are a header value.
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| last.clone())
}

/// RFC 9113 section 8.2.3: HTTP/2 clients may send cookies one by one; HTTP/1 has one line for them.
pub fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else { return };
    let mut text = first.as_bytes().to_vec();
    for cookie in std::iter::once(second).chain(cookies) {
        text.extend_from_slice(b"; ");
        text.extend_from_slice(cookie.as_bytes());
    }
    // Header values joined by visible ASCII are a header value.
    if let Ok(joined) = HeaderValue::from_bytes(&text) {
        headers.insert(COOKIE, joined);
    }
}

/// An edit that a policy asks for, rendered.
#[derive(Clone, Debug)]
pub struct Edit {
    /// What is done.
    pub op: HeaderOp,
    /// To which header.
    pub name: HeaderName,
    /// With which value; empty for a removal.
    pub value: HeaderValue,
}

impl Edit {
    /// A header is removed.
    #[must_use]
    pub fn remove(name: &HeaderName) -> Self {
        Self { op: HeaderOp::Remove, name: name.clone(), value: HeaderValue::from_static("") }
    }
}

/// Makes the edits, in order.
pub fn apply(edits: Vec<Edit>, headers: &mut HeaderMap) {
    if edits.is_empty() {
        return;
    }
    // Names of letters, digits and `-` are alike only where they are the same.
    let disguised = edits.iter().map(|edit| &edit.name).chain(headers.keys()).any(may_be_disguised);
    headers.reserve(edits.iter().filter(|edit| edit.op != HeaderOp::Remove).count());
    for Edit { op, name, value } in edits {
        if disguised && op != HeaderOp::Add {
            remove_disguises(headers, &name);
        }
        match op {
            HeaderOp::Set => {
                headers.insert(name, value);
            }
            HeaderOp::Add => {
                headers.append(name, value);
            }
            HeaderOp::Remove => {
                headers.remove(name);
            }
        }
    }
}

/// Whether another name may be alike (see [`alike`]).
fn may_be_disguised(name: &HeaderName) -> bool {
    name.as_str().bytes().any(|byte| FOLDS[usize::from(byte)])
}

/// Bytes other than letters, digits and `-`.
const FOLDS: [bool; 256] = {
    let mut folds = [false; 256];
    let mut byte = 0;
    while byte < folds.len() {
        let ascii = byte as u8;
        folds[byte] = !ascii.is_ascii_alphanumeric() && ascii != b'-';
        byte += 1;
    }
    folds
};

/// LANGUAGE rule 20: `set` and `remove` delete other spellings too, which origins may take for the same.
fn remove_disguises(headers: &mut HeaderMap, name: &HeaderName) {
    let text = name.as_str();
    let disguised = |other: &&HeaderName| *other != name && alike(other.as_str(), text);
    let disguised: Vec<HeaderName> = headers.keys().filter(disguised).cloned().collect();
    for name in disguised {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_go_whoever_wrote_them() {
        let edit = |op, name: &'static str| {
            let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static("ours"));
            Edit { op, name, value }
        };
        // (what the message has, the edits, what is left)
        let cases: [(&[&'static str], Vec<Edit>, &[&str]); 5] = [
            (&["x_user", "x.user", "x-users"], vec![edit(HeaderOp::Set, "x-user")], &["x-users", "x-user"]),
            (&["x_user"], vec![edit(HeaderOp::Remove, "x-user")], &[]),
            (&["x-user"], vec![edit(HeaderOp::Set, "x_user")], &["x_user"]),
            (&[], vec![edit(HeaderOp::Add, "x_user"), edit(HeaderOp::Remove, "x-user")], &[]),
            (&["x_user"], vec![edit(HeaderOp::Add, "x-user")], &["x_user", "x-user"]),
        ];
        for (before, edits, left) in cases {
            let theirs = |name: &&'static str| (HeaderName::from_static(name), HeaderValue::from_static("theirs"));
            let mut headers: HeaderMap = before.iter().map(theirs).collect();
            apply(edits, &mut headers);
            let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            let mut left = left.to_vec();
            left.sort_unstable();
            assert_eq!(names, left, "{before:?}");
        }
    }
}
