//! By which route and pool flows go to which endpoint, and where that is.
//!
//! Flows are many and these are few: what flows have in common is here.

use crate::l4::Route;
use crate::upstream::{EndpointHandle, Members, PoolHandle};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

/// A route, a pool of it, and an endpoint of that.
pub struct Via {
    /// The route.
    pub route: Arc<Route>,
    /// The pool.
    pub pool: Arc<PoolHandle>,
    /// Its members, when the endpoint was chosen.
    pub members: Arc<Members>,
    /// The endpoint.
    pub endpoint: Arc<EndpointHandle>,
    /// Its place among the members.
    pub index: usize,
    /// How many flows go by it.
    pub flows: u32,
    place: Place,
    unused_since: u64,
}

/// Where an endpoint is.
enum Place {
    /// Written as an address.
    Fixed(SocketAddr),
    /// Written as a name.
    Named(Named),
}

struct Named {
    /// None before the first answer.
    addresses: Rc<[SocketAddr]>,
    /// Until when the answer is good.
    until: u64,
    /// Since when an answer is waited for.
    asking: Option<u64>,
    /// Which of the addresses is used: the next one after a refusal.
    turn: usize,
}

/// What is known of where an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// The address, if one is known.
    pub address: Option<SocketAddr>,
    /// Whether the name is to be looked up now.
    pub ask: bool,
}

/// All that a worker's listening socket has.
#[derive(Default)]
pub struct Vias {
    slots: Vec<Option<Via>>,
    known: HashMap<(usize, usize, usize), u32>,
}

/// What nobody goes by is kept for so long.
const SPARE_MS: u64 = 30_000;
/// The answer about a name is asked for again after so long.
const GOOD_MS: u64 = 5_000;
/// Who did not answer about a name is asked again after so long.
const ASK_AGAIN_MS: u64 = 5_000;

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
        if let Some(via) = self.known.get(&key) {
            return *via;
        }
        let place = match endpoint.host().parse::<IpAddr>() {
            Ok(ip) => Place::Fixed(SocketAddr::new(ip, endpoint.port())),
            Err(_) => Place::Named(Named { addresses: Rc::new([]), until: 0, asking: None, turn: 0 }),
        };
        let via = Via {
            route: Arc::clone(route),
            pool: Arc::clone(pool),
            members: Arc::clone(members),
            endpoint: Arc::clone(endpoint),
            index,
            flows: 0,
            place,
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

    /// The name of an endpoint was looked up: everybody who asked for it knows now.
    pub fn found(&mut self, endpoint: &Arc<EndpointHandle>, addresses: Option<&Rc<[SocketAddr]>>, now: u64) {
        for via in self.slots.iter_mut().flatten() {
            let Place::Named(named) = &mut via.place else { continue };
            if !Arc::ptr_eq(&via.endpoint, endpoint) {
                continue;
            }
            named.asking = None;
            named.until = now + GOOD_MS;
            // Without an answer the last one is still the best guess.
            if let Some(addresses) = addresses {
                named.addresses = Rc::clone(addresses);
            }
        }
    }
}

impl Via {
    /// Where its endpoint is.
    pub fn whereabouts(&mut self, now: u64) -> Whereabouts {
        match &mut self.place {
            Place::Fixed(address) => Whereabouts { address: Some(*address), ask: false },
            Place::Named(named) => {
                let ask = now >= named.until && named.asking.is_none_or(|since| since + ASK_AGAIN_MS <= now);
                if ask {
                    named.asking = Some(now);
                }
                let count = named.addresses.len().max(1);
                Whereabouts { address: named.addresses.get(named.turn % count).copied(), ask }
            }
        }
    }

    /// Its endpoint refused: another of its addresses may not.
    pub fn refused(&mut self) {
        if let Place::Named(named) = &mut self.place {
            named.turn = named.turn.wrapping_add(1);
        }
    }
}

fn key(route: &Arc<Route>, pool: &Arc<PoolHandle>, endpoint: &Arc<EndpointHandle>) -> (usize, usize, usize) {
    (Arc::as_ptr(route) as usize, Arc::as_ptr(pool) as usize, Arc::as_ptr(endpoint) as usize)
}
