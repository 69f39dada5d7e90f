//! A client's body as it arrives, and what becomes of the rest that nobody reads.

use crate::http::unread::Rest;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A client's body as it arrives. Who lets go of it before its end leaves the rest to the connection.
pub struct Arriving {
    /// There until it is let go of.
    incoming: Option<Incoming>,
    /// Who takes the rest on HTTP/2, where a body has a stream of its own. On HTTP/1 the gate throws it away.
    rest: Option<Rest>,
}

impl Arriving {
    /// A body, and who takes what is left of it.
    #[must_use]
    pub fn new(incoming: Incoming, rest: Option<Rest>) -> Self {
        Self { incoming: Some(incoming), rest }
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    /// Whether nothing more comes.
    #[must_use]
    pub fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    /// How much more comes.
    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take()
            && let Some(incoming) = self.incoming.take()
            && !incoming.is_end_stream()
        {
            rest.left(incoming);
        }
    }
}
