//! Challenges of certificate authorities over HTTP (HTTP-01, RFC 8555 section 8.3): answered on clear ports before
//! anything else is, redirects and `default` included, for a host and a token that are under way here.
//!
//! Every other request below that path goes on as ever: an origin may have a client of its own for these.

use super::head::{Head, raw_path};
use crate::answer;
use crate::http::body::Content;
use crate::http::client::Client;
use http::header::HeaderValue;
use http::{Method, Response};

const PATH: &[u8] = b"/.well-known/acme-challenge/";
/// RFC 8555 section 8.3 leaves it to us.
const KIND: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The answer to a challenge, if the request is one that is under way.
#[inline]
pub(super) fn answer(client: &Client, host: &str, head: &Head) -> Option<Response<Content>> {
    let token = raw_path(&head.uri).strip_prefix(PATH)?;
    if client.tls.is_some() || !matches!(head.method, Method::GET | Method::HEAD) {
        return None;
    }
    // Tokens are base64url (RFC 8555 section 8.1): what is escaped is none.
    let authorization = client.worker.board.http(host, std::str::from_utf8(token).ok()?)?;
    Some(answer::text(200, KIND, authorization))
}
