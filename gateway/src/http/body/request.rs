//! What a client sends, on its way to an origin.

use super::{Arriving, Broken, Prefix};
use crate::http::again::Rewound;
use crate::http::forward::{Mirror, Reel};
use crate::http::gate::{Link, Reason, forbidden_trailer};
use crate::http::grpc::web;
use crate::runtime::ticks::{Ticks, Timer};
use bytes::Bytes;
use dsl::tree::ir::alike;
use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame, SizeHint};
use std::cell::{Cell, OnceCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

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
    incoming: Arriving,
    /// Bytes that may still come.
    left: u64,
    idle_ms: u64,
    timer: Timer,
    state: Rc<Upload>,
    /// A copy of the request, which takes the body along.
    mirror: Option<Box<Mirror>>,
    /// What was taken of it to look into it: it comes first.
    beginning: Option<Box<Prefix>>,
    /// Whether its length is said to the origin.
    measured: bool,
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
    /// What policies took out of the head: it does not come in behind the body.
    taken: OnceCell<Box<[HeaderName]>>,
}

impl Upload {
    /// Headers that trailers have no more than the head has; said once.
    pub fn takes(&self, names: Box<[HeaderName]>) {
        // Who says it twice says the same.
        let _ = self.taken.set(names);
    }

    /// Takes from trailers what was taken from the head, in whatever spelling.
    fn cut(&self, trailers: &mut HeaderMap) {
        let Some(taken) = self.taken.get().filter(|taken| !taken.is_empty()) else { return };
        let gone = |name: &&HeaderName| taken.iter().any(|taken| alike(taken.as_str(), name.as_str()));
        let gone: Vec<HeaderName> = trailers.keys().filter(gone).cloned().collect();
        for name in gone {
            trailers.remove(name);
        }
    }

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
    /// A client's body, of which `limit` bytes are let through, and what is known of it; with what was taken of it
    /// already. The link tells why the gate broke a body off.
    #[must_use]
    pub fn new(
        beginning: Option<Box<Prefix>>,
        incoming: Arriving,
        limit: u64,
        idle_ms: u64,
        ticks: &Rc<Ticks>,
        link: Option<Rc<Link>>,
    ) -> (Self, Option<Rc<Upload>>) {
        let beginning = beginning.filter(|prefix| !prefix.is_empty());
        if beginning.is_none() && incoming.is_end_stream() {
            return (Self::Empty, None);
        }
        let measured = beginning.as_ref().is_none_or(|prefix| prefix.measured);
        let state = Rc::new(Upload {
            ticks: Rc::clone(ticks),
            touched: Cell::new(false),
            moved_at: Cell::new(ticks.now_ms()),
            waits: Cell::new(false),
            broken: Cell::new(None),
            link,
            taken: OnceCell::new(),
        });
        let body = ClientBody {
            incoming,
            left: limit,
            idle_ms,
            timer: Timer::new(ticks),
            state: Rc::clone(&state),
            mirror: None,
            beginning,
            measured,
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
        self.beginning.is_none() && self.incoming.is_end_stream()
    }

    /// How much more comes. It is no exact number where the client said none, though all of it may be here: an origin
    /// hears of the body in the way that the client told of it.
    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        let hint = self.incoming.size_hint();
        if self.beginning.is_none() && self.measured {
            return hint;
        }
        let taken = self.beginning.as_ref().map_or(0, |prefix| prefix.len() as u64);
        let mut whole = SizeHint::new();
        if let Some(upper) = hint.upper().filter(|_| self.measured) {
            whole.set_upper(upper.saturating_add(taken));
        }
        whole.set_lower(hint.lower().saturating_add(taken));
        whole
    }

    /// A copy of the request takes the body along, and is sent when it is through.
    pub fn mirror(&mut self, mirror: Box<Mirror>) {
        self.mirror = Some(mirror);
    }

    fn mirrored(&mut self, data: Option<&Bytes>) {
        // hyper does not ask a body again that has given as much as it said, and drops it.
        let ended = self.is_end_stream();
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

    /// What was taken of it before, as far as it was not given out yet.
    fn taken(&mut self) -> Option<Frame<Bytes>> {
        let prefix = self.beginning.as_mut()?;
        let frame = match prefix.take_bytes() {
            Some(bytes) => Some(Frame::data(bytes)),
            None => prefix.trailers.take().map(Frame::trailers),
        };
        if prefix.is_empty() {
            self.beginning = None;
        }
        frame
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.state.touched.set(true);
        let polled = match self.taken() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => self.incoming.poll_frame(cx),
        };
        let broken = match polled {
            Poll::Ready(Some(Ok(mut frame))) => {
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
                        if let Some(trailers) = frame.trailers_mut() {
                            self.state.cut(trailers);
                        }
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
