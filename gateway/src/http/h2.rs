//! The HTTP/2 server of a connection.

use super::body::{Arriving, Broken};
use super::client::Client;
use super::exchange;
use super::gate::Transport;
use super::unread::{Answering, Unread};
use crate::runtime::reads::{Read, Reads};
use crate::runtime::ticks::{Ticks, Timer};
use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};

/// Streams that a client may have open at once.
const STREAMS: u32 = 256;
/// What a client may send on one stream before the origin has taken it.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Likewise on all streams of a connection: uploads that their origins do not take must not hold up the
/// others. By half of it h2 measures how much it may cost to keep small frames apart (256 bytes each): the
/// small messages of a gRPC stream must have room until its origin takes them.
const CONNECTION_WINDOW: u32 = 10 * 1024 * 1024;
/// What is buffered of the answer of a stream.
const SEND_BUFFER: usize = 128 * 1024;
const FRAME: u32 = 16 * 1024;
/// Streams that a client may reset before they were looked at (CVE-2023-44487).
const PENDING_RESETS: usize = 32;
/// Streams that we may reset for the client's mistakes before the connection is given up.
const LOCAL_RESETS: usize = 256;
/// A connection that has been silent for so long is asked whether it lives …
const PING_EVERY: Duration = Duration::from_secs(30);
/// … and has so long to answer.
const PING_WITHIN: Duration = Duration::from_secs(15);
/// A client that was told to go has so long to answer, once it has no stream.
const LEAVE_MS: u64 = 2_000;
/// A client that takes nothing of an answer for so long has its stream reset.
const STALL_MS: u64 = 60_000;

/// Serves a connection to its end. `seen` was read from it already.
pub async fn serve<S: Transport + 'static>(client: Rc<Client>, io: S, seen: BytesMut) {
    let worker = Rc::clone(&client.worker);
    let (header_list, idle_ms) = {
        let limits = &worker.snapshot().gateway.limits;
        let head = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX).min(256 * 1024);
        (head, limits.keep_alive_ms)
    };
    let unread = Unread::new(&worker.ticks);
    let idle = Timer::after(&worker.ticks, idle_ms);
    let streams = Rc::new(Streams { open: Cell::new(0), idle, idle_ms, unread });
    let counted = Rc::clone(&streams);
    let service = service_fn(move |request| exchange::http2(&client, Stream::new(&counted), request));
    let local = Local { ticks: Rc::clone(&worker.ticks) };
    let connection = Builder::new(local)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .adaptive_window(false)
        // WebSocket, RFC 8441.
        .enable_connect_protocol()
        .max_frame_size(FRAME)
        .max_header_list_size(header_list)
        .header_table_size(4096)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WITHIN)
        .serve_connection(TokioIo::new(Reads::new(io, Seen(seen))), service);
    let mut connection = pin!(connection);
    let mut leaving = false;
    // An error is the client's leaving or a violation that h2 has answered.
    let _ = poll_fn(|cx| {
        let idle = streams.idle.poll(cx).is_ready();
        if leaving && idle {
            // The client was told to go, has no stream, and stays.
            return Poll::Ready(Ok(()));
        }
        if !leaving && (worker.draining() || idle) {
            leaving = true;
            connection.as_mut().graceful_shutdown();
            streams.leave();
            // The timer must be asked once more, to wake this task.
            if streams.idle.poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
        }
        streams.unread.poll(cx);
        connection.as_mut().poll(cx)
    })
    .await;
}

/// The streams of a connection.
#[derive(Debug)]
struct Streams {
    open: Cell<usize>,
    idle: Timer,
    idle_ms: u64,
    unread: Rc<Unread>,
}

impl Streams {
    /// The connection is being closed: without a stream, it has a moment left.
    fn leave(&self) {
        if self.open.get() == 0 {
            self.idle.set(LEAVE_MS.min(self.idle_ms));
        } else {
            self.idle.lift();
        }
    }
}

/// A stream, counted while its request is answered.
#[derive(Debug)]
pub struct Stream {
    of: Rc<Streams>,
    /// There when its request has a body.
    answering: Option<Answering>,
}

impl Stream {
    fn new(streams: &Rc<Streams>) -> Self {
        streams.open.set(streams.open.get() + 1);
        streams.idle.lift();
        Self { of: Rc::clone(streams), answering: None }
    }

    /// The body of its request, whose rest is left to the connection.
    pub fn arriving(&mut self, body: Incoming) -> Arriving {
        if body.is_end_stream() {
            return Arriving::new(body, None);
        }
        let (rest, answering) = self.of.unread.of_request();
        self.answering = Some(answering);
        Arriving::new(body, Some(rest))
    }

    /// The status of its answer is known.
    pub fn says(&self, status: StatusCode) {
        if let Some(answering) = &self.answering {
            answering.says(status);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let open = self.of.open.get() - 1;
        self.of.open.set(open);
        if open == 0 {
            self.of.idle.set(self.of.idle_ms);
        }
    }
}

// === stalls

/// What happened to an answer's body while its stream was polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    /// It gave something to send: from now on the client is waited for.
    Gave,
    /// It has nothing to send: somebody else is waited for.
    Waits,
}

thread_local! {
    static TOLD: Cell<Told> = const { Cell::new(Told::Nothing) };
}

/// Notes what an answer's body said. hyper polls the body from within the stream's task, which looks
/// at the note right after.
#[inline]
pub(super) fn note(polled: &Poll<Option<Result<Frame<Bytes>, Broken>>>) {
    TOLD.set(if polled.is_ready() { Told::Gave } else { Told::Waits });
}

/// Runs the streams of a connection on its thread.
#[derive(Clone)]
struct Local {
    ticks: Rc<Ticks>,
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Local {
    fn execute(&self, stream: F) {
        let ticks = Rc::clone(&self.ticks);
        // Pinned once: an async function would hold a place for it as an argument and another one
        // to pin it in.
        tokio::task::spawn_local(watched(Box::pin(stream), ticks));
    }
}

/// A stream's task. hyper has no deadline for a client that opens no window: dropping the stream
/// resets it.
async fn watched<F: Future<Output = ()>>(mut stream: Pin<Box<F>>, ticks: Rc<Ticks>) {
    let mut stall: Option<Timer> = None;
    poll_fn(|cx| {
        TOLD.set(Told::Nothing);
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match TOLD.get() {
            Told::Gave => stall.get_or_insert_with(|| Timer::new(&ticks)).set(STALL_MS),
            Told::Waits => stall = None,
            Told::Nothing => {}
        }
        stall.as_ref().map_or(Poll::Pending, |stall| stall.poll(cx))
    })
    .await;
}

// === what was read before the protocol was known

/// What was read already comes first.
struct Seen(BytesMut);

impl<S: AsyncRead> Read<S> for Seen {
    fn poll_read(&mut self, io: Pin<&mut S>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0.is_empty() {
            return io.poll_read(cx, into);
        }
        let n = self.0.len().min(into.remaining());
        into.put_slice(&self.0[..n]);
        self.0.advance(n);
        if self.0.is_empty() {
            self.0 = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}
