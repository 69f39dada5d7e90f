//! What an answer consists of, and who hears of its end.

use super::{Broken, Upload, describe};
use crate::answer::files::FileBody;
use crate::edge::Holds;
use crate::http::forward::failure::{Cause, Phase};
use crate::http::forward::{About, Failure};
use crate::http::gate::Link;
use crate::http::grpc::{self, web};
use crate::http::{h2, headers};
use crate::observe::log::Failed;
use crate::runtime::ticks::{Ticks, Timer};
use crate::runtime::worker::Worker;
use crate::upstream::{self, Lease, PoolHandle};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The body of an answer.
pub struct AnswerBody {
    content: Content,
    finish: Finish,
    /// What is said of the request if the answer breaks off, and how often it was tried.
    about: Option<(Rc<About>, u32)>,
    /// What limits of the request hold until it is through, and whose time it goes by.
    holds: Option<(Box<Holds>, Rc<Ticks>)>,
}

/// What a body says when it is asked for its next piece.
type Polled = Poll<Option<Result<Frame<Bytes>, Broken>>>;

/// What an answer consists of.
pub enum Content {
    /// Nothing.
    Empty,
    /// Text of the gateway's.
    Text(Bytes),
    /// What an origin sends.
    Origin(OriginBody),
    /// The same, for a client of gRPC-Web.
    Web(Box<web::Answer>),
    /// A file, or a part of it.
    File(FileBody),
}

/// Who is told when an answer is through or given up: this is dropped then.
pub enum Finish {
    /// Nobody.
    None,
    /// An HTTP/1 connection, whose idle time begins.
    Http1(Rc<Link>),
    /// An HTTP/2 connection, which has one stream less.
    Http2(h2::Stream),
}

impl Drop for Finish {
    fn drop(&mut self) {
        if let Self::Http1(link) = self {
            link.done();
        }
    }
}

impl AnswerBody {
    /// A body that tells when it ends; of an origin's answer with what its request is known by to people, and
    /// how often it was tried; with what limits of the request hold until it is through, and whose time it goes by.
    #[must_use]
    pub fn new(
        content: Content,
        finish: Finish,
        about: Option<(Rc<About>, u32)>,
        holds: Option<(Box<Holds>, Rc<Ticks>)>,
    ) -> Self {
        Self { content, finish, about, holds }
    }

    fn broke(&self) {
        if let Finish::Http1(link) = &self.finish {
            link.broke();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let polled = match this.held_back(cx) {
            Some(polled) => polled,
            None => this.poll_content(cx),
        };
        h2::note(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        if self.rest() > 0 {
            return false;
        }
        match &self.content {
            Content::Empty => true,
            Content::Text(_) => false,
            Content::Origin(body) => body.incoming.is_end_stream(),
            Content::Web(body) => body.is_end(),
            Content::File(body) => body.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.content_hint();
        match (hint.exact(), self.rest()) {
            (_, 0) | (None, _) => hint,
            (Some(left), rest) => SizeHint::with_exact(left + rest as u64),
        }
    }
}

impl AnswerBody {
    /// What limits say: to wait, or to send what was read before.
    #[inline]
    fn held_back(&mut self, cx: &mut Context<'_>) -> Option<Polled> {
        let (holds, ticks) = self.holds.as_mut()?;
        match holds.poll(cx, ticks) {
            Poll::Ready(None) => None,
            Poll::Ready(Some(rest)) => Some(Poll::Ready(Some(Ok(Frame::data(rest))))),
            Poll::Pending => Some(Poll::Pending),
        }
    }

    fn poll_content(&mut self, cx: &mut Context<'_>) -> Polled {
        let polled = match &mut self.content {
            Content::Empty => Poll::Ready(None),
            Content::Text(text) => {
                let text = std::mem::take(text);
                self.content = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(text))))
            }
            Content::Origin(body) => body.poll_frame(cx),
            Content::Web(body) => body.poll_frame(cx),
            Content::File(body) => body.poll_frame(cx),
        };
        if let Poll::Ready(Some(Err(_))) = &polled {
            self.broke();
        }
        if let Some(body) = self.content.broken()
            && let Some((about, attempt)) = self.about.take()
        {
            body.tell(&about, attempt);
        }
        match (&mut self.holds, polled) {
            (Some((holds, ticks)), Poll::Ready(Some(Ok(frame)))) => {
                Poll::Ready(Some(Ok(frame.map_data(|data| holds.send(data, ticks)))))
            }
            (_, polled) => polled,
        }
    }

