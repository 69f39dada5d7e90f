//! The stream that hyper reads from.

use super::{Limits, Reason, Scanner};
use crate::http::unread;
use crate::http::upgrade::Switched;
use crate::l4::side::Side;
use crate::runtime::ticks::{Ticks, Timer};
use bytes::{Buf, BytesMut};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What hyper reads in place of a request that was refused. Its answer is the refusal.
const SUBSTITUTE: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// A client that takes nothing of an answer for so long is cut off.
const WRITE_STALL_MS: u64 = 60_000;
/// What is read of a client behind its request for another protocol, before there is an answer.
const HELD_BYTES: usize = 16 * 1024;

/// A stream over TCP.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// The socket below it.
    fn tcp(&self) -> &TcpStream;
    /// As one end of what is relayed.
    fn into_side(self) -> Side;
}

impl Transport for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }

    fn into_side(self) -> Side {
        Side::Plain(self.into())
    }
}

impl Transport for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }

    fn into_side(self) -> Side {
        Side::Accepted(Box::new(self))
    }
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the first byte of a head to its last, milliseconds.
    pub head_ms: u64,
    /// Between two requests, milliseconds.
    pub idle_ms: u64,
}

/// What the gate and the service of a connection tell each other.
pub struct Link {
    /// The deadline of whatever the connection waits for from the client.
    timer: Timer,
    patience: Patience,
    /// The refusal, and which request (from 0) stands for it.
    refused: Cell<Option<(u64, Reason)>>,
    /// Why the body of the current request broke off.
    body: Cell<Option<Reason>>,
    /// Requests that reached the service.
    served: Cell<u64>,
    busy: Cell<bool>,
    /// How long the client may take nothing of an answer.
    stall_ms: Cell<u64>,
    /// A head has begun and is not whole.
    in_head: Cell<bool>,
    /// Whether the end of the connection is what ends an answer.
    closing_ends: Cell<bool>,
    reset: Cell<bool>,
    /// The request (from 0) that asked for another protocol and has no answer yet.
    asked: Cell<Option<u64>>,
    /// Woken when it has one.
    waits: Cell<Option<Waker>>,
    /// What was agreed on.
    switched: Cell<Option<Box<Switched>>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("served", &self.served).field("busy", &self.busy).finish_non_exhaustive()
    }
}

impl Link {
    /// Of a new connection.
    #[must_use]
    pub fn new(ticks: &Rc<Ticks>, patience: Patience) -> Rc<Self> {
        Rc::new(Self {
            timer: Timer::after(ticks, patience.idle_ms),
            patience,
            refused: Cell::new(None),
            body: Cell::new(None),
            served: Cell::new(0),
            busy: Cell::new(false),
            stall_ms: Cell::new(WRITE_STALL_MS),
            in_head: Cell::new(false),
            closing_ends: Cell::new(false),
            reset: Cell::new(false),
            asked: Cell::new(None),
            waits: Cell::new(None),
            switched: Cell::new(None),
        })
    }

    /// Whether the current request asks for another protocol; what the client sends behind it waits
    /// until one of the following two is called.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.get().is_some_and(|number| number + 1 == self.served.get())
    }

    /// The connection stays HTTP.
    pub fn stays(&self) {
        if self.asked.take().is_some()
            && let Some(waits) = self.waits.take()
        {
            waits.wake();
        }
    }

    /// Another protocol begins behind the answer.
    pub fn switches(&self, to: Box<Switched>) {
        self.switched.set(Some(to));
    }

    /// What begins behind the answer, if it is another protocol.
    #[must_use]
    pub fn switched(&self) -> Option<Box<Switched>> {
        self.switched.take()
    }

    /// A request reached the service. The reason, when it stands for a refusal.
    pub fn begin(&self) -> Option<Reason> {
        let number = self.served.replace(self.served.get() + 1);
        self.busy.set(true);
        self.timer.lift();
        self.refused.get().filter(|(at, _)| *at == number).map(|(_, reason)| reason)
    }

    /// The answer to a request is through, or given up.
    pub fn done(&self) {
        self.busy.set(false);
        let Patience { head_ms, idle_ms } = self.patience;
        self.timer.set(if self.in_head.get() { head_ms } else { idle_ms });
    }

    /// The route's own patience with a client that takes nothing of its answer; the default without one.
    pub fn patient_for(&self, idle_ms: Option<u64>) {
        self.stall_ms.set(idle_ms.map_or(WRITE_STALL_MS, |ms| ms.min(WRITE_STALL_MS)));
    }

    /// Why the body of the current request broke off, when the gate broke it off.
    #[must_use]
    pub fn body_refused(&self) -> Option<Reason> {
        self.body.get()
    }

    /// Whether nothing but the end of the connection may end the answer to the current request.
    pub fn ends_by_closing(&self, closing: bool) {
        self.closing_ends.set(closing);
    }

    /// The answer broke off. A client that takes the end of the connection for the end of the answer
    /// must see a reset; others can count, and keep what arrived.
    pub fn broke(&self) {
        self.reset.set(self.closing_ends.get());
    }
}

