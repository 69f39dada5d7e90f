//! A WebSocket, from the answer that agrees to it to its end.

use super::Switched;
use crate::edge::Holds;
use crate::http::forward::About;
use crate::l4::End;
use crate::l4::relay::{At, Broken, Half};
use crate::l4::side::Side;
use crate::observe::log::WebSocket;
use crate::runtime::ticks::{Timer, process_ms};
use crate::runtime::worker::Worker;
use crate::upstream::Lease;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

/// How often a connection is looked at whose one end does not take what the other sent: a reset of the
/// sender is not seen by reading, for nothing is read.
const BLOCKED_LOOK_MS: u64 = 1_000;

/// Bytes both ways, until both ends are done, one breaks, or nothing has happened for too long.
pub struct Tunnel {
    worker: Rc<Worker>,
    client: Side,
    upstream: Side,
    /// From the client to the origin.
    up: Half,
    /// From the origin to the client.
    down: Half,
    /// When something was last read or written, milliseconds of the worker's clock.
    active: u64,
    idle_ms: u64,
    timer: Timer,
    /// What it ends as that both ends ended: who did first.
    first: Option<End>,
    told: Told,
}

/// What is known of it when it has ended: it is logged when this is dropped, whatever ended it.
struct Told {
    worker: Rc<Worker>,
    about: Rc<About>,
    pool: Arc<str>,
    /// The endpoint has it for as long as this lasts.
    lease: Lease,
    /// Its places in limits, likewise.
    _holds: Option<Box<Holds>>,
    started: SystemTime,
    began_ms: u64,
    bytes_in: u64,
    bytes_out: u64,
    end: End,
}

impl Tunnel {
    /// Between a client, of which `seen` was read behind its request, and an origin.
    #[must_use]
    pub fn new(worker: Rc<Worker>, client: Side, seen: &[u8], switched: Switched) -> Self {
        let Switched { upstream, seen: sent, lease, idle_ms, about, pool, holds } = switched;
        let timer = Timer::after(&worker.ticks, idle_ms);
        let active = worker.ticks.now_ms();
        let (up, down) = (Half::holding(seen.to_vec()), Half::holding(sent.to_vec()));
        let told = Told {
            worker: Rc::clone(&worker),
            about,
            pool,
            lease,
            _holds: holds,
            started: SystemTime::now(),
            began_ms: process_ms(),
            bytes_in: seen.len() as u64,
            bytes_out: sent.len() as u64,
            // What is not ended by anything else is ended with the worker.
            end: End::Stopped,
        };
        Self { worker, client, upstream, up, down, active, idle_ms, timer, first: None, told }
    }

    /// Moves what can be moved. Ready when both ends are done, or one broke: how it ended.
    fn relay(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let Self { client, upstream, up, down, told, .. } = self;
        let tools = &self.worker.carrying.tools;
        let mut active = false;
        if !up.is_over() {
            let moved = &mut |n: usize| {
                active = true;
                told.bytes_in += n as u64;
            };
            if let Poll::Ready(Err(e)) = up.poll(cx, client, upstream, down.is_over(), None, tools, moved) {
                return Poll::Ready(broken(e.at == At::Source, &e));
            }
        }
        if !down.is_over() {
            let moved = &mut |n: usize| {
                active = true;
                told.bytes_out += n as u64;
            };
            if let Poll::Ready(Err(e)) = down.poll(cx, upstream, client, up.is_over(), None, tools, moved) {
                return Poll::Ready(broken(e.at == At::Destination, &e));
            }
        }
        if active {
            self.active = self.worker.ticks.now_ms();
        }
        let first = match (up.has_ended(), down.has_ended()) {
            (true, _) => End::ClientClosed,
            (false, true) => End::UpstreamClosed,
            (false, false) => return Poll::Pending,
        };
        let first = *self.first.get_or_insert(first);
        if up.is_over() && down.is_over() { Poll::Ready(first) } else { Poll::Pending }
    }

    /// A deadline was reached: is it over, and how did it end?
    fn overdue(&self) -> Option<End> {
        let now = self.worker.ticks.now_ms();
        let idle = self.active.saturating_add(self.idle_ms);
        if idle <= now {
            return Some(End::Idle);
        }
        let mut next = idle - now;
        if self.is_blocked() {
            if self.client.is_broken() {
                return Some(End::ClientReset);
            }
            if self.upstream.is_broken() {
                return Some(End::UpstreamReset);
            }
            next = next.min(BLOCKED_LOOK_MS);
        }
        self.timer.set(next);
        None
    }

    fn is_blocked(&self) -> bool {
        self.up.is_blocked() || self.down.is_blocked()
    }

    fn end(&mut self, cx: &mut Context<'_>, end: End) {
        self.told.end = end;
        self.up.release(&self.worker.carrying.tools);
        self.down.release(&self.worker.carrying.tools);
        for side in [&mut self.client, &mut self.upstream] {
            if end.is_error() {
                // What broke on one side did not end well on the other.
                side.reset();
            } else {
                // A TLS peer is told, if that can be done at once.
                let _ = side.poll_end(cx);
            }
        }
    }
}

/// Whose fault it is that something broke.
fn broken(client: bool, broken: &Broken) -> End {
    // What rustls refuses comes so.
    let tls = broken.error.kind() == io::ErrorKind::InvalidData;
    match (client, tls) {
        (true, false) => End::ClientReset,
        (true, true) => End::ClientTls,
        (false, false) => End::UpstreamReset,
        (false, true) => End::UpstreamTls,
    }
}

impl Future for Tunnel {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Poll::Ready(end) = this.relay(cx) {
            this.end(cx, end);
            return Poll::Ready(());
        }
        if this.is_blocked() {
            this.timer.hasten(BLOCKED_LOOK_MS);
        }
        while this.timer.poll(cx).is_ready() {
            if let Some(end) = this.overdue() {
                this.end(cx, end);
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.worker.log.websocket(WebSocket {
            started: self.started,
            about: About::clone(&self.about),
            pool: Arc::clone(&self.pool),
            endpoint: Arc::clone(self.lease.endpoint().name()),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            lasted_ms: process_ms().saturating_sub(self.began_ms),
            end: self.end,
        });
    }
}
