//! A worker's connections to origins: taken, leased to a request, given back.

use super::balance::{Dice, Turns};
use super::http2::{Shared, Slot};
use super::lease::{Connection, Sender, Single};
use super::opening::{Opened, Opening};
use super::transport::{Speaks, Transport};
use super::{ConnectError, EndpointHandle, Members, Place, PoolHandle, Spot, Tried, Whom};
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
/// Connections of HTTP/2 per endpoint, transport and worker.
const SHARED_CONNECTIONS: usize = 64;
/// How often idle connections are looked through.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a worker knows of pools and endpoints.
#[derive(Default)]
pub struct Upstreams {
    known: RefCell<Vec<Kept<Known>>>,
    lanes: RefCell<Vec<Kept<Vec<Lane>>>>,
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
    /// Those of HTTP/2, the oldest first.
    shared: Vec<Rc<Shared>>,
    /// One that is being made.
    opening: Option<Rc<Opening>>,
    /// Whether the endpoint, asked for either, chose HTTP/1 last.
    chose_http1: bool,
}

/// A connection in the making, for a request that needs one.
pub(super) enum Joined {
    /// Somebody makes it.
    Other(Rc<Opening>),
    /// Nobody does yet: whoever asked has to see to it.
    New(Rc<Opening>),
    /// There are as many as there may be: this one is the least busy, and its streams wait for their turn.
    Full(Rc<Shared>),
}

struct Idle {
    single: Single,
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

    /// The place of whom a cookie names, where it belongs to the pool and is well.
    #[must_use]
    pub fn keeps(&self, members: &Members, whom: Whom, now: u64) -> Option<usize> {
        let index = whom.find(members)?;
        let mut known = self.known.borrow_mut();
        at(&mut known, members.place()).turns.is_well(members, index, now).then_some(index)
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
        let usable = |shared: &&Rc<Shared>| shared.has_room() && shared.generation() == now && shared.is_open();
        // The oldest first, so that those that are not needed any more become idle.
        if let Some(shared) = lane.shared.iter().find(usable) {
            return Some(Connection::http2(Slot::new(shared, false)));
        }
        while let Some(Idle { single, .. }) = lane.idle.pop() {
            if single.sender.is_ready() && !single.sender.is_closed() && single.generation == now {
                return Some(Connection::http1(single));
            }
        }
        None
    }

