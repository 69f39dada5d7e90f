//! A worker's connections to origins: taken, leased to a request, given back.

use super::balance::{Dice, Turns};
use super::lease::Connection;
use super::names::Names;
use super::transport::Transport;
use super::{EndpointHandle, Members, Place, PoolHandle, Spot, Tried};
use crate::http::body::RequestBody;
use hyper::client::conn::http1::SendRequest;
use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// hyper's end of a connection.
pub(super) type Http1 = SendRequest<RequestBody>;

/// An idle connection is kept for so long; origins commonly close theirs after 60 s or more.
const IDLE_MS: u64 = 50_000;
/// Idle connections kept per endpoint, transport and worker.
const IDLE_CONNECTIONS: usize = 256;
/// How often idle connections are looked through.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a worker knows of pools and endpoints.
#[derive(Default)]
pub struct Upstreams {
    known: RefCell<Vec<Kept<Known>>>,
    lanes: RefCell<Vec<Kept<Vec<Lane>>>>,
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

/// The connections to an endpoint that stand for each other.
struct Lane {
    transport: Arc<Transport>,
    idle: Vec<Idle>,
}

struct Idle {
    sender: Http1,
    generation: u64,
    since: u64,
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

    /// A connection to an endpoint that served requests before and takes another one, spoken to as the
    /// pool says; of idle ones that which was used last.
    #[must_use]
    pub fn take(&self, pool: &PoolHandle, endpoint: &Arc<EndpointHandle>) -> Option<Connection> {
        let transport = pool.transport();
        let mut lanes = self.lanes.borrow_mut();
        let lane = at(&mut lanes, endpoint.place()).iter_mut().find(|lane| lane.transport.id() == transport.id())?;
        let now = transport.generation();
        while let Some(Idle { sender, generation, .. }) = lane.idle.pop() {
            if sender.is_ready() && !sender.is_closed() && generation == now {
                return Some(Connection::http1(sender, Arc::clone(endpoint), generation));
            }
        }
        None
    }

    /// Keeps a connection that is idle again.
    pub(super) fn put(&self, pool: &PoolHandle, endpoint: &EndpointHandle, sender: Http1, generation: u64, now: u64) {
        let transport = pool.transport();
        // Its PROXY header told of one client, and its request may have come from another one.
        if transport.proxy().is_some() || generation != transport.generation() {
            return;
        }
        let mut lanes = self.lanes.borrow_mut();
        let idle = &mut lane_of(&mut lanes, endpoint.place(), transport).idle;
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(Idle { sender, generation, since: now });
        }
    }

    /// Closes connections that were idle for too long, and looks whether the files of those that are
    /// kept changed, for as long as the worker lives.
    pub async fn keep(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            for transport in self.encrypted() {
                if let Some(tls) = transport.tls() {
                    tls.refresh().await;
                }
            }
            let now = crate::runtime::ticks::process_ms();
            let mut over = Vec::new();
            for kept in self.lanes.borrow_mut().iter_mut() {
                for lane in &mut kept.value {
                    let current = lane.transport.generation();
                    let stale = |idle: &mut Idle| {
                        idle.sender.is_closed() || idle.since + IDLE_MS <= now || idle.generation != current
                    };
                    over.extend(lane.idle.extract_if(.., stale));
                }
                kept.value.retain(|lane| !lane.idle.is_empty());
            }
            // Dropped while nothing is borrowed: closing wakes tasks.
            drop(over);
        }
    }

    /// The transports with `tls` by which there are connections, each once.
    fn encrypted(&self) -> Vec<Arc<Transport>> {
        let mut found: Vec<Arc<Transport>> = Vec::new();
        for lane in self.lanes.borrow().iter().flat_map(|kept| &kept.value) {
            if lane.transport.tls().is_some() && !found.iter().any(|known| known.id() == lane.transport.id()) {
                found.push(Arc::clone(&lane.transport));
            }
        }
        found
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }
}

fn lane_of<'k>(lanes: &'k mut Vec<Kept<Vec<Lane>>>, place: Place, transport: &Arc<Transport>) -> &'k mut Lane {
    let lanes = at(lanes, place);
    // An endpoint is spoken to in one way as a rule, and in few in any case.
    let found = lanes.iter().position(|lane| lane.transport.id() == transport.id());
    let index = found.unwrap_or_else(|| {
        lanes.push(Lane { transport: Arc::clone(transport), idle: Vec::new() });
        lanes.len() - 1
    });
    &mut lanes[index]
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
