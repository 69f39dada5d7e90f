//! gRPC statuses: what the gateway's own answers are to gRPC clients.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

/// `grpc-status`
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// `grpc-message`
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// A status of gRPC (its `statuscodes.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Nothing is known.
    Unknown = 2,
    /// The deadline is over.
    DeadlineExceeded = 4,
    /// Not allowed.
    PermissionDenied = 7,
    /// Too large, or too much of it.
    ResourceExhausted = 8,
    /// No such method.
    Unimplemented = 12,
    /// An expectation of the protocol was broken.
    Internal = 13,
    /// Try again later.
    Unavailable = 14,
    /// Who asks is not known.
    Unauthenticated = 16,
}

impl Code {
    /// What the gateway's own answer with an HTTP status is for gRPC. As its `http-grpc-status-mapping.md`
    /// has it for answers that are no gRPC, and closer where the gateway knows more: 504 is a deadline
    /// that is over, 413 a message that is too large.
    #[must_use]
    pub fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            400 | 415 | 431 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            408 | 504 => Self::DeadlineExceeded,
            413 => Self::ResourceExhausted,
            429 | 502 | 503 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// Its number, as it is written.
    #[must_use]
    pub fn written(self) -> HeaderValue {
        HeaderValue::from(self as u16)
    }
}

/// The headers of an answer without messages (Trailers-Only), whose HTTP status is 200. The message is for
/// people.
#[must_use]
pub fn trailers_only(code: Code, message: &str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, code.written());
    if let Some(message) = encoded(message) {
        headers.insert(GRPC_MESSAGE, message);
    }
    headers
}

/// `Percent-Encoded` of gRPC's `PROTOCOL-HTTP2.md`: all but space and visible ASCII without `%`.
fn encoded(message: &str) -> Option<HeaderValue> {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b'%' | ..b' ' | 0x7f.. => text.push_str(&format!("%{byte:02X}")),
            _ => text.push(char::from(byte)),
        }
    }
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_become_statuses() {
        let expected = [(502, 14), (503, 14), (504, 4), (404, 12), (401, 16), (403, 7), (429, 14), (413, 8), (500, 2)];
        for (http, grpc) in expected {
            let status = StatusCode::from_u16(http).expect("a status");
            assert_eq!(Code::of(status) as u8, grpc, "{http}");
        }
    }

    #[test]
    fn an_answer_without_messages() {
        let headers = trailers_only(Code::Unavailable, "100 % gone\nfür immer");
        assert_eq!(headers[GRPC_STATUS], "14");
        assert_eq!(headers[GRPC_MESSAGE], "100 %25 gone%0Af%C3%BCr immer");
        assert_eq!(headers[CONTENT_TYPE], "application/grpc");
    }
}