    /// Bytes that were read and are held back.
    fn rest(&self) -> usize {
        self.holds.as_ref().map_or(0, |(holds, _)| holds.rest())
    }

    fn content_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
            Content::Origin(body) => body.incoming.size_hint(),
            Content::Web(_) => SizeHint::default(),
            Content::File(body) => SizeHint::with_exact(body.left()),
        }
    }
}

impl Content {
    /// The origin's answer, where it broke off just now.
    #[inline]
    fn broken(&mut self) -> Option<&mut OriginBody> {
        let body = match self {
            Self::Origin(body) => body,
            Self::Web(body) => body.origin(),
            Self::Empty | Self::Text(_) | Self::File(_) => return None,
        };
        body.is_broken().then_some(body)
    }
}

/// What an origin sends, with the connection that it comes by.
pub struct OriginBody {
    incoming: upstream::Incoming,
    /// Given back when the body ended well, closed when it did not.
    lease: Option<Lease>,
    idle_ms: u64,
    timer: Option<Timer>,
    /// How it broke off.
    broken: Option<Box<(Lost, Failure)>>,
    /// Whether it is gRPC's: then it ends with a status in any case.
    calls: bool,
    /// The client's body, which may still be on its way.
    upload: Option<Rc<Upload>>,
}

/// Whose answer broke off.
struct Lost {
    worker: Rc<Worker>,
    pool: Arc<PoolHandle>,
}

impl OriginBody {
    /// The body of an origin's answer.
    #[must_use]
    pub fn new(incoming: upstream::Incoming, lease: Lease, idle_ms: u64) -> Self {
        let mut body =
            Self { incoming, lease: Some(lease), idle_ms, timer: None, broken: None, calls: false, upload: None };
        if body.incoming.is_end_stream() {
            body.ended();
        }
        body
    }

    /// The same, of an answer with this head.
    #[must_use]
    pub fn under(self, head: &HeaderMap) -> Self {
        Self { calls: grpc::is_grpc(head), ..self }
    }

    /// The same, for a request whose body may still be on its way.
    #[must_use]
    pub fn beside(self, upload: Option<Rc<Upload>>) -> Self {
        Self { upload, ..self }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn ended(&mut self) {
        self.timer = None;
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn breaks(&mut self, cause: Cause, reason: String) {
        let Some(lease) = self.lease.take() else { return };
        // What the client did to its own request is no news about an endpoint.
        if self.upload.as_ref().is_some_and(|upload| upload.broken().is_some()) {
            return;
        }
        let lost = Lost { worker: Rc::clone(lease.worker()), pool: Arc::clone(lease.pool()) };
        let endpoint = Some(Arc::clone(lease.endpoint()));
        lease.died(cause.outcome(), &reason);
        self.broken = Some(Box::new((lost, Failure { cause, phase: Phase::Body, endpoint, attempt: 0, reason })));
    }

    /// The end of an answer that broke off. A stream of gRPC that is reset would be `INTERNAL` to its client, who
    /// may ask again only after `UNAVAILABLE`.
    fn cut(&self, broken: Broken) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let end = if self.calls { Ok(Frame::trailers(grpc::broken_off())) } else { Err(broken) };
        Poll::Ready(Some(end))
    }

    /// Whether it broke off, and nobody was told.
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// How it broke off, for the log.
    pub fn tell(&mut self, about: &About, attempt: u32) {
        let Some(broken) = self.broken.take() else { return };
        let (Lost { worker, pool }, failure) = *broken;
        pool.shared().shard(worker.number).failed.add(1);
        worker.log.failed(Failed::new(about, &pool.pool().name, &Failure { attempt, ..failure }));
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::clean_trailers(trailers);
                    if let Some(lease) = &self.lease {
                        lease.trailed(trailers);
                    }
                }
                // hyper does not ask a body again that has given as much as it said, and drops it.
                if frame.is_trailers() || self.incoming.is_end_stream() {
                    self.ended();
                } else if let Some(timer) = &self.timer {
                    timer.lift();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(e))) => {
                self.breaks(Cause::Reset, format!("broke off in the middle of an answer ({})", describe(&*e)));
                self.cut(Broken::Origin)
            }
            Poll::Ready(None) => {
                self.ended();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let Some(lease) = &self.lease else { return Poll::Pending };
                let timer = self.timer.get_or_insert_with(|| Timer::new(lease.ticks()));
                if !timer.is_set() {
                    timer.set(self.idle_ms);
                }
                ready!(timer.poll(cx));
                self.breaks(Cause::Timeout, "fell silent in the middle of an answer".to_owned());
                self.cut(Broken::OriginSilent)
            }
        }
    }
}
