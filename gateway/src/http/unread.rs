//! What clients still send of bodies that nobody reads any more: after a refusal, after an answer of the gateway's own,
//! after one that an origin gave early.
//!
//! Who stops reading must not stop the client's reading. A socket that is closed with bytes unread resets the
//! connection, and many a client of HTTP/2 that is told to send no more (`RST_STREAM`, RFC 9113 section 8.1) forgets
//! the answer before it. So what still comes is thrown away for a while, bounded in time and in bytes: a client that
//! reads while it sends finds its answer and stops by itself.
//!
//! That is for answers which say that it went wrong. Behind a success clients send on, and some (curl 7.88) stand still
//! for good when the stream is not reset: there it is reset at once, as ever.

use crate::runtime::ticks::{Ticks, Timer};
use http::StatusCode;
use hyper::body::{Body, Incoming};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// So much is thrown away after an answer. More than sockets hold: what is on its way when a client reads the answer.
pub const BYTES: usize = 16 * 1024 * 1024;
/// So long is waited for it, milliseconds.
pub const MS: u64 = 2_000;

/// The rests of the bodies on a connection of HTTP/2. There are no more than it has streams.
#[derive(Debug)]
pub struct Unread {
    ticks: Rc<Ticks>,
    rests: RefCell<Vec<Left>>,
    /// The connection's task, which throws them away.
    task: RefCell<Option<Waker>>,
}

/// What is left of a body.
#[derive(Debug)]
struct Left {
    incoming: Incoming,
    answer: Rc<Answer>,
    /// Bytes that may still come.
    left: usize,
    timer: Option<Timer>,
}

/// Who takes what is left of one body.
#[derive(Debug)]
pub struct Rest {
    of: Rc<Unread>,
    answer: Rc<Answer>,
}

/// The answer to a request whose body may be left: it is through, or given up, when this is dropped.
#[derive(Debug)]
pub struct Answering {
    of: Rc<Unread>,
    answer: Rc<Answer>,
}

/// What is known of the answer to a request.
#[derive(Debug, Default)]
struct Answer {
    /// It is through, or given up.
    through: Cell<bool>,
    /// It says that the request failed.
    failed: Cell<bool>,
}

impl Unread {
    /// None yet.
    #[must_use]
    pub fn new(ticks: &Rc<Ticks>) -> Rc<Self> {
        Rc::new(Self { ticks: Rc::clone(ticks), rests: RefCell::default(), task: RefCell::default() })
    }

    /// What a request with a body needs of it.
    #[must_use]
    pub fn of_request(self: &Rc<Self>) -> (Rest, Answering) {
        let answer = Rc::<Answer>::default();
        let rest = Rest { of: Rc::clone(self), answer: Rc::clone(&answer) };
        (rest, Answering { of: Rc::clone(self), answer })
    }

    /// Throws away what came, and gives up whoever had time enough. Asked by the connection's task.
    pub fn poll(&self, cx: &mut Context<'_>) {
        let task = &mut *self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
        let rests = &mut *self.rests.borrow_mut();
        if !rests.is_empty() {
            rests.retain_mut(|rest| rest.poll(&self.ticks, cx).is_pending());
            if rests.is_empty() {
                *rests = Vec::new();
            }
        }
    }

    fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }
}

impl Left {
    /// Ready when it is to be let go of: at its end, or after as much as is taken of it. Letting go of it resets the
    /// stream: with `NO_ERROR` behind an answer that is through.
    fn poll(&mut self, ticks: &Rc<Ticks>, cx: &mut Context<'_>) -> Poll<()> {
        while self.left > 0 {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let len = frame.data_ref().map_or(0, bytes::Bytes::len);
                    self.left = self.left.saturating_sub(len);
                }
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        match (self.answer.through.get(), self.left > 0) {
            // Before the answer the client may wait for it: nothing is told to it yet.
            (false, true) => return Poll::Pending,
            (true, false) => return Poll::Ready(()),
            (true, true) if !self.answer.failed.get() => return Poll::Ready(()),
            // Where nothing more is taken before the answer, what came stands in the way of the connection's other
            // streams: not for long.
            (true, true) | (false, false) => {}
        }
        self.timer.get_or_insert_with(|| Timer::after(ticks, MS)).poll(cx)
    }
}

impl Rest {
    /// Nobody reads on.
    pub fn left(self, incoming: Incoming) {
        let rest = Left { incoming, answer: self.answer, left: BYTES, timer: None };
        self.of.rests.borrow_mut().push(rest);
        self.of.wake();
    }
}

impl Answering {
    /// Its status is known.
    pub fn says(&self, status: StatusCode) {
        self.answer.failed.set(!status.is_success());
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.answer.through.set(true);
        if !self.of.rests.borrow().is_empty() {
            self.of.wake();
        }
    }
}