/// A client's stream, as hyper sees it: nothing but well-formed requests.
pub struct Gate<S: Transport> {
    /// There until it is taken back.
    io: Option<S>,
    link: Rc<Link>,
    scanner: Scanner,
    /// Bytes that hyper has not seen: `ready` accepted ones, then the beginning of a head.
    held: BytesMut,
    ready: usize,
    refused: bool,
    cut: Option<Reason>,
    stall: Option<Timer>,
    linger: Option<(Timer, usize)>,
    shut: bool,
}

impl<S: Transport> Gate<S> {
    /// A gate before `io`, of which `seen` has been read already.
    #[must_use]
    pub fn new(io: S, seen: BytesMut, limits: Limits, link: Rc<Link>) -> Self {
        let mut gate = Self {
            io: Some(io),
            link,
            scanner: Scanner::new(limits),
            held: seen,
            ready: 0,
            refused: false,
            cut: None,
            stall: None,
            linger: None,
            shut: false,
        };
        if !gate.held.is_empty() {
            gate.scan_held();
        }
        gate
    }

    /// Judges what is held; nothing of it has been accepted.
    fn scan_held(&mut self) {
        let scan = self.scanner.scan(&self.held);
        self.ready = scan.accepted;
        self.after(scan.refused);
    }

    fn after(&mut self, refused: Option<Reason>) {
        if let Some(reason) = refused {
            self.refuse(reason);
            return;
        }
        self.note_asked();
        let in_head = self.scanner.in_head();
        let before = self.link.in_head.replace(in_head);
        // The deadline of a head runs from its first byte, or from the end of the answer before it.
        if in_head && !before && !self.link.busy.get() {
            self.link.timer.set(self.link.patience.head_ms);
        }
    }

    fn note_asked(&self) {
        if self.scanner.asked() {
            self.link.asked.set(Some(self.scanner.heads() - 1));
        }
    }

    fn refuse(&mut self, reason: Reason) {
        self.held.truncate(self.ready);
        self.refused = true;
        if self.scanner.in_body() {
            self.cut = Some(reason);
            self.link.body.set(Some(reason));
        } else {
            self.link.refused.set(Some((self.scanner.heads(), reason)));
            self.held.extend_from_slice(SUBSTITUTE);
            self.ready = self.held.len();
        }
    }

