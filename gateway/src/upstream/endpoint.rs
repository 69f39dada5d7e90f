//! An endpoint: what all workers know of it together.

use super::PoolHandle;
use super::balance::{Average, xxh64};
use super::identity::{Place, Slot};
use super::whereabouts::{Whereabouts, Who};
use crate::l4::Counts;
use crate::runtime::notice::{Notice, NoticeSender};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Trouble counts as over when nothing failed for so long.
pub(super) const CALM_MS: u64 = 3_000;
/// Of two addresses, the one that answered first goes first for so long, should it be the second.
const PREFERRED_MS: u64 = 60_000;

/// An endpoint, shared by every pool that names it, and kept across reloads for as long as one does.
pub struct EndpointHandle {
    slot: Slot,
    name: Arc<str>,
    who: Who,
    /// Of where it is: the same in every process and on every machine.
    identity: u64,
    /// 0 while all is well, else when it last failed: milliseconds since the process started, plus 1.
    failed_at: AtomicU64,
    /// Connections, flows and requests under way, over all workers.
    open: AtomicU64,
    counts: Arc<Counts>,
    /// Until when the second of its addresses is tried first, milliseconds since the process started.
    second_until: AtomicU64,
    /// Of the times until answers, where a pool balances by them.
    average: Average,
    /// Until when retries leave it alone, because it said so: milliseconds since the process started.
    waits_until: AtomicU64,
}

/// A connection or flow that an endpoint has, counted for as long as this is held.
pub struct InUse(Arc<EndpointHandle>);

impl EndpointHandle {
    pub(super) fn new(slot: Slot, who: Who, workers: usize) -> Self {
        Self {
            slot,
            name: who.name().into(),
            identity: identity(&who),
            who,
            failed_at: AtomicU64::new(0),
            open: AtomicU64::new(0),
            counts: Arc::new(Counts::new(workers)),
            second_until: AtomicU64::new(0),
            average: Average::default(),
            waits_until: AtomicU64::new(0),
        }
    }

    /// What people call it: `10.0.0.7:8080`, `api.internal:8080 (10.0.0.7)`, `unix:/run/api.sock`.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What its certificate must be for, where the pool names nobody else: the address or DNS name that
    /// is written, without the labels of a service.
    #[must_use]
    pub fn host(&self) -> &Arc<str> {
        &self.who.host
    }

    /// The port; 0 for a Unix socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.who.port
    }

    /// Where it is.
    #[must_use]
    pub fn whereabouts(&self) -> &Whereabouts {
        &self.who.at
    }

    /// Its address; an IPv6 and an IPv4 one where its host has both. None for a Unix socket.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        match &self.who.at {
            Whereabouts::Ip(addresses) => addresses,
            Whereabouts::Unix(_) => &[],
        }
    }

    /// Whether the second of its addresses is to be tried first: it was the one that answered lately.
    pub(super) fn prefers_second(&self, now: u64) -> bool {
        now < self.second_until.load(Ordering::Relaxed)
    }

    /// Which of its addresses answered first.
    pub(super) fn prefer_second(&self, second: bool, now: u64) {
        let until = if second { now + PREFERRED_MS } else { 0 };
        if self.second_until.load(Ordering::Relaxed) != until {
            self.second_until.store(until, Ordering::Relaxed);
        }
    }

    /// What tables know it by: host and port.
    pub(super) fn spot(&self) -> (String, String) {
        self.who.spot()
    }

    /// A hash of where it is: the same in every process and on every machine.
    pub(super) fn identity(&self) -> u64 {
        self.identity
    }

    /// Where workers keep what they know of it.
    #[must_use]
    pub fn place(&self) -> Place {
        self.slot.place
    }

    /// Counts a connection or flow, over all workers, until what is returned is dropped. `balance
    /// least-connections` goes by it: begin right after the endpoint was chosen, before it is dialled,
    /// so that two who choose at once see each other.
    #[must_use]
    pub fn begin(endpoint: &Arc<Self>) -> InUse {
        endpoint.enter();
        InUse(Arc::clone(endpoint))
    }

    /// Counts one more.
    #[inline]
    pub(super) fn enter(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one less.
    #[inline]
    pub(super) fn leave(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// How long answers take, where a pool balances by that.
    pub(super) fn average(&self) -> &Average {
        &self.average
    }

    /// Connections, flows and requests under way, over all workers.
    #[inline]
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// What happened on it, by whichever route. Whoever carries a connection adds to it.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// It said that it wants to be left alone until then (`Retry-After`): retries heed it.
    pub fn wait_until(&self, ms: u64) {
        self.waits_until.fetch_max(ms, Ordering::Relaxed);
    }

    /// Whether it wants to be left alone by retries.
    #[must_use]
    pub fn asked_to_wait(&self, now_ms: u64) -> bool {
        self.waits_until.load(Ordering::Relaxed) > now_ms
    }

    /// Notes a failure. The first one after a calm time is told.
    pub fn failed(&self, pool: &PoolHandle, now_ms: u64, notices: &NoticeSender, reason: &str) {
        if self.failed_at.swap(now_ms + 1, Ordering::Relaxed) == 0 {
            notices.send(Notice::EndpointTrouble {
                pool: Arc::clone(&pool.pool().name),
                endpoint: Arc::clone(&self.name),
                reason: reason.to_owned(),
            });
        }
    }

    /// Notes a good answer. The first one after a calm time ends the trouble and is told.
    #[inline]
    pub fn answered(&self, pool: &PoolHandle, now_ms: u64, notices: &NoticeSender) {
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        if failed_at != 0 {
            self.recovering(failed_at, pool, now_ms, notices);
        }
    }

    #[cold]
    fn recovering(&self, failed_at: u64, pool: &PoolHandle, now_ms: u64, notices: &NoticeSender) {
        // An origin that fails every other request stays in trouble, which is said once.
        if now_ms + 1 < failed_at + CALM_MS {
            return;
        }
        let over = self.failed_at.compare_exchange(failed_at, 0, Ordering::Relaxed, Ordering::Relaxed);
        if over.is_ok() {
            notices.send(Notice::EndpointRecovered {
                pool: Arc::clone(&pool.pool().name),
                endpoint: Arc::clone(&self.name),
            });
        }
    }
}

impl fmt::Debug for EndpointHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointHandle")
            .field("name", &self.name)
            .field("place", &self.slot.place)
            .finish_non_exhaustive()
    }
}

impl InUse {
    /// Whose it is.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<EndpointHandle> {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl fmt::Debug for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InUse").field(&self.0.name).finish()
    }
}

fn identity(who: &Who) -> u64 {
    let (host, port) = who.spot();
    xxh64(port.as_bytes(), xxh64(host.as_bytes(), 0))
}

/// `host:port`, IPv6 addresses in brackets.
pub(super) fn name_of(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
