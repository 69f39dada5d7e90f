//! A body from its start, though some of it was taken: an endpoint refused the request without having
//! acted on it.

use super::body::{Broken, RequestBody};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What was taken of a body.
#[derive(Debug, Default)]
pub struct Again {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    /// What came behind it, if that was taken too.
    pub trailers: Option<HeaderMap>,
}

/// What was taken of a body, and what comes after it.
pub struct Rewound {
    taken: Again,
    rest: RequestBody,
}

impl Again {
    /// Keeps a piece, unless that makes more bytes than `limit`: false then.
    #[must_use]
    pub fn keep(&mut self, piece: &Bytes, limit: usize) -> bool {
        self.bytes += piece.len();
        if self.bytes > limit {
            return false;
        }
        // It shares its memory with what is sent.
        self.pieces.push_back(piece.clone());
        true
    }

    /// The whole body: this, and the rest of it.
    #[must_use]
    pub fn before(self, rest: RequestBody) -> RequestBody {
        if self.pieces.is_empty() && self.trailers.is_none() {
            return rest;
        }
        RequestBody::Rewound(Box::new(Rewound { taken: self, rest }))
    }
}

impl Body for Rewound {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if let Some(piece) = this.taken.pieces.pop_front() {
            this.taken.bytes -= piece.len();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match this.taken.trailers.take() {
            Some(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            None => Pin::new(&mut this.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.taken.pieces.is_empty() && self.taken.trailers.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.size_hint();
        let taken = self.taken.bytes as u64;
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(taken));
        }
        hint.set_lower(rest.lower().saturating_add(taken));
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_body_comes_again_whole() {
        let mut again = Again::default();
        assert!(again.keep(&Bytes::from_static(b"ab"), 4));
        assert!(again.keep(&Bytes::from_static(b"cd"), 4));
        let body = again.before(RequestBody::Empty);
        assert_eq!(body.size_hint().exact(), Some(4));
        assert!(!body.is_end_stream());
        let all = body.collect().await.expect("it does not break");
        assert_eq!(all.to_bytes(), "abcd");
        let mut again = Again::default();
        assert!(!again.keep(&Bytes::from_static(b"abcde"), 4));
        assert!(matches!(Again::default().before(RequestBody::Empty), RequestBody::Empty));
        assert!(again.bytes > 4);
    }
}
