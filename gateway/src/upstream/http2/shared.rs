//! A connection that the streams of many requests share.

use super::drive::{Noted, Watched, drive};
use super::{
    CONNECTION_WINDOW, FRAME, GIVEN_UP, HEADER_LIST, RESET_FOR, RESETS, SEND_BUFFER, STRAYS, STREAM_WINDOW, STREAMS,
    faults,
};
use crate::runtime::ticks::{Ticks, Timer};
use crate::upstream::ConnectionPermit;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::HeaderValue;
use http::uri::Authority;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite};

/// A request that was given up within that time tells nothing about its connection.
const PATIENT_MS: u64 = 1_000;

/// A connection. It closes once nobody holds it and its last stream has ended.
pub(in crate::upstream) struct Shared {
    send: RefCell<SendRequest<Bytes>>,
    pub(super) state: Rc<State>,
    generation: u64,
    https: bool,
    /// What it counts by against the pool's `limit`.
    _permit: Option<Box<ConnectionPermit>>,
    /// The host that was asked last: a connection rarely speaks of two.
    authority: RefCell<Option<(HeaderValue, Authority)>>,
}

/// What those who use a connection and the task that drives it tell each other.
pub(super) struct State {
    pub(super) ticks: Rc<Ticks>,
    /// Streams that requests have.
    pub(super) open: Cell<usize>,
    /// It takes no new requests: it ended, or nobody knows whether it lives.
    pub(super) closing: Cell<bool>,
    /// Streams that were given up before their end.
    given_up: Cell<usize>,
    /// When something was read last.
    pub(super) heard: Cell<u64>,
    /// Since when it has no stream.
    idle_since: Cell<u64>,
    /// When the driver looks whether the endpoint is there; set while there are streams.
    pub(super) look: Timer,
}

/// A stream's place on a connection, until this is dropped.
pub(in crate::upstream) struct Slot {
    pub(super) shared: Rc<Shared>,
    /// Whether it is the first one of a connection that was made for it.
    pub(super) fresh: bool,
    begun: u64,
    answered: Cell<bool>,
    ended: bool,
}

/// Opens HTTP/2 on a stream, and waits for the endpoint's settings.
///
/// # Errors
/// Why there is no connection, in words.
pub(in crate::upstream) async fn start<T>(
    stream: T,
    ticks: &Rc<Ticks>,
    https: bool,
    generation: u64,
    permit: Option<Box<ConnectionPermit>>,
) -> Result<Rc<Shared>, String>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let now = ticks.now_ms();
    let state = Rc::new(State {
        ticks: Rc::clone(ticks),
        open: Cell::new(0),
        closing: Cell::new(false),
        given_up: Cell::new(0),
        heard: Cell::new(now),
        idle_since: Cell::new(now),
        look: Timer::new(ticks),
    });
    let (send, mut connection) = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADER_LIST)
        .header_table_size(4096)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESETS)
        .reset_stream_duration(RESET_FOR)
        .max_local_error_reset_streams(Some(STRAYS))
        .enable_push(false)
        // Until the endpoint says how many.
        .initial_max_send_streams(0)
        .handshake::<_, Bytes>(Watched::new(stream, Noted(Rc::clone(&state))))
        .await
        .map_err(|e| faults::opening(&e))?;
    {
        let mut connection = pin!(&mut connection);
        poll_fn(|cx| match connection.as_mut().poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Err("it closed the connection and spoke no HTTP/2".to_owned())),
            Poll::Ready(Err(e)) => Poll::Ready(Err(faults::opening(&e))),
            Poll::Pending if send.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
    }
    tokio::task::spawn_local(drive(connection, Rc::clone(&state)));
    Ok(Rc::new(Shared {
        send: RefCell::new(send),
        state,
        generation,
        https,
        _permit: permit,
        authority: RefCell::new(None),
    }))
}

impl Shared {
    /// By which files its endpoint was verified.
    pub(in crate::upstream) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    /// Whether it takes new requests at all.
    pub(in crate::upstream) fn is_open(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        // Nothing is ever pending on this handle; it fails once the endpoint said that it goes.
        !self.state.closing.get() && !matches!(self.send.borrow_mut().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Whether the endpoint allows another stream now.
    pub(in crate::upstream) fn has_room(&self) -> bool {
        self.state.open.get() < self.send.borrow().current_max_send_streams().min(STREAMS)
    }

    /// Streams that requests have.
    pub(in crate::upstream) fn open(&self) -> usize {
        self.state.open.get()
    }

    /// Whether it has had no stream for so long.
    pub(in crate::upstream) fn is_idle_for(&self, ms: u64, now: u64) -> bool {
        self.state.open.get() == 0 && self.state.idle_since.get() + ms <= now
    }

    pub(super) fn handle(&self) -> SendRequest<Bytes> {
        self.send.borrow().clone()
    }

    /// A host as the authority that it is.
    pub(super) fn authority(&self, host: &HeaderValue) -> Option<Authority> {
        if let Some((known, authority)) = &*self.authority.borrow()
            && known == host
        {
            return Some(authority.clone());
        }
        let authority = Authority::try_from(host.as_bytes()).ok()?;
        *self.authority.borrow_mut() = Some((host.clone(), authority.clone()));
        Some(authority)
    }
}

impl Slot {
    /// A place for a stream.
    pub(in crate::upstream) fn new(shared: &Rc<Shared>, fresh: bool) -> Self {
        let state = &shared.state;
        if state.open.replace(state.open.get() + 1) == 0 {
            state.look.set(super::drive::LOOK_MS);
        }
        Self { shared: Rc::clone(shared), fresh, begun: state.ticks.now_ms(), answered: Cell::new(false), ended: false }
    }

    /// The connection.
    pub(in crate::upstream) fn shared(&self) -> Rc<Shared> {
        Rc::clone(&self.shared)
    }

    /// The head of an answer came.
    pub(super) fn answered(&self) {
        self.answered.set(true);
    }

    /// The answer is through.
    pub(in crate::upstream) fn end(mut self) {
        self.ended = true;
    }

    /// No answer came in time, or its rest. Where nothing at all came since the request began, the connection is as
    /// likely to be dead as the request to be slow: it takes no other one.
    pub(in crate::upstream) fn doubt(&self) {
        let state = &self.shared.state;
        if state.heard.get() <= self.begun {
            state.closing.set(true);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let state = &self.shared.state;
        // Given up without an answer, and not at once: its time was over.
        if !self.answered.get() && state.ticks.now_ms().saturating_sub(self.begun) >= PATIENT_MS {
            self.doubt();
        }
        if !self.ended {
            let given_up = state.given_up.get() + 1;
            state.given_up.set(given_up);
            if given_up >= GIVEN_UP {
                state.closing.set(true);
            }
        }
        let open = state.open.get() - 1;
        state.open.set(open);
        if open == 0 {
            state.idle_since.set(state.ticks.now_ms());
            state.look.lift();
        }
    }
}
