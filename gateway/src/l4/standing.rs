//! What a reload, or an endpoint that is down, means for connections and flows that exist.
//!
//! A connection is asked about only when something changed: another snapshot, or another health of some
//! endpoint. It stays for as long as today's rules would lead it where it is.

use super::Route;
use super::tally::Tally;
use crate::runtime::worker::Worker;
use crate::snapshot::{Host, Snapshot};
use crate::upstream::{EndpointHandle, Members, PoolHandle, health_epoch};
use dsl::tree::l4::{Facts, Step, Target};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How often it is looked whether something changed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Connections that are asked about before others have their turn.
const AT_ONCE: usize = 256;

/// What becomes of a connection or flow.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Nothing changed for it.
    Stay,
    /// Its item was written anew and leads it to the endpoint that it has: it goes on by this route,
    /// with this pool.
    Adopt(Arc<Route>, Arc<PoolHandle>),
    /// It may go on for its `drain`: its endpoint left the pool or is down, its item changed its mind
    /// or is gone.
    Drain,
    /// It ends now: its endpoint is down, and the item says `cut on-unhealthy`.
    Cut,
}

/// Judges a connection or flow that goes by `route` and `pool` to `endpoint`.
#[must_use]
pub fn judge(
    route: &Arc<Route>,
    pool: &Arc<PoolHandle>,
    endpoint: &Arc<EndpointHandle>,
    facts: &Facts<'_>,
    snapshot: &Snapshot,
) -> Standing {
    let Some(today) = current(route, facts, snapshot) else { return Standing::Drain };
    if Arc::ptr_eq(today, route) {
        let members = pool.members();
        return match members.find(endpoint) {
            Some(index) => healthy(today, &members, index, Standing::Stay),
            None => Standing::Drain,
        };
    }
    if today.rules.settings.tls != route.rules.settings.tls {
        return Standing::Drain;
    }
    let alike = |other: &PoolHandle| {
        let (now, then) = (other.pool(), pool.pool());
        now.tls == then.tls && now.proxy_protocol == then.proxy_protocol
    };
    for today_pool in leads_to(today, facts) {
        let members = today_pool.members();
        if let Some(index) = members.find(endpoint)
            && alike(today_pool)
        {
            let adopt = Standing::Adopt(Arc::clone(today), Arc::clone(today_pool));
            return healthy(today, &members, index, adopt);
        }
    }
    Standing::Drain
}

/// What stands today where a route stood.
fn current<'a>(route: &Route, facts: &Facts<'_>, snapshot: &'a Snapshot) -> Option<&'a Arc<Route>> {
    match &route.listens {
        Some(key) => snapshot.listening.get(key),
        None => match snapshot.hosts.get(facts.sni?)? {
            Host::Passthrough(route) => Some(route),
            Host::Site(_) | Host::Unavailable | Host::Nobody => None,
        },
    }
}

/// The pools that a route may lead a connection to.
fn leads_to<'a>(route: &'a Route, facts: &Facts<'_>) -> impl Iterator<Item = &'a Arc<PoolHandle>> {
    let entry = route.rules.decide(facts).filter(|entry| {
        // Limits bound what is new.
        entry.steps.iter().all(|step| match step {
            Step::Require { cond, .. } => facts.hold(cond),
            Step::Limit(_) => true,
        })
    });
    let (one, shares) = match entry.map(|entry| &entry.target) {
        Some(Target::Pool(index)) => (Some(*index), &[][..]),
        // Which share it drew is not known any more; each of them is as good.
        Some(Target::Split { shares, .. }) => (None, &shares[..]),
        Some(Target::Deny) | None => (None, &[][..]),
    };
    let indices = one.into_iter().chain(shares.iter().map(|(_, index)| *index));
    indices.filter_map(|index| route.pools.get(index.0 as usize))
}

fn healthy(route: &Route, members: &Members, index: usize, well: Standing) -> Standing {
    if members.is_up(index) {
        well
    } else if route.rules.settings.cut_on_unhealthy {
        Standing::Cut
    } else {
        Standing::Drain
    }
}

/// The TCP connections of a worker that are asked about.
#[derive(Default)]
pub(super) struct Register {
    slots: RefCell<Slots>,
    open: Cell<usize>,
    needed: Notify,
}

#[derive(Default)]
struct Slots {
    tallies: Vec<Option<Rc<Tally>>>,
    free: Vec<u32>,
}

/// A connection is asked about for as long as it has this.
pub(super) struct Registered {
    tally: Rc<Tally>,
    slot: u32,
}

impl Registered {
    /// From now on. What changed since it was decided about is made up for.
    pub(super) fn new(tally: Rc<Tally>) -> Self {
        let register = &tally.worker.carrying.register;
        let slots = &mut *register.slots.borrow_mut();
        let entry = Some(Rc::clone(&tally));
        let slot = match slots.free.pop() {
            Some(slot) => {
                slots.tallies[slot as usize] = entry;
                slot
            }
            None => {
                slots.tallies.push(entry);
                // A worker has far fewer connections than 2^32.
                (slots.tallies.len() - 1) as u32
            }
        };
        if register.open.replace(register.open.get() + 1) == 0 {
            register.needed.notify_one();
        }
        tally.asked(&tally.worker.snapshot());
        Self { tally: Rc::clone(&tally), slot }
    }

    /// The connection.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let register = &self.tally.worker.carrying.register;
        register.open.set(register.open.get() - 1);
        let slots = &mut *register.slots.borrow_mut();
        slots.tallies[self.slot as usize] = None;
        slots.free.push(self.slot);
    }
}

/// Asks about the connections of a worker whenever something changed, for as long as the worker lives.
pub async fn watch(worker: Rc<Worker>) {
    let register = &worker.carrying.register;
    let mut seen = (worker.snapshot(), health_epoch());
    loop {
        while register.open.get() == 0 {
            register.needed.notified().await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let now = (worker.snapshot(), health_epoch());
        if Rc::ptr_eq(&seen.0, &now.0) && seen.1 == now.1 {
            continue;
        }
        seen = now;
        ask(register, &seen.0).await;
    }
}

async fn ask(register: &Register, snapshot: &Snapshot) {
    let mut from = 0;
    loop {
        let some: Vec<Rc<Tally>> = {
            let slots = register.slots.borrow();
            if from >= slots.tallies.len() {
                return;
            }
            let end = slots.tallies.len().min(from + AT_ONCE);
            slots.tallies[from..end].iter().flatten().cloned().collect()
        };
        for tally in some {
            tally.asked(snapshot);
        }
        from += AT_ONCE;
        tokio::task::yield_now().await;
    }
}
