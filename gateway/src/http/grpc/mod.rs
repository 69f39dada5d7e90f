//! What gRPC says by HTTP, where the gateway has a say in it: which requests are gRPC's, how long they may
//! take, and how it is told what became of them.

pub mod base64;
pub mod timeout;
pub mod web;

pub use web::Web;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TRAILER};

/// Between two messages of a stream, in milliseconds, where nobody says anything else.
pub const IDLE_MS: u64 = 3_600_000;

/// Whether a message is gRPC's (not gRPC-Web's): `application/grpc`, perhaps with `+proto` or parameters.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return false };
    let kind = kind.as_bytes();
    let Some(head) = kind.get(..16) else { return false };
    head.eq_ignore_ascii_case(b"application/grpc") && matches!(kind.get(16), None | Some(b'+' | b';' | b' '))
}

/// Names the trailers of a gRPC answer in its head: HTTP/1.1 clients get none that is not (and only where
/// they say `TE: trailers`).
pub fn list_trailers(headers: &mut HeaderMap) {
    if is_grpc(headers) && !headers.contains_key(TRAILER) {
        headers.insert(TRAILER, HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin"));
    }
}

/// The trailers of an answer whose origin broke off in the middle of it: 14, `UNAVAILABLE`.
#[must_use]
pub fn broken_off() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert("grpc-status", HeaderValue::from_static("14"));
    trailers.insert("grpc-message", HeaderValue::from_static("the origin broke off"));
    trailers
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_is_grpc() {
        let is = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(kind).expect("a value"));
            is_grpc(&headers)
        };
        for kind in ["application/grpc", "application/grpc+proto", "Application/gRPC;x=y", "application/grpc ; a=b"] {
            assert!(is(kind), "{kind}");
        }
        for kind in ["application/grpc-web", "application/grpc-web+proto", "application/grpcx", "text/plain", ""] {
            assert!(!is(kind), "{kind}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
