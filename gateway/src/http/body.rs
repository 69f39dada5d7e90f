//! Bodies, both ways, unboxed: what an origin sends, what a client sends, what the gateway says.

use super::again::Rewound;
use super::forward::failure::{Cause, Phase};
use super::forward::{About, Failure, Mirror, Reel};
use super::gate::{Link, Reason, forbidden_trailer};
use super::grpc::{self, web};
use super::headers;
use crate::answer::files::FileBody;
use crate::observe::log::Failed;
use crate::runtime::ticks::{Ticks, Timer};
use crate::runtime::worker::Worker;
use crate::upstream::{self, Lease, PoolHandle};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Why a body broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The client's: it is refused.
    Refused(Reason),
    /// The client left.
    ClientGone,
    /// The origin died or violated its framing.
    Origin,
    /// The origin sent nothing for too long.
    OriginSilent,
    /// A file could not be read to its end.
    File,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(reason) => reason.text(),
            Self::ClientGone => "the client left",
            Self::Origin => "the origin broke off",
            Self::OriginSilent => "the origin fell silent",
            Self::File => "a file could not be read",
        })
    }
}

impl std::error::Error for Broken {}

// === answers

/// The body of an answer.
pub struct AnswerBody {
    content: Content,
    finish: Finish,
    /// What is said of the request if the answer breaks off, and how often it was tried.
    about: Option<(About, u32)>,
}

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
    Http2(super::h2::Stream),
}

impl Drop for Finish {
    fn drop(&mut self) {
        if let Self::Http1(link) = self {
            link.done();
        }
    }
}

impl AnswerBody {
    /// A body that tells when it ends.
    #[must_use]
    pub fn new(content: Content, finish: Finish) -> Self {
        Self { content, finish, about: None }
    }

