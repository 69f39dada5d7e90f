//! A request's body on its way onto a stream: no faster than the endpoint opens its window.

use crate::http::again::Again;
use crate::http::body::RequestBody;
use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

/// So much of a body that was taken is kept until the head of the answer, for an endpoint that refuses
/// the stream: it has not acted on it, and the request goes on whole.
const KEPT: usize = 64 * 1024;

/// A body, and where it goes.
pub(super) struct Pump {
    body: RequestBody,
    stream: SendStream<Bytes>,
    /// Taken, and waiting for a window.
    held: Option<(Bytes, bool)>,
    again: Option<Again>,
    ended: bool,
}

/// Ends a pump that was left to itself.
#[derive(Default)]
pub(super) struct Stop {
    asked: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Pump {
    pub(super) fn new(body: RequestBody, stream: SendStream<Bytes>) -> Self {
        Self { body, stream, held: None, again: Some(Again::default()), ended: false }
    }

    /// Whether all of the body is the connection's.
    pub(super) fn is_done(&self) -> bool {
        self.ended
    }

    /// Goes on. Ready when there is nothing more to do: all is sent, or the stream was reset, or the
    /// client's body broke off, which resets it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended {
            return Poll::Ready(());
        }
        let went = ready!(self.go(cx));
        self.ended = true;
        if went.is_none() {
            // Whatever is wrong, the stream can carry nothing more. One that has ended is left alone.
            self.stream.send_reset(Reason::CANCEL);
        }
        Poll::Ready(())
    }

    /// `None` when it broke off.
    fn go(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        loop {
            // Who resets the stream without an error wants no more of the body, and has answered.
            if let Poll::Ready(reset) = self.stream.poll_reset(cx) {
                return Poll::Ready(match reset {
                    Ok(_) | Err(_) => Some(()),
                });
            }
            if let Some((_, last)) = &self.held {
                let last = *last;
                while self.stream.capacity() == 0 {
                    match ready!(self.stream.poll_capacity(cx)) {
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return Poll::Ready(Some(())),
                    }
                }
                if let Some((data, _)) = self.held.take()
                    && (self.stream.send_data(data, last).is_err() || last)
                {
                    return Poll::Ready(Some(()));
                }
                continue;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let last = self.body.is_end_stream();
                        self.keep(&data);
                        if data.is_empty() {
                            if self.stream.send_data(data, last).is_err() || last {
                                return Poll::Ready(Some(()));
                            }
                            continue;
                        }
                        // Asked for once there is something: a claim without it would hold the window
                        // of the connection that others need.
                        self.stream.reserve_capacity(1);
                        self.held = Some((data, last));
                    }
                    Err(frame) => {
                        let Ok(trailers) = frame.into_trailers() else { continue };
                        if let Some(again) = &mut self.again {
                            again.trailers = Some(trailers.clone());
                        }
                        self.stream.reserve_capacity(0);
                        let _ = self.stream.send_trailers(trailers);
                        return Poll::Ready(Some(()));
                    }
                },
                Some(Err(_)) => return Poll::Ready(None),
                None => {
                    let _ = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(Some(()));
                }
            }
        }
    }

    fn keep(&mut self, data: &Bytes) {
        if let Some(again) = &mut self.again
            && !again.keep(data, KEPT)
        {
            self.again = None;
        }
    }

    /// The body from its start; `None` when some of it is lost.
    pub(super) fn rewound(self) -> Option<RequestBody> {
        let again = self.again?;
        Some(again.before(self.body))
    }

    /// Goes on in a task of its own: the answer has begun, and takes its own time.
    pub(super) fn leave(mut self) -> Rc<Stop> {
        // An endpoint that answers has acted on the request.
        self.again = None;
        let stop = Rc::new(Stop::default());
        let asked = Rc::clone(&stop);
        tokio::task::spawn_local(async move {
            poll_fn(|cx| {
                if asked.asked.get() {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(());
                }
                asked.waker.replace(Some(cx.waker().clone()));
                self.poll(cx)
            })
            .await;
        });
        stop
    }
}

impl Stop {
    /// The answer is over, or nobody wants it: so is the request.
    pub(super) fn stop(&self) {
        self.asked.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
