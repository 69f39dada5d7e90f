//! A WebSocket, from the answer that agrees to it to its end.

use super::Switched;
use crate::l4::relay::Half;
use crate::l4::side::Side;
use crate::runtime::ticks::Timer;
use crate::runtime::worker::Worker;
use crate::upstream::Lease;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

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
    /// The endpoint has it for as long as this lasts.
    _lease: Lease,
}

impl Tunnel {
    /// Between a client, of which `seen` was read behind its request, and an origin.
    #[must_use]
    pub fn new(worker: Rc<Worker>, client: Side, seen: &[u8], switched: Switched) -> Self {
        let Switched { upstream, seen: sent, lease, idle_ms } = switched;
        let timer = Timer::after(&worker.ticks, idle_ms);
        let active = worker.ticks.now_ms();
        let (up, down) = (Half::holding(seen.to_vec()), Half::holding(sent.to_vec()));
        Self { worker, client, upstream, up, down, active, idle_ms, timer, _lease: lease }
    }

    /// Moves what can be moved. Ready when both ends are done, or one broke: whether all went well.
    fn relay(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let tools = &self.worker.carrying.tools;
        let mut active = false;
        let moved = &mut |_: usize| active = true;
        if !self.up.is_over() {
            let last = self.down.is_over();
            if let Poll::Ready(Err(_)) = self.up.poll(cx, &mut self.client, &mut self.upstream, last, tools, moved) {
                return Poll::Ready(false);
            }
        }
        if !self.down.is_over() {
            let last = self.up.is_over();
            if let Poll::Ready(Err(_)) = self.down.poll(cx, &mut self.upstream, &mut self.client, last, tools, moved) {
                return Poll::Ready(false);
            }
        }
        if active {
            self.active = self.worker.ticks.now_ms();
        }
        if self.up.is_over() && self.down.is_over() { Poll::Ready(true) } else { Poll::Pending }
    }

    /// A deadline was reached. Whether it all went well, when that is the end.
    fn overdue(&self) -> Option<bool> {
        let now = self.worker.ticks.now_ms();
        let idle = self.active.saturating_add(self.idle_ms);
        if idle <= now {
            return Some(true);
        }
        let mut next = idle - now;
        if self.is_blocked() {
            if self.client.is_broken() || self.upstream.is_broken() {
                return Some(false);
            }
            next = next.min(BLOCKED_LOOK_MS);
        }
        self.timer.set(next);
        None
    }

    fn end(&mut self, cx: &mut Context<'_>, well: bool) {
        self.up.release(&self.worker.carrying.tools);
        self.down.release(&self.worker.carrying.tools);
        for side in [&mut self.client, &mut self.upstream] {
            if well {
                // A TLS peer is told, if that can be done at once.
                let _ = side.poll_end(cx);
            } else {
                // What broke on one side did not end well on the other.
                side.reset();
            }
        }
    }

    fn is_blocked(&self) -> bool {
        self.up.is_blocked() || self.down.is_blocked()
    }
}

impl Future for Tunnel {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Poll::Ready(well) = this.relay(cx) {
            this.end(cx, well);
            return Poll::Ready(());
        }
        if this.is_blocked() {
            this.timer.hasten(BLOCKED_LOOK_MS);
        }
        while this.timer.poll(cx).is_ready() {
            if let Some(well) = this.overdue() {
                this.end(cx, well);
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}
