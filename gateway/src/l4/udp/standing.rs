//! What a reload, or an endpoint that is down, means for connections and flows that exist.
//!
//! A connection is asked about only when something changed: another snapshot, or another health of some
//! endpoint. It stays for as long as today's rules would lead it where it is.

use crate::l4::Route;
use crate::snapshot::{Host, Snapshot};
use crate::upstream::{EndpointHandle, PoolHandle};
use dsl::tree::l4::{Facts, Step, Target};
use std::sync::Arc;

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
        return match place(pool, endpoint) {
            Some(index) => healthy(today, pool, index, Standing::Stay),
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
        if let Some(index) = place(today_pool, endpoint)
            && alike(today_pool)
        {
            let adopt = Standing::Adopt(Arc::clone(today), Arc::clone(today_pool));
            return healthy(today, today_pool, index, adopt);
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
            Host::Site(_) | Host::Unavailable => None,
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

/// The place of an endpoint in a pool.
fn place(pool: &PoolHandle, endpoint: &Arc<EndpointHandle>) -> Option<usize> {
    pool.endpoints().iter().position(|e| Arc::ptr_eq(e, endpoint))
}

fn healthy(route: &Route, pool: &PoolHandle, index: usize, well: Standing) -> Standing {
    if pool.is_up(index) {
        well
    } else if route.rules.settings.cut_on_unhealthy {
        Standing::Cut
    } else {
        Standing::Drain
    }
}
