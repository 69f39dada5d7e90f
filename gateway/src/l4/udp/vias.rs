//! By which route and pool flows go to which endpoint, and where that is.
//!
//! Flows are many and these are few: what flows have in common is here.

use crate::l4::Route;
use crate::upstream::{EndpointHandle, Members, PoolHandle};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// A route, a pool of it, and an endpoint of that.
pub struct Via {
    /// The route.
    pub route: Arc<Route>,
    /// The pool.
    pub pool: Arc<PoolHandle>,
    /// Its members: today's, as far as the endpoint is still among them.
    pub members: Arc<Members>,
    /// The endpoint.
    pub endpoint: Arc<EndpointHandle>,
    /// Its place among the members.
    pub index: usize,
    /// How many flows go by it.
    pub flows: u32,
    /// Which of the endpoint's addresses is used: the next one after a refusal.
    turn: usize,
    unused_since: u64,
}

/// All that a worker's listening socket has.
#[derive(Default)]
pub struct Vias {
    slots: Vec<Option<Via>>,
    known: HashMap<(usize, usize, usize), u32>,
}

/// What nobody goes by is kept for so long.
const SPARE_MS: u64 = 30_000;

impl Vias {
    /// The one of an endpoint.
    pub fn intern(
        &mut self,
        route: &Arc<Route>,
        pool: &Arc<PoolHandle>,
        members: &Arc<Members>,
        index: usize,
        now: u64,
    ) -> u32 {
        let endpoint = members.endpoint(index);
        let key = key(route, pool, endpoint);
        if let Some(via) = self.known.get(&key).copied() {
            // It may have left the pool and come back.
            self.at_mut(via).here();
            return via;
        }
        let via = Via {
            route: Arc::clone(route),
            pool: Arc::clone(pool),
            members: Arc::clone(members),
            endpoint: Arc::clone(endpoint),
            index,
            flows: 0,
            turn: 0,
            unused_since: now,
        };
        let at = match self.slots.iter().position(Option::is_none) {
            Some(at) => at,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        self.slots[at] = Some(via);
        self.known.insert(key, at as u32);
        at as u32
    }

    /// One that is in use. INVARIANT: a flow goes by it, or it was interned just now.
    #[inline]
    #[must_use]
    pub fn at(&self, via: u32) -> &Via {
        self.slots[via as usize].as_ref().expect("what a flow goes by is kept")
    }

    /// One that is in use. INVARIANT: as of [`Vias::at`].
    #[inline]
    #[must_use]
    pub fn at_mut(&mut self, via: u32) -> &mut Via {
        self.slots[via as usize].as_mut().expect("what a flow goes by is kept")
    }

    /// A flow, or something that waits to be one, goes by it.
    pub fn join(&mut self, via: u32) {
        self.at_mut(via).flows += 1;
    }

    /// It does not any more.
    pub fn leave(&mut self, via: u32, now: u64) {
        let it = self.at_mut(via);
        it.flows -= 1;
        it.unused_since = now;
    }

    /// Forgets those that nobody goes by.
    pub fn sweep(&mut self, now: u64) {
        for slot in &mut self.slots {
            if let Some(via) = slot
                && via.flows == 0
                && via.unused_since + SPARE_MS <= now
            {
                self.known.remove(&key(&via.route, &via.pool, &via.endpoint));
                *slot = None;
            }
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

impl Via {
    /// Where its endpoint is; `None` for one that takes no datagrams. Of two addresses the IPv4 one at
    /// first: datagrams cannot be raced, and machines without a way by IPv6 are the common ones.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        let addresses = self.endpoint.addresses();
        addresses.iter().rev().nth(self.turn % addresses.len().max(1)).copied()
    }

    /// Its endpoint refused: another of its addresses may not.
    pub fn refused(&mut self) {
        self.turn = self.turn.wrapping_add(1);
    }

    /// Its place among its pool's members by now; `None` where it has left them.
    pub fn here(&mut self) -> Option<usize> {
        if self.pool.version() != self.members.version() {
            let members = self.pool.members();
            // Of one that has left, what was known of it last still holds.
            self.index = members.find(&self.endpoint)?;
            self.members = members;
        }
        Some(self.index)
    }

    /// Whether it is up, by what is known of it last.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.members.is_up(self.index)
    }
}

fn key(route: &Arc<Route>, pool: &Arc<PoolHandle>, endpoint: &Arc<EndpointHandle>) -> (usize, usize, usize) {
    (Arc::as_ptr(route) as usize, Arc::as_ptr(pool) as usize, Arc::as_ptr(endpoint) as usize)
}
