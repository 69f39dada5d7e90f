//! Cookies that are the gateway's own: taken out of requests, for they are nobody else's business.

use crate::edge::Edge;
use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

/// Takes cookies out of a request, by their names; the others stay as they are. Their values.
pub(super) fn take(headers: &mut HeaderMap, is_own: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let own = |pair: &[u8]| name_of(pair).is_some_and(&is_own);
    if !headers.get_all(COOKIE).iter().any(|line| pairs(line.as_bytes()).any(own)) {
        return Vec::new();
    }
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    let mut found = Vec::new();
    for line in &lines {
        let (mine, others): (Vec<_>, Vec<_>) = pairs(line.as_bytes()).partition(|pair| own(pair));
        found.extend(mine.iter().filter_map(|pair| Some(pair[memchr::memchr(b'=', pair)? + 1..].to_vec())));
        let others: Vec<_> = others.into_iter().filter(|pair| !pair.is_empty()).collect();
        // Parts of a header value with spaces between them are one.
        if let Ok(rest) = HeaderValue::from_bytes(&others.join(&b"; "[..]))
            && !rest.is_empty()
        {
            headers.append(COOKIE, rest);
        }
    }
    found
}

/// Takes those of a site's logins out of a request. They are sealed, so that they tell others nothing; but whoever has
/// them is let in as their owner is.
pub(super) fn take_logins(edge: &Edge, headers: &mut HeaderMap) {
    if edge.has_logins() {
        take(headers, |name| edge.is_of_login(name));
    }
}

/// The pairs of a Cookie header, as conditions on cookies read them.
fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

fn name_of(pair: &[u8]) -> Option<&[u8]> {
    Some(pair[..memchr::memchr(b'=', pair)?].trim_ascii_end())
}
