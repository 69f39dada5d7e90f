//! A request on a connection, whatever is spoken on it.

use super::lease::Sender;
use super::{Begun, Lease, http2, tls};
use crate::http::body::{RequestBody, describe};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What an origin sends after the head of its answer.
#[derive(Debug)]
pub enum Incoming {
    /// By HTTP/1.
    Http1(hyper::body::Incoming),
    /// By HTTP/2.
    Http2(http2::Incoming),
    /// One of these, of which the beginning has been read.
    Begun(Box<Begun>),
}

/// Why a request got no answer on a connection.
pub struct Unanswered {
    /// The request, where nothing of it was sent.
    pub unsent: Option<Request<RequestBody>>,
    /// What happened.
    pub cause: Cause,
    /// In words, for people: `closed the connection without an answer`.
    pub reason: String,
    /// Whether the endpoint gave up this request alone, and its connection is well.
    pub given_up: bool,
}

/// What happened to a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The connection broke before the head of an answer.
    Reset,
    /// The origin says that it did not act on the request: a refused stream.
    Refused,
    /// The origin ended the connection and says that it had not begun with the request: one beyond GOAWAY.
    NotBegun,
    /// What came is no answer.
    Garbage,
}

impl Lease {
    /// Sends a request, and waits for the head of its answer. Deadlines are the caller's. The request is
    /// taken when it is sent: as an argument it would lie in the future of each exchange once more.
    ///
    /// # Errors
    /// Why there is no answer; the request itself where nothing of it was sent.
    pub async fn send(
        &mut self,
        request: impl FnOnce() -> Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        match self.sender() {
            Sender::Http1(single) => match single.sender.try_send_request(request()).await {
                Ok(response) => Ok(response.map(Incoming::Http1)),
                Err(mut refused) => {
                    let unsent = refused.take_message();
                    Err(Unanswered { unsent, ..Unanswered::http1(&refused.into_error()) })
                }
            },
            // It need not lie in the future of an exchange that goes by HTTP/1.
            Sender::Http2(slot) => Ok(Box::pin(http2::send(slot, request())).await?.map(Incoming::Http2)),
        }
    }
}

impl Unanswered {
    fn http1(error: &hyper::Error) -> Self {
        let (cause, reason) = if let Some(words) = tls::words_in(error) {
            // What an endpoint thinks of a client certificate it says when the handshake is over (TLS 1.3).
            (Cause::Reset, format!("TLS: {words}"))
        } else if error.is_incomplete_message() {
            (Cause::Reset, "closed the connection without an answer".to_owned())
        } else if error.is_parse() {
            (Cause::Garbage, format!("sent no HTTP answer ({})", describe(error)))
        } else {
            (Cause::Reset, format!("broke off before it answered ({})", describe(error)))
        };
        Self { unsent: None, cause, reason, given_up: false }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Begun(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Begun(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Begun(body) => body.size_hint(),
        }
    }
}
