//! What went wrong on a stream or a connection: for whoever retries, and in words.

use crate::upstream::sending::Cause;
use crate::upstream::tls;
use h2::{Error, Reason};

/// Why a connection does not come about.
pub(super) fn opening(error: &Error) -> String {
    if let Some(words) = tls::words_in(error) {
        return format!("TLS: {words}");
    }
    if let Some(io) = error.get_io() {
        return match io.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::BrokenPipe => {
                "it closed the connection and spoke no HTTP/2".to_owned()
            }
            _ => format!("it broke off before it spoke HTTP/2 ({io})"),
        };
    }
    if error.is_library() {
        return "what it answered is not HTTP/2; write `protocol h1` if it speaks HTTP/1".to_owned();
    }
    format!("it refused HTTP/2 ({})", said(error))
}

/// What happened to a stream before the head of an answer.
pub(super) fn stream(error: &Error) -> (Cause, String) {
    let reason = error.reason();
    if error.is_remote() && error.is_go_away() {
        // RFC 9113 section 6.8: nothing beyond the last stream that it names was acted on.
        return (Cause::NotBegun, format!("ends the connection, this request not begun ({})", said(error)));
    }
    if error.is_remote() && error.is_reset() {
        return match reason {
            // Section 8.7: safe to send again.
            Some(Reason::REFUSED_STREAM) => (Cause::Refused, "refused the request (REFUSED_STREAM)".to_owned()),
            Some(Reason::HTTP_1_1_REQUIRED) => {
                (Cause::Reset, "wants HTTP/1.1 for this request: `protocol h1` speaks it".to_owned())
            }
            _ => (Cause::Reset, format!("gave the request up ({})", said(error))),
        };
    }
    if let Some(words) = tls::words_in(error) {
        return (Cause::Reset, format!("TLS: {words}"));
    }
    if error.is_io() {
        return (Cause::Reset, "closed the connection without an answer".to_owned());
    }
    (Cause::Garbage, format!("sent no valid HTTP/2 ({})", said(error)))
}

fn said(error: &Error) -> String {
    match error.reason() {
        Some(Reason::NO_ERROR) => "NO_ERROR".to_owned(),
        Some(Reason::ENHANCE_YOUR_CALM) => "ENHANCE_YOUR_CALM: too much at once, it says".to_owned(),
        // The name that RFC 9113 section 7 gives it.
        Some(reason) => format!("{reason:?}"),
        None => error.to_string(),
    }
}
