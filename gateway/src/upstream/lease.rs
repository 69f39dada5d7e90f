//! A connection that a request has, until its answer is through.

use super::connections::Http1;
use super::http2::Slot;
use super::{ConnectionPermit, EndpointHandle, Outcome, PoolHandle, RequestPermit, UnderWay};
use crate::runtime::ticks::{Ticks, within};
use crate::runtime::worker::Worker;
use http::{HeaderMap, StatusCode};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

/// How long a connection may take to be ready again after an answer whose request is still being
/// sent.
const SETTLE_MS: u64 = 10_000;

/// A connection to an endpoint.
pub struct Connection {
    pub(super) sender: Sender,
}

/// Where requests are put in.
pub(super) enum Sender {
    Http1(Single),
    /// A stream among others.
    Http2(Slot),
}

/// A connection for one request at a time.
pub(super) struct Single {
    pub(super) sender: Http1,
    /// By which files its endpoint was verified.
    pub(super) generation: u64,
    /// What it counts by against the pool's `limit`.
    pub(super) permit: Option<Box<ConnectionPermit>>,
}

/// A connection that a request has, until its answer is through.
pub struct Lease {
    connection: Connection,
    under_way: UnderWay,
    pool: Arc<PoolHandle>,
    worker: Rc<Worker>,
    /// What the request counts by against the pool's `limit`.
    permit: Option<Box<RequestPermit>>,
}

impl Connection {
    pub(super) fn http1(single: Single) -> Self {
        Self { sender: Sender::Http1(single) }
    }

    pub(super) fn http2(slot: Slot) -> Self {
        Self { sender: Sender::Http2(slot) }
    }
}

impl Lease {
    /// For a request of this worker, which counts as under way until the answer is through or given up.
    #[must_use]
    pub fn new(connection: Connection, under_way: UnderWay, pool: Arc<PoolHandle>, worker: Rc<Worker>) -> Self {
        Self { connection, under_way, pool, worker, permit: None }
    }

    /// Keeps what the request counts by until its answer is through.
    pub fn hold(&mut self, permit: Option<RequestPermit>) {
        self.permit = permit.map(Box::new);
    }

    pub(super) fn sender(&mut self) -> &mut Sender {
        &mut self.connection.sender
    }

    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<EndpointHandle> {
        self.under_way.members().endpoint(self.under_way.index())
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &Arc<PoolHandle> {
        &self.pool
    }

    /// The worker.
    #[must_use]
    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// The worker's deadlines.
    #[must_use]
    pub fn ticks(&self) -> &Rc<Ticks> {
        &self.worker.ticks
    }

    /// The answer's head arrived, with this status.
    pub fn answered(&self, status: StatusCode, headers: &HeaderMap) {
        let now = self.worker.ticks.now_ms();
        // A call without messages has its status here.
        let called = self.pool.pool().eject.and_then(|_| Outcome::of_call(headers));
        self.under_way.note(called.unwrap_or(Outcome::Answered(status.as_u16())), now);
        self.endpoint().answered(&self.pool, now, &self.worker.notices);
    }

    /// The answer's trailers arrived.
    pub fn trailed(&self, trailers: &HeaderMap) {
        if let Some(called) = self.pool.pool().eject.and_then(|_| Outcome::of_call(trailers)) {
            self.under_way.note(called, self.worker.ticks.now_ms());
        }
    }

    /// The origin failed in this way; who tells it is somebody else.
    pub fn note(&self, outcome: Outcome) {
        self.doubts(outcome);
        self.under_way.note(outcome, self.worker.ticks.now_ms());
    }

    /// The origin failed in this way, which is told; the connection is closed, or the stream on it.
    pub fn died(self, outcome: Outcome, reason: &str) {
        self.doubts(outcome);
        let now = self.worker.ticks.now_ms();
        self.under_way.note(outcome, now);
        self.endpoint().failed(&self.pool, now, &self.worker.notices, reason);
    }

    fn doubts(&self, outcome: Outcome) {
        if let (Sender::Http2(slot), Outcome::Late) = (&self.connection.sender, outcome) {
            slot.doubt();
        }
    }

    /// The answer is through: the connection serves the next request.
    pub fn give_back(self) {
        let Self { connection: Connection { sender }, pool, worker, under_way, permit } = self;
        drop(permit);
        under_way.through(worker.ticks.now_ms());
        let endpoint = under_way.members().endpoint(under_way.index());
        match sender {
            Sender::Http1(single) if single.sender.is_ready() => {
                worker.upstreams.put(&pool, endpoint, single, worker.ticks.now_ms());
            }
            Sender::Http1(single) if single.sender.is_closed() => {}
            // The connection was never this request's alone.
            Sender::Http2(slot) => slot.end(),
            Sender::Http1(mut single) => {
                // hyper has not seen the end of the exchange yet: the request is still being sent, or
                // its task has not had its turn.
                let endpoint = Arc::clone(endpoint);
                tokio::task::spawn_local(async move {
                    let ready = poll_fn(|cx| single.sender.poll_ready(cx));
                    if let Some(Ok(())) = within(&worker.ticks, SETTLE_MS, ready).await {
                        worker.upstreams.put(&pool, &endpoint, single, worker.ticks.now_ms());
                    }
                });
            }
        }
    }
}