    /// Keeps a connection that is idle again.
    pub(super) fn put(&self, pool: &PoolHandle, endpoint: &EndpointHandle, single: Single, now: u64) {
        let transport = pool.transport();
        // Its PROXY header told of one client, and its request may have come from another one.
        if transport.proxy().is_some() || single.generation != transport.generation() {
            return;
        }
        let mut lanes = self.lanes.borrow_mut();
        if single.permit.is_some() && !may_be_idle(&lanes, pool) {
            return;
        }
        let idle = &mut lane_of(&mut lanes, endpoint.place(), transport).idle;
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(Idle { single, since: now });
        }
    }

    /// Closes an idle connection of a pool, to whichever endpoint, so that another one has room under the
    /// pool's `limit`. False where there is none.
    pub(super) fn make_room(&self, pool: &PoolHandle) -> bool {
        let id = pool.transport().id();
        let mut lanes = self.lanes.borrow_mut();
        let mut of_pool = lanes.iter_mut().flat_map(|kept| &mut kept.value).filter(|lane| lane.transport.id() == id);
        if let Some(lane) = of_pool.find(|lane| !lane.idle.is_empty()) {
            let oldest = lane.idle.remove(0);
            drop(lanes);
            drop(oldest);
            return true;
        }
        let unused = |shared: &Rc<Shared>| shared.open() == 0;
        let mut of_pool = lanes.iter_mut().flat_map(|kept| &mut kept.value).filter(|lane| lane.transport.id() == id);
        let found = of_pool.find_map(|lane| {
            let at = lane.shared.iter().position(unused)?;
            Some(lane.shared.swap_remove(at))
        });
        drop(lanes);
        found.is_some()
    }

    /// Whether requests to an endpoint share connections, as far as is known.
    pub(super) fn shares(&self, pool: &PoolHandle, endpoint: &EndpointHandle) -> bool {
        let transport = pool.transport();
        match transport.speaks() {
            Speaks::Http1 => false,
            Speaks::Http2 => true,
            Speaks::Agreed => {
                let mut lanes = self.lanes.borrow_mut();
                !lane_of(&mut lanes, endpoint.place(), transport).chose_http1
            }
        }
    }

    /// The connection of HTTP/2 to an endpoint that has the fewest streams.
    pub(super) fn least_busy(&self, pool: &PoolHandle, endpoint: &EndpointHandle) -> Option<Rc<Shared>> {
        let transport = pool.transport();
        let mut lanes = self.lanes.borrow_mut();
        let lane = lane_of(&mut lanes, endpoint.place(), transport);
        let now = transport.generation();
        let open = lane.shared.iter().filter(|shared| shared.generation() == now && shared.is_open());
        open.min_by_key(|shared| shared.open()).map(Rc::clone)
    }

    /// A connection of HTTP/2 in the making.
    pub(super) fn opening(&self, pool: &PoolHandle, endpoint: &EndpointHandle) -> Joined {
        let transport = pool.transport();
        let mut lanes = self.lanes.borrow_mut();
        let lane = lane_of(&mut lanes, endpoint.place(), transport);
        if let Some(opening) = &lane.opening {
            return Joined::Other(Rc::clone(opening));
        }
        let now = transport.generation();
        lane.shared.retain(|shared| shared.generation() == now && shared.is_open());
        if lane.shared.len() >= SHARED_CONNECTIONS
            && let Some(least) = lane.shared.iter().min_by_key(|shared| shared.open())
        {
            return Joined::Full(Rc::clone(least));
        }
        Joined::New(Rc::clone(lane.opening.insert(Rc::default())))
    }

    /// It came about, or not.
    pub(super) fn opened(
        &self,
        pool: &PoolHandle,
        endpoint: &EndpointHandle,
        outcome: Result<Connection, ConnectError>,
        now: u64,
    ) {
        let transport = pool.transport();
        let mut lanes = self.lanes.borrow_mut();
        let lane = lane_of(&mut lanes, endpoint.place(), transport);
        let opening = lane.opening.take();
        let outcome = outcome.map(|connection| match connection.sender {
            Sender::Http2(slot) => {
                lane.chose_http1 = false;
                let shared = slot.shared();
                lane.shared.push(Rc::clone(&shared));
                Opened::Http2(shared)
            }
            Sender::Http1(single) => {
                lane.chose_http1 = true;
                lane.idle.push(Idle { single, since: now });
                Opened::Http1
            }
        });
        if let Some(opening) = opening {
            opening.end(outcome);
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
            let (mut over, mut gone) = (Vec::new(), Vec::new());
            for kept in self.lanes.borrow_mut().iter_mut() {
                for lane in &mut kept.value {
                    let current = lane.transport.generation();
                    let stale = |idle: &mut Idle| {
                        idle.single.sender.is_closed()
                            || idle.since + IDLE_MS <= now
                            || idle.single.generation != current
                    };
                    over.extend(lane.idle.extract_if(.., stale));
                    gone.extend(lane.shared.extract_if(.., |shared| {
                        !shared.is_open() || shared.generation() != current || shared.is_idle_for(IDLE_MS, now)
                    }));
                }
                kept.value.retain(|lane| !lane.idle.is_empty() || !lane.shared.is_empty() || lane.opening.is_some());
            }
            // Pools that nobody asks any more, and endpoints that left them, are not kept by this worker:
            // whoever asks for members takes them anew.
            let held: Vec<_> = self.known.borrow_mut().iter_mut().filter_map(|kept| kept.value.held.take()).collect();
            // Dropped while nothing is borrowed: closing wakes tasks.
            drop((over, gone, held));
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
}

/// Whether another connection of a pool with a `limit` may be idle: nobody waits for room, and each worker
/// keeps no more than its part of it, so that none is without room because of what another one keeps.
fn may_be_idle(lanes: &[Kept<Vec<Lane>>], pool: &PoolHandle) -> bool {
    let shared = pool.shared();
    if shared.limit().waiting() > 0 {
        return false;
    }
    let part = pool.pool().limit.connections.map_or(usize::MAX, |most| most as usize / shared.workers());
    let id = pool.transport().id();
    let of_pool = lanes.iter().flat_map(|kept| &kept.value).filter(|lane| lane.transport.id() == id);
    of_pool.map(|lane| lane.idle.len()).sum::<usize>() < part
}

fn lane_of<'k>(lanes: &'k mut Vec<Kept<Vec<Lane>>>, place: Place, transport: &Arc<Transport>) -> &'k mut Lane {
    let lanes = at(lanes, place);
    // An endpoint is spoken to in one way as a rule, and in few in any case.
    let found = lanes.iter().position(|lane| lane.transport.id() == transport.id());
    let index = found.unwrap_or_else(|| {
        lanes.push(Lane {
            transport: Arc::clone(transport),
            idle: Vec::new(),
            shared: Vec::new(),
            opening: None,
            chose_http1: false,
        });
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