    /// The same, of a request that is known by this to people, and was tried so often.
    #[must_use]
    pub fn about(self, about: Option<(About, u32)>) -> Self {
        Self { about, ..self }
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
        let polled = match &mut this.content {
            Content::Empty => Poll::Ready(None),
            Content::Text(text) => {
                let text = std::mem::take(text);
                this.content = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(text))))
            }
            Content::Origin(body) => body.poll_frame(cx),
            Content::Web(body) => body.poll_frame(cx),
            Content::File(body) => body.poll_frame(cx),
        };
        if let Poll::Ready(Some(Err(_))) = &polled {
            this.broke();
        }
        if let Some(body) = this.content.broken()
            && let Some((about, attempt)) = this.about.take()
        {
            body.tell(&about, attempt);
        }
        super::h2::note(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Text(_) => false,
            Content::Origin(body) => body.incoming.is_end_stream(),
            Content::Web(body) => body.is_end(),
            Content::File(body) => body.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
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

/// An error of hyper's with what lies below it, for the console.
#[must_use]
pub fn describe(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(e) = source {
        let more = e.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = e.source();
    }
    // rustls explains at length where an end without a farewell may come from.
    if text.contains("close_notify") {
        return "the connection was closed without a word, not even one of TLS: \
                right after a handshake, the endpoint may not take our client certificate"
            .to_owned();
    }
    text
}

// === requests

/// The body of a request, on its way to an origin.
pub enum RequestBody {
    /// There is none.
    Empty,
    /// What the client sends.
    Client(ClientBody),
    /// The same, kept while it is sent.
    Kept(Reel),
    /// The same, some of it once more.
    Rewound(Box<Rewound>),
    /// gRPC-Web in base64.
    Text(Box<web::Text>),
    /// All of it, in one piece.
    Whole(Bytes),
}

/// What a client sends.
pub struct ClientBody {
    incoming: Incoming,
    /// Bytes that may still come.
    left: u64,
    idle_ms: u64,
    timer: Timer,
    state: Rc<Upload>,
    /// A copy of the request, which takes the body along.
    mirror: Option<Box<Mirror>>,
}

/// What the exchange knows of a body that it has handed on.
#[derive(Debug)]
pub struct Upload {
    ticks: Rc<Ticks>,
    /// Whether somebody asked for it: `100 Continue` has been sent, bytes may be lost to a retry.
    touched: Cell<bool>,
    moved_at: Cell<u64>,
    /// Whether the client is waited for.
    waits: Cell<bool>,
    broken: Cell<Option<Broken>>,
    link: Option<Rc<Link>>,
}

impl Upload {
    /// Whether anybody has read from it.
    #[must_use]
    pub fn touched(&self) -> bool {
        self.touched.get()
    }

    /// It broke off, whoever found out.
    pub fn breaks(&self, broken: Broken) {
        self.broken.set(Some(broken));
    }

    /// Why it broke off, if it did.
    #[must_use]
    pub fn broken(&self) -> Option<Broken> {
        self.broken.get()
    }

    /// Milliseconds since the origin took something of it. None while the client is waited for,
    /// which has a deadline of its own.
    #[must_use]
    pub fn still_for(&self) -> Option<u64> {
        let still = self.ticks.now_ms().saturating_sub(self.moved_at.get());
        (!self.waits.get()).then_some(still)
    }
}

impl RequestBody {
    /// A client's body, of which `limit` bytes are let through, and what is known of it. The link
    /// tells why the gate broke a body off.
    #[must_use]
    pub fn new(
        incoming: Incoming,
        limit: u64,
        idle_ms: u64,
        ticks: &Rc<Ticks>,
        link: Option<Rc<Link>>,
    ) -> (Self, Option<Rc<Upload>>) {
        if incoming.is_end_stream() {
            return (Self::Empty, None);
        }
        let state = Rc::new(Upload {
            ticks: Rc::clone(ticks),
            touched: Cell::new(false),
            moved_at: Cell::new(ticks.now_ms()),
            waits: Cell::new(false),
            broken: Cell::new(None),
            link,
        });
        let body = ClientBody {
            incoming,
            left: limit,
            idle_ms,
            timer: Timer::new(ticks),
            state: Rc::clone(&state),
            mirror: None,
        };
        (Self::Client(body), Some(state))
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        self.put_down();
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Client(body) => body.poll_frame(cx),
            Self::Kept(reel) => reel.poll_frame(cx),
            Self::Rewound(body) => Pin::new(&mut **body).poll_frame(cx),
            Self::Text(body) => Pin::new(&mut **body).poll_frame(cx),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client(body) => body.is_end_stream(),
            Self::Kept(reel) => reel.is_end_stream(),
            Self::Rewound(body) => body.is_end_stream(),
            Self::Text(body) => body.is_end_stream(),
            Self::Whole(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client(body) => body.size_hint(),
            Self::Kept(reel) => reel.size_hint(),
            Self::Rewound(body) => body.size_hint(),
            Self::Text(body) => body.size_hint(),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

impl ClientBody {
    /// Whether nothing more comes.
    #[must_use]
    pub fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// How much more comes.
    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    /// A copy of the request takes the body along, and is sent when it is through.
    pub fn mirror(&mut self, mirror: Box<Mirror>) {
        self.mirror = Some(mirror);
    }

    fn mirrored(&mut self, data: Option<&Bytes>) {
        // hyper does not ask a body again that has given as much as it said, and drops it.
        let ended = self.incoming.is_end_stream();
        if let Some(mut mirror) = self.mirror.take()
            && data.is_none_or(|data| mirror.add(data))
        {
            if ended {
                mirror.send();
            } else {
                self.mirror = Some(mirror);
            }
        }
    }

    /// Nobody asks for it any more, or not for now: the client is not waited for.
    pub fn put_down(&self) {
        self.state.waits.set(false);
        self.state.moved_at.set(self.state.ticks.now_ms());
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.state.touched.set(true);
        let broken = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.timer.lift();
                self.state.waits.set(false);
                self.state.moved_at.set(self.state.ticks.now_ms());
                let len = frame.data_ref().map_or(0, |d| d.len() as u64);
                // On HTTP/1 the gate has seen to it.
                let forbidden = frame
                    .trailers_ref()
                    .is_some_and(|trailers| trailers.keys().any(|name| forbidden_trailer(name.as_str().as_bytes())));
                match self.left.checked_sub(len) {
                    Some(_) if forbidden => Broken::Refused(Reason::Trailer),
                    Some(left) => {
                        self.left = left;
                        if self.mirror.is_some() {
                            self.mirrored(frame.data_ref());
                        }
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    None => Broken::Refused(Reason::BodyTooLarge),
                }
            }
            Poll::Ready(Some(Err(_))) => match self.state.link.as_ref().and_then(|link| link.body_refused()) {
                Some(reason) => Broken::Refused(reason),
                None => Broken::ClientGone,
            },
            Poll::Ready(None) => {
                if let Some(mirror) = self.mirror.take() {
                    mirror.send();
                }
                return Poll::Ready(None);
            }
            Poll::Pending => {
                self.state.waits.set(true);
                if !self.timer.is_set() {
                    self.timer.set(self.idle_ms);
                }
                ready!(self.timer.poll(cx));
                Broken::Refused(Reason::BodyTimeout)
            }
        };
        self.state.broken.set(Some(broken));
        Poll::Ready(Some(Err(broken)))
    }
}
