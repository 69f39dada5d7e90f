//! The head of a request, as HTTP/2 has it.

use super::shared::Shared;
use crate::http::grpc::is_grpc;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{HeaderMap, Method, Request, Version, uri};

/// What RFC 9113 section 8.2.2 forbids; a route's `set header` may have brought it back.
const HTTP1_ONLY: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Makes of a request's head, as HTTP/1.1 would have it, one for a stream. `None` where its `Host` is no
/// authority.
pub(super) fn outgoing(shared: &Shared, method: Method, uri: &Uri, mut headers: HeaderMap) -> Option<Request<()>> {
    let authority = shared.authority(&headers.remove(HOST)?)?;
    for name in &HTTP1_ONLY {
        headers.remove(name);
    }
    if is_grpc(&headers) {
        // Servers look at it to tell gRPC from proxies that swallow trailers.
        headers.insert(TE, HeaderValue::from_static("trailers"));
    } else if let Some(te) = headers.get(TE)
        && te != "trailers"
    {
        let trailers = te.to_str().is_ok_and(|te| te.split(',').any(|t| t.trim().eq_ignore_ascii_case("trailers")));
        headers.remove(TE);
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
    let mut parts = uri::Parts::default();
    parts.scheme = Some(if shared.is_https() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority);
    parts.path_and_query = Some(uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")));
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    Some(request)
}
