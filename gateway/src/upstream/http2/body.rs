//! What an endpoint sends on a stream after the head of its answer.

use super::pump::Stop;
use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The body of an answer, and its trailers. Dropped before its end, it resets the stream (CANCEL).
pub struct Incoming {
    stream: RecvStream,
    /// By `Content-Length`, which h2 holds the endpoint to.
    left: Option<u64>,
    data_ended: bool,
    /// The request's body, where it is still on its way.
    request: Option<Rc<Stop>>,
}

impl Incoming {
    pub(super) fn new(stream: RecvStream, left: Option<u64>, request: Option<Rc<Stop>>) -> Self {
        Self { stream, left, data_ended: false, request }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        if !this.data_ended {
            match ready!(this.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Taken here is taken by the client's side, which asks for no more than it can send.
                    let _ = this.stream.flow_control().release_capacity(data.len());
                    if let Some(left) = &mut this.left {
                        *left = left.saturating_sub(data.len() as u64);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                // RFC 9113 section 8.1: it has answered and does not want the rest of the request.
                // Where the length is not known, a reset before the end is an answer that broke off.
                Some(Err(e)) if e.reason() == Some(h2::Reason::NO_ERROR) && this.left == Some(0) => {
                    return Poll::Ready(None);
                }
                Some(Err(e)) => return Poll::Ready(Some(Err(e))),
                None => {}
            }
            this.data_ended = true;
        }
        let trailers: Option<HeaderMap> = ready!(this.stream.poll_trailers(cx))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(request) = &self.request {
            request.stop();
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("left", &self.left).finish_non_exhaustive()
    }
}
