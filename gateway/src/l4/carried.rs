//! A connection both of whose ends are there, to its end.

use super::End;
use super::limit::Paced;
use super::relay::{At, Broken, Half};
use super::side::Side;
use super::standing::Registered;
use super::tally::Drain;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How often a connection is looked at whose one end does not take what the other sent: a reset of the
/// sender is not seen by reading, for nothing is read.
const BLOCKED_LOOK_MS: u64 = 1_000;

/// A connection that is relayed.
pub(super) struct Carried {
    registered: Registered,
    client: Side,
    upstream: Side,
    /// From the client to the upstream.
    up: Half,
    /// From the upstream to the client.
    down: Half,
    /// When something was last read or written, milliseconds of the worker's clock.
    active: u64,
    /// What a connection ends as that both ends ended: who did first.
    first: Option<End>,
}

/// How both sockets end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// As sockets do.
    Close,
    /// By a reset.
    Reset,
}

impl Carried {
    /// `first` goes to the upstream before anything that is read from the client.
    pub(super) fn new(registered: Registered, client: Side, upstream: Side, first: Vec<u8>) -> Self {
        let tally = registered.tally();
        let active = tally.worker.ticks.now_ms();
        tally.timer.hasten(tally.idle_ms().min(tally.lifetime_ends().saturating_sub(active)));
        Self { registered, client, upstream, up: Half::holding(first), down: Half::default(), active, first: None }
    }

    fn relay(&mut self, cx: &mut Context<'_>) -> Result<(), (End, Broken)> {
        let tally = self.registered.tally();
        let tools = &tally.worker.carrying.tools;
        let mut active = false;
        let paced = tally.admitted.paced();
        if let Some(paced) = paced {
            let now = tally.worker.ticks.now_ms();
            if paced.waits(now) > 0 {
                // It stands still because it has to.
                self.active = now;
                return Ok(());
            }
        }
        let piece = paced.map(Paced::piece);
        let counted = |n: usize| {
            if let Some(paced) = paced {
                paced.read(n, tally.worker.ticks.now_ms());
            }
        };
        if !self.up.is_over() {
            let last = self.down.is_over();
            let moved = &mut |n: usize| {
                active = true;
                tally.add_in(n);
                counted(n);
            };
            let (from, to) = (&mut self.client, &mut self.upstream);
            if let Poll::Ready(Err(e)) = self.up.poll(cx, from, to, last, piece, tools, moved) {
                return Err((who(e.at == At::Source, &e.error), e));
            }
        }
        if !self.down.is_over() {
            let last = self.up.is_over();
            let moved = &mut |n: usize| {
                active = true;
                tally.add_out(n);
                counted(n);
            };
            let (from, to) = (&mut self.upstream, &mut self.client);
            if let Poll::Ready(Err(e)) = self.down.poll(cx, from, to, last, piece, tools, moved) {
                return Err((who(e.at == At::Destination, &e.error), e));
            }
        }
        if active {
            self.active = tally.worker.ticks.now_ms();
        }
        if self.first.is_none() {
            self.first = match (self.up.has_ended(), self.down.has_ended()) {
                (true, _) => Some(End::ClientClosed),
                (false, true) => Some(End::UpstreamClosed),
                (false, false) => None,
            };
        }
        Ok(())
    }

    /// A deadline may be over: which, and when is the next?
    fn overdue(&self) -> Option<(End, Farewell)> {
        let tally = self.registered.tally();
        let now = tally.worker.ticks.now_ms();
        let drains = match tally.drain() {
            Drain::No => u64::MAX,
            Drain::At(at) => at,
            Drain::Cut => return Some((End::Unhealthy, Farewell::Reset)),
        };
        let (lifetime, idle) = (tally.lifetime_ends(), self.active.saturating_add(tally.idle_ms()));
        for (at, end) in [(drains, End::Drained), (lifetime, End::Lifetime), (idle, End::Idle)] {
            if at <= now {
                return Some((end, Farewell::Close));
            }
        }
        let mut next = drains.min(lifetime).min(idle) - now;
        if self.up.is_blocked() || self.down.is_blocked() {
            if let Some(end) = self.is_broken() {
                return Some((end, Farewell::Reset));
            }
            next = next.min(BLOCKED_LOOK_MS);
        }
        tally.timer.set(next);
        None
    }

    /// Whether an end was reset without anybody reading from it.
    fn is_broken(&self) -> Option<End> {
        if self.client.is_broken() {
            Some(End::ClientReset)
        } else if self.upstream.is_broken() {
            Some(End::UpstreamReset)
        } else {
            None
        }
    }

    fn end(&mut self, cx: &mut Context<'_>, end: End, detail: Option<String>, farewell: Farewell) {
        let tally = self.registered.tally();
        tally.ends(end, detail);
        self.up.release(&tally.worker.carrying.tools);
        self.down.release(&tally.worker.carrying.tools);
        match farewell {
            Farewell::Close => {
                // A TLS peer is told, if that can be done at once.
                for side in [&mut self.client, &mut self.upstream] {
                    let _ = side.poll_end(cx);
                }
            }
            Farewell::Reset => {
                self.client.reset();
                self.upstream.reset();
            }
        }
    }
}

impl Future for Carried {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            if let Err((end, broken)) = this.relay(cx) {
                // A plain reset is said by the reason; everything else has words.
                let plain = matches!(broken.error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
                let detail = (!plain).then(|| broken.error.to_string());
                this.end(cx, end, detail, Farewell::Reset);
                return Poll::Ready(());
            }
            if this.up.is_over() && this.down.is_over() {
                let end = this.first.unwrap_or(End::ClientClosed);
                this.registered.tally().ends(end, None);
                return Poll::Ready(());
            }
            let mut due = false;
            while this.registered.tally().timer.poll(cx).is_ready() {
                due = true;
                if let Some((end, farewell)) = this.overdue() {
                    this.end(cx, end, None, farewell);
                    return Poll::Ready(());
                }
            }
            let tally = this.registered.tally();
            let Some(paced) = tally.admitted.paced() else { break };
            match paced.waits(tally.worker.ticks.now_ms()) {
                // It was for this that the timer was set.
                0 if due => {}
                0 => break,
                wait => {
                    tally.timer.hasten(wait);
                    break;
                }
            }
        }
        if this.up.is_blocked() || this.down.is_blocked() {
            this.registered.tally().timer.hasten(BLOCKED_LOOK_MS);
        }
        Poll::Pending
    }
}

/// Whose fault it is that something broke.
fn who(client: bool, e: &io::Error) -> End {
    // What rustls refuses comes so.
    let tls = e.kind() == io::ErrorKind::InvalidData;
    match (client, tls) {
        (true, false) => End::ClientReset,
        (true, true) => End::ClientTls,
        (false, false) => End::UpstreamReset,
        (false, true) => End::UpstreamTls,
    }
}
