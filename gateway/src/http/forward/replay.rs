//! A request once more: its head copied before it is sent, its body kept while it is sent.

use super::super::body::{Broken, ClientBody, RequestBody};
use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use http_body::{Frame, SizeHint};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// A request that is sent, and what it takes to send it once more.
pub struct Sending {
    /// What is sent next; once it was, a copy of it where it may be sent twice, without its body.
    request: Option<Request<RequestBody>>,
    /// Whether `request` was sent before.
    copy: bool,
    /// Whether it has no body.
    empty: bool,
    /// Its body, where it is kept.
    tape: Option<Rc<Tape>>,
}

impl Sending {
    /// A request that was not sent yet. Its body is kept up to so many bytes, where that is more than none.
    pub(super) fn new(mut request: Request<RequestBody>, keep: u64) -> Self {
        let empty = matches!(request.body(), RequestBody::Empty);
        let tape = if keep > 0 { Tape::record(request.body_mut(), keep) } else { None };
        Self { request: Some(request), copy: false, empty, tape }
    }

    /// What is sent next. Its head is copied where that is asked for and its body can be sent again too.
    pub(super) fn take(&mut self, keep: bool) -> Request<RequestBody> {
        let request = self.request.take().expect("a try begins only where there is a request");
        if keep && (self.empty || self.tape.is_some()) {
            self.request = Some(copied(&request));
        }
        self.copy = true;
        request
    }

    /// The same request for another endpoint at the same time; only one without a body has such a twin.
    pub(super) fn twin(&self) -> Option<Self> {
        let request = self.request.as_ref().filter(|_| self.empty && !self.copy)?;
        Some(Self { request: Some(copied(request)), copy: false, empty: true, tape: None })
    }

    /// Nothing of it was sent.
    pub(super) fn put_back(&mut self, request: Request<RequestBody>) {
        self.request = Some(request);
        self.copy = false;
    }

    /// Whether [`Sending::again`] would find the request; nothing changes.
    pub(super) fn may_again(&self) -> bool {
        let kept = |tape: &Rc<Tape>| !tape.kept.borrow().over;
        self.request.is_some() && (!self.copy || self.tape.as_ref().is_none_or(kept))
    }

    /// Whether the request is there to be sent, if need be once more: what was sent of it before is given up.
    pub(super) fn again(&mut self) -> bool {
        let Some(request) = &mut self.request else { return false };
        if self.copy {
            match &self.tape {
                None => {}
                Some(tape) => match Tape::rewound(tape) {
                    Some(reel) => *request.body_mut() = RequestBody::Kept(reel),
                    None => return false,
                },
            }
            self.copy = false;
        }
        true
    }

    /// The body from its start, for another request; `None` when some of it is lost.
    pub fn take_body(&mut self) -> Option<RequestBody> {
        match (self.request.take(), &self.tape) {
            (Some(request), _) if !self.copy => Some(request.into_body()),
            (_, Some(tape)) => Tape::rewound(tape).map(RequestBody::Kept),
            (_, None) => self.empty.then_some(RequestBody::Empty),
        }
    }
}

/// The head of a request once more.
pub(super) fn copied(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = Version::HTTP_11;
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// A client's body that is kept while it is sent, up to a bound.
pub struct Tape {
    kept: RefCell<Kept>,
    /// Who may read from it: the last one that was made.
    turn: Cell<u32>,
}

struct Kept {
    client: ClientBody,
    bytes: Vec<u8>,
    trailers: Option<HeaderMap>,
    limit: u64,
    /// It was longer than the bound: nothing is kept any more.
    over: bool,
    ended: bool,
}

/// A reading of what was kept of a body, from its start.
pub struct Reel {
    tape: Rc<Tape>,
    turn: u32,
    /// How much of what is kept has been read.
    at: usize,
    trailers: bool,
}

impl Tape {
    /// Keeps what a client sends from now on. `None` for bodies that are none, or are known to be longer.
    fn record(body: &mut RequestBody, limit: u64) -> Option<Rc<Self>> {
        let client = match std::mem::replace(body, RequestBody::Empty) {
            RequestBody::Client(client) if client.size_hint().lower() <= limit => client,
            other => {
                *body = other;
                return None;
            }
        };
        let kept = Kept { client, bytes: Vec::new(), trailers: None, limit, over: false, ended: false };
        let tape = Rc::new(Self { kept: RefCell::new(kept), turn: Cell::new(0) });
        *body = RequestBody::Kept(Reel { tape: Rc::clone(&tape), turn: 0, at: 0, trailers: false });
        Some(tape)
    }

    /// Another reading, after which those before it fail; `None` when too much was read to be kept.
    fn rewound(tape: &Rc<Self>) -> Option<Reel> {
        if tape.kept.borrow().over {
            return None;
        }
        tape.turn.set(tape.turn.get() + 1);
        Some(Reel { tape: Rc::clone(tape), turn: tape.turn.get(), at: 0, trailers: false })
    }
}

impl Reel {
    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.turn != self.tape.turn.get() {
            // Of a try that was given up.
            return Poll::Ready(Some(Err(Broken::Origin)));
        }
        let kept = &mut *self.tape.kept.borrow_mut();
        if let Some(more) = kept.bytes.get(self.at..).filter(|more| !more.is_empty()) {
            self.at = kept.bytes.len();
            return Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(more)))));
        }
        if let Some(trailers) = kept.trailers.as_ref().filter(|_| !self.trailers) {
            self.trailers = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))));
        }
        if kept.ended {
            return Poll::Ready(None);
        }
        let polled = ready!(kept.client.poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    kept.add(data);
                    self.at = kept.bytes.len();
                } else if let Some(trailers) = frame.trailers_ref() {
                    kept.trailers = Some(trailers.clone());
                    self.trailers = true;
                }
            }
            Some(Err(_)) => {}
            None => kept.ended = true,
        }
        Poll::Ready(polled)
    }

    /// Whether nothing more comes.
    #[must_use]
    pub fn is_end_stream(&self) -> bool {
        let kept = self.tape.kept.borrow();
        let read = self.at >= kept.bytes.len() && (self.trailers || kept.trailers.is_none());
        read && (kept.ended || kept.client.is_end_stream())
    }

    /// How much more comes.
    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        let kept = self.tape.kept.borrow();
        let more = kept.bytes.len().saturating_sub(self.at) as u64;
        let client = kept.client.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = client.upper() {
            hint.set_upper(upper.saturating_add(more));
        }
        hint.set_lower(client.lower().saturating_add(more));
        hint
    }
}

impl Kept {
    fn add(&mut self, data: &[u8]) {
        if self.over || (self.bytes.len() + data.len()) as u64 > self.limit {
            self.over = true;
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(data);
        }
    }
}

impl Drop for Reel {
    fn drop(&mut self) {
        if self.turn == self.tape.turn.get() {
            self.tape.kept.borrow().client.put_down();
        }
    }
}
