//! A worker's connections to origins: taken, leased to a request, given back.

use super::balance::{Dice, Turns};
use super::names::Names;
use super::{EndpointHandle, Members, Outcome, Place, PoolHandle, Spot, Tried, UnderWay};
use crate::http::body::RequestBody;
use crate::runtime::ticks::{Ticks, within};
use crate::runtime::worker::Worker;
use http::StatusCode;
use hyper::client::conn::http1::SendRequest;
use std::cell::RefCell;
use std::future::poll_fn;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// hyper's end of a connection.
pub(super) type Sender = SendRequest<RequestBody>;

/// An idle connection is kept for so long; origins commonly close theirs after 60 s or more.
const IDLE_MS: u64 = 50_000;
/// Idle connections kept per endpoint and worker.
const IDLE_CONNECTIONS: usize = 256;
/// How often idle connections are looked through.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a connection may take to be ready again after an answer whose request is still being
/// sent.
const SETTLE_MS: u64 = 10_000;

/// What a worker knows of pools and endpoints.
#[derive(Default)]
pub struct Upstreams {
    known: RefCell<Vec<Kept<Known>>>,
    idle: RefCell<Vec<Kept<Vec<Idle>>>>,
    names: Names,
    dice: Dice,
}

/// What a worker knows of a pool.
#[derive(Default)]
struct Known {
    held: Option<Rc<Held>>,
    turns: Turns,
}

/// The members of a pool, counted per worker: the shared count would be written by every worker for
/// every request.
#[derive(Debug)]
pub struct Held(Arc<Members>);

impl Deref for Held {
    type Target = Members;

    fn deref(&self) -> &Members {
        &self.0
    }
}

/// Something kept at a [`Place`].
struct Kept<T> {
    stamp: u64,
    value: T,
}

struct Idle {
    sender: Sender,
    since: u64,
}

/// A connection to an endpoint.
pub struct Connection {
    /// Where requests are put in.
    pub sender: Sender,
    endpoint: Arc<EndpointHandle>,
}

/// A connection that a request has, until its answer is through.
pub struct Lease {
    connection: Connection,
    under_way: UnderWay,
    pool: Arc<PoolHandle>,
    worker: Rc<Worker>,
}

impl Upstreams {
    /// Who belongs to a pool now: kept by the worker, so that asking for it writes nothing that other
    /// workers read.
    #[must_use]
    pub fn members(&self, pool: &PoolHandle) -> Rc<Held> {
        let mut known = self.known.borrow_mut();
        let known = at(&mut known, pool.place());
        match &known.held {
            Some(held) if held.version() == pool.version() => Rc::clone(held),
            _ => Rc::clone(known.held.insert(Rc::new(Held(pool.members())))),
        }
    }

    /// The place of the endpoint that a connection or a request goes to by the pool's `balance`, among
    /// those that are up and were not tried; backups when nobody else is. `None`: nobody is left.
    #[must_use]
    pub fn choose(&self, members: &Members, spot: Option<Spot>, tried: Tried, now: u64) -> Option<usize> {
        let mut known = self.known.borrow_mut();
        at(&mut known, members.place()).turns.choose(members, spot, &self.dice, tried, now)
    }

    /// An endpoint of a pool could not be reached: it rests.
    pub fn failed(&self, members: &Members, index: usize, now: u64) {
        at(&mut self.known.borrow_mut(), members.place()).turns.failed(members, index, now);
    }

    /// An idle connection to an endpoint, the one used last.
    #[must_use]
    pub fn take(&self, endpoint: &Arc<EndpointHandle>) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let stack = at(&mut idle, endpoint.place());
        while let Some(Idle { sender, .. }) = stack.pop() {
            if sender.is_ready() && !sender.is_closed() {
                return Some(Connection::new(sender, Arc::clone(endpoint)));
            }
        }
        None
    }

    fn put(&self, connection: Connection, now: u64) {
        let mut idle = self.idle.borrow_mut();
        let stack = at(&mut idle, connection.endpoint.place());
        if stack.len() < IDLE_CONNECTIONS {
            stack.push(Idle { sender: connection.sender, since: now });
        }
    }

    /// Closes connections that were idle for too long, for as long as the worker lives.
    pub async fn keep(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = crate::runtime::ticks::process_ms();
            let mut over = Vec::new();
            for kept in self.idle.borrow_mut().iter_mut() {
                let stale = |i: &mut Idle| i.sender.is_closed() || i.since + IDLE_MS <= now;
                over.extend(kept.value.extract_if(.., stale));
            }
            // Dropped while nothing is borrowed: closing wakes tasks.
            drop(over);
        }
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }
}

/// What is kept at a place, fresh when its owner is another one than before.
fn at<T: Default>(kept: &mut Vec<Kept<T>>, place: Place) -> &mut T {
    let index = place.index as usize;
    if kept.len() <= index {
        kept.resize_with(index + 1, || Kept { stamp: 0, value: T::default() });
    }
    let kept = &mut kept[index];
    if kept.stamp != place.stamp {
        kept.stamp = place.stamp;
        kept.value = T::default();
    }
    &mut kept.value
}

impl Connection {
    pub(super) fn new(sender: Sender, endpoint: Arc<EndpointHandle>) -> Self {
        Self { sender, endpoint }
    }
}

impl Lease {
    /// For a request of this worker, which counts as under way until the answer is through or given up.
    #[must_use]
    pub fn new(connection: Connection, under_way: UnderWay, pool: Arc<PoolHandle>, worker: Rc<Worker>) -> Self {
        Self { connection, under_way, pool, worker }
    }

    /// The connection.
    pub fn sender(&mut self) -> &mut SendRequest<RequestBody> {
        &mut self.connection.sender
    }

    /// The worker's deadlines.
    #[must_use]
    pub fn ticks(&self) -> &Rc<Ticks> {
        &self.worker.ticks
    }

    /// The answer's head arrived, with this status.
    pub fn answered(&self, status: StatusCode) {
        let now = self.worker.ticks.now_ms();
        self.under_way.note(Outcome::Answered(status.as_u16()), now);
        self.connection.endpoint.answered(&self.pool, now, &self.worker.notices);
    }

    /// The origin failed in this way; who tells it is somebody else.
    pub fn failed(self, outcome: Outcome) {
        self.under_way.note(outcome, self.worker.ticks.now_ms());
    }

    /// The origin failed in this way, which is told; the connection is closed.
    pub fn died(self, outcome: Outcome, reason: &str) {
        let now = self.worker.ticks.now_ms();
        self.under_way.note(outcome, now);
        self.connection.endpoint.failed(&self.pool, now, &self.worker.notices, reason);
    }

    /// The answer is through: the connection serves the next request.
    pub fn give_back(self) {
        let Self { connection, worker, .. } = self;
        if connection.sender.is_ready() {
            worker.upstreams.put(connection, worker.ticks.now_ms());
            return;
        }
        if connection.sender.is_closed() {
            return;
        }
        settle(connection, worker);
    }
}

/// hyper has not seen the end of the exchange yet: the request is still being sent, or its task has
/// not had its turn.
fn settle(mut connection: Connection, worker: Rc<Worker>) {
    tokio::task::spawn_local(async move {
        let ready = poll_fn(|cx| connection.sender.poll_ready(cx));
        if let Some(Ok(())) = within(&worker.ticks, SETTLE_MS, ready).await {
            worker.upstreams.put(connection, worker.ticks.now_ms());
        }
    });
}
