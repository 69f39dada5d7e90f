//! A client's body as it arrives, and what becomes of the rest that nobody reads.

use crate::http::unread::Rest;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A client's body as it arrives. Who lets go of it before its end leaves the rest to the connection.
///
/// It lies in the future of every exchange, so it is no larger than the body is.
pub struct Arriving(Way);

enum Way {
    /// The gate throws the rest away.
    Gate(Incoming),
    /// On HTTP/2, where a body has a stream of its own.
    Stream(Box<Owed>),
}

/// A body, and who takes what is left of it.
struct Owed {
    /// Both are there until it is let go of.
    incoming: Option<Incoming>,
    rest: Option<Rest>,
}

impl Arriving {
    /// A body, and who takes what is left of it.
    #[must_use]
    pub fn new(incoming: Incoming, rest: Option<Rest>) -> Self {
        Self(match rest {
            None => Way::Gate(incoming),
            rest => Way::Stream(Box::new(Owed { incoming: Some(incoming), rest })),
        })
    }

    fn incoming(&self) -> Option<&Incoming> {
        match &self.0 {
            Way::Gate(incoming) => Some(incoming),
            Way::Stream(owed) => owed.incoming.as_ref(),
        }
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let incoming = match &mut self.0 {
            Way::Gate(incoming) => Some(incoming),
            Way::Stream(owed) => owed.incoming.as_mut(),
        };
        incoming.map_or(Poll::Ready(None), |incoming| Pin::new(incoming).poll_frame(cx))
    }

    /// Whether nothing more comes.
    #[must_use]
    pub fn is_end_stream(&self) -> bool {
        self.incoming().is_none_or(Body::is_end_stream)
    }

    /// How much more comes.
    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        self.incoming().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take()
            && let Some(incoming) = self.incoming.take()
            && !incoming.is_end_stream()
        {
            rest.left(incoming);
        }
    }
}