    /// Hands out what is accepted and held.
    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) {
        let n = self.ready.min(buf.remaining());
        buf.put_slice(&self.held[..n]);
        self.held.advance(n);
        self.ready -= n;
        if self.held.is_empty() {
            // Idle connections hold no memory.
            self.held = BytesMut::new();
        }
    }

    fn io(&mut self) -> Pin<&mut S> {
        Pin::new(self.io.as_mut().expect("a stream is used until it is taken back"))
    }

    /// The stream itself, and what was read from it and is not HTTP. `None` when it was taken before.
    pub fn take_back(&mut self) -> Option<(S, BytesMut)> {
        Some((self.io.take()?, std::mem::take(&mut self.held)))
    }

    /// Whether it was shut down.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.shut
    }

    /// What comes while a request for another protocol has no answer is kept, up to a bound.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.waits.set(Some(cx.waker().clone()));
        while self.held.len() < HELD_BYTES {
            let mut more = [0; 4096];
            let mut into = ReadBuf::new(&mut more);
            ready!(self.io().poll_read(cx, &mut into))?;
            if into.filled().is_empty() {
                // The client left.
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(into.filled());
        }
        Poll::Pending
    }

    /// The client was waited for too long.
    fn expired(&mut self) -> Poll<io::Result<()>> {
        self.link.timer.lift();
        if self.scanner.in_head() {
            self.refuse(Reason::HeadTimeout);
            Poll::Pending
        } else {
            // Nothing was asked: the end of the stream, which hyper answers by closing.
            Poll::Ready(Ok(()))
        }
    }

    /// The socket has nothing more for now.
    fn wait(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.link.timer.poll(cx));
        self.expired()
    }

    /// Throws away what still comes after the last answer.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ticks = self.link.timer.ticks();
        let io = self.io.as_mut().expect("a stream is used until it is taken back");
        let (timer, left) = self.linger.get_or_insert_with(|| (Timer::after(ticks, unread::MS), unread::BYTES));
        // As much as a record of TLS has.
        let mut thrown = [0; 16 * 1024];
        loop {
            let mut buf = ReadBuf::new(&mut thrown);
            match Pin::new(&mut *io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    *left = left.saturating_sub(buf.filled().len());
                    if *left == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(Ok(()) | Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => return timer.poll(cx).map(Ok),
            }
        }
    }

    fn stalled<T>(&mut self, cx: &Context<'_>) -> Poll<io::Result<T>> {
        let ticks = self.link.timer.ticks();
        let stall = self.stall.get_or_insert_with(|| Timer::new(ticks));
        if !stall.is_set() {
            stall.set(self.link.stall_ms.get());
        }
        ready!(stall.poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn moved(&self) {
        if let Some(stall) = &self.stall {
            stall.lift();
        }
    }
}

impl<S: Transport> AsyncRead for Gate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.ready > 0 {
                this.hand_out(buf);
                return Poll::Ready(Ok(()));
            }
            if this.refused {
                return match this.cut.take() {
                    Some(reason) => Poll::Ready(Err(io::Error::other(reason.text()))),
                    // Nothing more is read; the answer to the substitute ends the connection.
                    None => Poll::Pending,
                };
            }
            if this.scanner.asked() {
                if this.link.asked.get().is_some() {
                    return this.poll_held(cx);
                }
                this.scanner.stays();
                this.scan_held();
                continue;
            }
            if this.held.is_empty() {
                let before = buf.filled().len();
                match this.io().poll_read(cx, buf) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                    Poll::Pending => match this.wait(cx) {
                        Poll::Pending if this.ready > 0 => continue,
                        other => return other,
                    },
                }
                let new = &buf.filled()[before..];
                if new.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let scan = this.scanner.scan(new);
                if scan.accepted == new.len() && scan.refused.is_none() {
                    this.note_asked();
                    return Poll::Ready(Ok(()));
                }
                this.held.extend_from_slice(&new[scan.accepted..]);
                buf.set_filled(before + scan.accepted);
                this.after(scan.refused);
                if scan.accepted > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let mut more = [0; 4096];
                let mut into = ReadBuf::new(&mut more);
                match this.io().poll_read(cx, &mut into) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                    Poll::Pending => match this.wait(cx) {
                        Poll::Pending if this.ready > 0 => continue,
                        other => return other,
                    },
                }
                if into.filled().is_empty() {
                    // The client left in the middle of a head.
                    this.held.clear();
                    return Poll::Ready(Ok(()));
                }
                this.held.extend_from_slice(into.filled());
                let scan = this.scanner.scan(&this.held);
                this.ready = scan.accepted;
                this.after(scan.refused);
            }
        }
    }
}

impl<S: Transport> AsyncWrite for Gate<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.io().poll_write(cx, buf) {
            Poll::Pending => this.stalled(cx),
            ready => {
                this.moved();
                ready
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.io().poll_write_vectored(cx, bufs) {
            Poll::Pending => this.stalled(cx),
            ready => {
                this.moved();
                ready
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.io().poll_flush(cx) {
            Poll::Pending => this.stalled(cx),
            ready => {
                this.moved();
                ready
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            this.shut = true;
            ready!(this.io().poll_shutdown(cx))?;
            if !this.refused && !this.scanner.in_body() {
                return Poll::Ready(Ok(()));
            }
        }
        this.poll_linger(cx)
    }
}

impl<S: Transport> Drop for Gate<S> {
    fn drop(&mut self) {
        if self.link.reset.get()
            && let Some(io) = &self.io
        {
            // Best effort: a socket that cannot be told is about to be closed anyway.
            let _ = io.tcp().set_zero_linger();
        }
    }
}
