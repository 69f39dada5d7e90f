//! Answers that the gateway makes itself.

pub mod errors;
pub mod files;
mod kinds;
mod ranges;

use crate::http::body::Content;
use crate::http::gate::Reason;
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use std::fmt::Write;

/// What a text of the gateway's is.
pub const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A status of the tree; the checker lets none pass that is none.
#[must_use]
pub fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A text as it is.
#[must_use]
pub fn text(code: u16, kind: HeaderValue, body: String) -> Response<Content> {
    let status = status(code);
    // RFC 9110 section 15: these have no content, and 205 must say so.
    let bare = matches!(code, 204 | 205 | 304);
    let content = if bare || body.is_empty() { Content::Empty } else { Content::Text(Bytes::from(body)) };
    let mut response = Response::new(content);
    *response.status_mut() = status;
    if !bare {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

/// An error of the gateway's: `502: why`, in one line, or in the form that the client accepts
/// ([`errors::presented`]).
#[must_use]
pub fn plain(code: u16, why: &str) -> Response<Content> {
    errors::error(code, why)
}

/// 429 where too much was tried, and when it may be tried again.
#[must_use]
pub fn later(after_ms: u64) -> Response<Content> {
    let mut response = plain(429, "too many wrong passwords");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after_ms.div_ceil(1_000).max(1)));
    response
}

/// `302: why`, in one line.
fn line(code: u16, why: &str) -> Response<Content> {
    let mut line = String::with_capacity(why.len() + 8);
    let _ = writeln!(line, "{code}: {why}");
    let mut response = text(code, TEXT, line);
    // What clients send may stand in it: nobody shall take it for a page.
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// `403: forbidden`
#[must_use]
pub fn deny(code: u16) -> Response<Content> {
    let reason = status(code).canonical_reason().unwrap_or("denied").to_ascii_lowercase();
    plain(code, &reason)
}

/// The answer to a request that is refused before anything routes it.
#[must_use]
pub fn refusal(reason: Reason) -> Response<Content> {
    plain(reason.status(), reason.text())
}

/// Ends an HTTP/1 connection after the answer. HTTP/2 has no such header.
pub fn close(response: &mut Response<Content>) {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// A redirect. The location is a URL or a path, percent-encoded.
#[must_use]
pub fn redirect(code: u16, location: &str) -> Response<Content> {
    let Ok(value) = HeaderValue::from_str(location) else {
        return refusal(Reason::Unrenderable);
    };
    let mut response = line(code, location);
    response.headers_mut().insert(LOCATION, value);
    response
}

/// Leaves the head and takes the body away, for HEAD: the length that GET would have is said.
#[must_use]
pub fn without_body(response: Response<Content>) -> Response<Content> {
    use http_body::Body;
    let (mut parts, content) = response.into_parts();
    let body = crate::http::body::AnswerBody::new(content, crate::http::body::Finish::None, None, None);
    if let Some(len) = body.size_hint().exact()
        && len > 0
    {
        parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(len));
    }
    Response::from_parts(parts, Content::Empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_without_content_have_none() {
        for code in [204, 205, 304] {
            let response = text(code, TEXT, "no".into());
            assert!(matches!(response.body(), Content::Empty));
            assert!(!response.headers().contains_key(CONTENT_TYPE));
        }
    }

    #[test]
    fn a_location_with_control_bytes_is_refused() {
        assert_eq!(redirect(302, "/a\r\nb").status(), 400);
        assert_eq!(redirect(302, "/a").headers()[LOCATION], "/a");
    }

    #[test]
    fn head_says_the_length_of_get() {
        let response = without_body(plain(404, "x"));
        assert_eq!(response.headers()[CONTENT_LENGTH], "7");
        assert!(matches!(response.body(), Content::Empty));
    }
}
