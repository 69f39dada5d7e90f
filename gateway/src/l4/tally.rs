//! What is known of a connection that is carried: for its rules, its counts, its line in the log.

use super::counts::Shard;
use super::standing::{Standing, judge};
use super::tcp::Known;
use super::{Admitted, Counts, End, Record, Route};
use crate::runtime::ticks::{Timer, process_ms};
use crate::runtime::worker::Worker;
use crate::snapshot::Snapshot;
use crate::upstream::{InUse, PoolHandle};
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

/// A connection, from when it is decided about to its end: when this is dropped it is counted and
/// logged, whatever ended it.
pub(super) struct Tally {
    pub(super) worker: Rc<Worker>,
    /// Who, and what it said.
    pub(super) known: Known,
    /// Where it goes. Replaced by a reload that leads it to the same endpoint.
    way: RefCell<Way>,
    endpoint: OnceCell<InUse>,
    /// Its places in limits.
    pub(super) admitted: Admitted,
    /// Those of the route by which it began, which counts its end too.
    counts: Arc<Counts>,
    started: SystemTime,
    began_ms: u64,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    tries: Cell<u32>,
    end: RefCell<(End, Option<String>)>,
    /// The nearest of its deadlines, once it is relayed.
    pub(super) timer: Timer,
    drain: Cell<Drain>,
}

/// Whether a connection is to end although nothing happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    /// No.
    No,
    /// At this time, milliseconds of the worker's clock.
    At(u64),
    /// At once: its endpoint is down.
    Cut,
}

/// A route, and its pool once one was chosen.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) route: Arc<Route>,
    pub(super) pool: Option<Arc<PoolHandle>>,
}

impl Tally {
    /// A connection begins.
    pub(super) fn begin(worker: Rc<Worker>, known: Known, route: Arc<Route>) -> Self {
        let counts = Arc::clone(&route.counts);
        counts.shard(worker.number).begun.add(1);
        let timer = Timer::new(&worker.ticks);
        Self {
            worker,
            known,
            way: RefCell::new(Way { route, pool: None }),
            endpoint: OnceCell::new(),
            admitted: Admitted::default(),
            counts,
            started: SystemTime::now(),
            began_ms: process_ms(),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            tries: Cell::new(0),
            // What is not ended by anything else is ended with the worker.
            end: RefCell::new((End::Stopped, None)),
            timer,
            drain: Cell::new(Drain::No),
        }
    }

    /// Something changed: what does today's snapshot say?
    pub(super) fn asked(&self, snapshot: &Snapshot) {
        let Way { route, pool: Some(pool) } = self.way() else { return };
        let Some(endpoint) = self.endpoint.get().map(InUse::endpoint) else { return };
        let before = self.drain.get();
        match judge(&route, &pool, endpoint, &self.known.facts(), snapshot) {
            Standing::Stay => self.drain.set(Drain::No),
            Standing::Adopt(route, pool) => {
                self.goes_by(route, pool);
                self.drain.set(Drain::No);
                // Its settings may be others.
                self.timer.set(0);
            }
            // The time that it has left goes on.
            Standing::Drain if before != Drain::No => {}
            Standing::Drain => {
                let left = route.rules.settings.drain_ms;
                self.drain.set(Drain::At(self.worker.ticks.now_ms().saturating_add(left)));
            }
            Standing::Cut => self.drain.set(Drain::Cut),
        }
        if self.drain.get() != before {
            self.timer.set(0);
        }
    }

    /// Whether it is to end although nothing happened to it.
    pub(super) fn drain(&self) -> Drain {
        self.drain.get()
    }

    /// When it ends by its `lifetime`, milliseconds of the worker's clock.
    pub(super) fn lifetime_ends(&self) -> u64 {
        let lifetime = self.way.borrow().route.rules.settings.lifetime_ms;
        lifetime.map_or(u64::MAX, |ms| self.began_ms.saturating_add(ms))
    }

    /// How long nothing may happen, milliseconds.
    pub(super) fn idle_ms(&self) -> u64 {
        self.way.borrow().route.rules.settings.idle_ms
    }

    /// The route by which it goes now.
    pub(super) fn route(&self) -> Arc<Route> {
        Arc::clone(&self.way.borrow().route)
    }

    /// The route and the pool by which it goes now.
    pub(super) fn way(&self) -> Way {
        self.way.borrow().clone()
    }

    /// It goes by a route and a pool from now on.
    pub(super) fn goes_by(&self, route: Arc<Route>, pool: Arc<PoolHandle>) {
        *self.way.borrow_mut() = Way { route, pool: Some(pool) };
    }

    /// It tries an endpoint.
    pub(super) fn tries(&self, endpoint: &InUse) {
        self.tries.set(self.tries.get() + 1);
        endpoint.endpoint().counts().shard(self.worker.number).begun.add(1);
    }

    /// An endpoint that it tried is none for it.
    pub(super) fn failed(&self, endpoint: &InUse, why: End) {
        endpoint.endpoint().counts().shard(self.worker.number).end(why);
    }

    /// It has reached an endpoint, once.
    pub(super) fn reached(&self, endpoint: InUse) {
        // It has none yet.
        let _ = self.endpoint.set(endpoint);
    }

    /// Bytes from the client.
    #[inline]
    pub(super) fn add_in(&self, n: usize) {
        self.bytes_in.set(self.bytes_in.get() + n as u64);
        self.shard().bytes_in.add(n as u64);
        if let Some(shard) = self.endpoint_shard() {
            shard.bytes_in.add(n as u64);
        }
    }

    /// Bytes to the client.
    #[inline]
    pub(super) fn add_out(&self, n: usize) {
        self.bytes_out.set(self.bytes_out.get() + n as u64);
        self.shard().bytes_out.add(n as u64);
        if let Some(shard) = self.endpoint_shard() {
            shard.bytes_out.add(n as u64);
        }
    }

    fn endpoint_shard(&self) -> Option<&Shard> {
        self.endpoint.get().map(|endpoint| endpoint.endpoint().counts().shard(self.worker.number))
    }

    fn shard(&self) -> &Shard {
        self.counts.shard(self.worker.number)
    }

    /// Why it ends, with words where the reason alone does not say it.
    pub(super) fn ends(&self, end: End, detail: Option<String>) {
        *self.end.borrow_mut() = (end, detail);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let (end, detail) = std::mem::replace(self.end.get_mut(), (End::Stopped, None));
        self.shard().end(end);
        if let Some(shard) = self.endpoint_shard() {
            shard.end(end);
        }
        let Way { route, pool } = self.way.get_mut();
        if !route.rules.settings.log {
            return;
        }
        self.worker.log.send(Record {
            route: Arc::clone(&route.name),
            transport: route.transport,
            client: self.known.client,
            local: self.known.local,
            sni: self.known.sni.take(),
            pool: pool.as_ref().map(|pool| Arc::clone(&pool.pool().name)),
            endpoint: self.endpoint.get().map(|endpoint| Arc::clone(endpoint.endpoint().name())),
            started: self.started,
            lasted_ms: process_ms().saturating_sub(self.began_ms),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            datagrams_in: 0,
            datagrams_out: 0,
            tries: self.tries.get(),
            end,
            detail,
        });
    }
}
