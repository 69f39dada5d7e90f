//! A pool as it is at one time: who belongs to it. Names that are looked up anew change it; whoever
//! has chosen an endpoint by its place holds what it was chosen from.

use super::Outcome;
use super::balance::{Spot, Tables};
use super::endpoint::EndpointHandle;
use super::health::{Record, Standing};
use super::identity::Place;
use super::registry::Belongs;
use dsl::tree::ir;
use dsl::tree::l4::Facts;
use std::fmt;
use std::sync::Arc;

/// The endpoints of a pool, in an order that holds for as long as this is held.
pub struct Members {
    pool: Arc<ir::Pool>,
    place: Place,
    version: u64,
    each: Box<[Member]>,
    tables: Tables,
}

/// An endpoint in a pool.
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<EndpointHandle>,
    /// Its share among the others; 1 or more.
    pub weight: u32,
    /// Asked only when no other is up.
    pub backup: bool,
    /// What its check says of it; `None` where the pool has none.
    pub(super) standing: Option<Arc<Standing>>,
    /// What requests show of it.
    pub(super) record: Arc<Record>,
}

impl Members {
    pub(super) fn new(pool: &Arc<ir::Pool>, place: Place, version: u64, each: Vec<Member>) -> Self {
        Self { pool: Arc::clone(pool), place, version, each: each.into(), tables: Tables::default() }
    }

    /// What the file says.
    #[must_use]
    pub fn pool(&self) -> &ir::Pool {
        &self.pool
    }

    /// Where workers keep what they know of the pool.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// Counts the changes of who belongs to the pool.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many endpoints there are; names that have no address have none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether there is no endpoint.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// All of them.
    #[must_use]
    pub fn each(&self) -> &[Member] {
        &self.each
    }

    /// The endpoint at a place.
    #[must_use]
    pub fn endpoint(&self, index: usize) -> &Arc<EndpointHandle> {
        &self.each[index].endpoint
    }

    /// The place of an endpoint.
    #[must_use]
    pub fn find(&self, endpoint: &Arc<EndpointHandle>) -> Option<usize> {
        self.each.iter().position(|member| Arc::ptr_eq(&member.endpoint, endpoint))
    }

    /// Whether they are these, in this order.
    pub(super) fn are(&self, each: &[Belongs]) -> bool {
        let same = |(member, belongs): (&Member, &Belongs)| {
            let (weight, backup) = (member.weight == belongs.weight, member.backup == belongs.backup);
            Arc::ptr_eq(&member.endpoint, &belongs.endpoint) && weight && backup
        };
        self.len() == each.len() && self.each.iter().zip(each).all(same)
    }

    /// Whether an endpoint takes new connections: always, where the pool has no check.
    #[inline]
    #[must_use]
    pub fn is_up(&self, index: usize) -> bool {
        self.each.get(index).is_some_and(|member| member.standing.as_ref().is_none_or(|standing| standing.is_up()))
    }

    /// Whether an endpoint gets no requests for now, because of how it answered others. Counts from the
    /// start of the process, in milliseconds, as workers' clocks do.
    #[inline]
    #[must_use]
    pub fn is_ejected(&self, index: usize, now: u64) -> bool {
        self.each.get(index).is_some_and(|member| member.record.is_ejected(now))
    }

    /// Notes what became of a request or of a connection attempt at an endpoint: `eject` goes by it.
    #[inline]
    pub fn note(&self, index: usize, outcome: Outcome, now: u64) {
        if let Some(ejection) = self.each.get(index).and_then(|member| member.record.ejection()) {
            ejection.note(self, outcome, now);
        }
    }

    /// Where a connection lies in the pool's table; `None` where its `balance` has none.
    #[must_use]
    pub fn spot(&self, facts: &Facts<'_>) -> Option<Spot> {
        Spot::of_connection(&self.pool.balance, facts)
    }

    /// Builds the tables for who is up now. The control plane calls it: it takes milliseconds.
    pub(super) fn rebuild(&self) {
        self.tables.rebuild(self);
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Says whether an endpoint is up, as its check would.
    #[cfg(test)]
    pub(super) fn set_up(&self, index: usize, up: bool) {
        let standing = self.each[index].standing.as_ref().expect("a pool with a check");
        standing.change(up, "", 1, None);
    }
}

impl Member {
    /// What requests show of it.
    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// Whether this is what its check says of it.
    pub(super) fn has(&self, standing: &Standing) -> bool {
        self.standing.as_ref().is_some_and(|mine| std::ptr::eq(&**mine, standing))
    }

    /// Since when it serves, milliseconds since the process started; 0 where it always did.
    pub(super) fn since(&self) -> u64 {
        self.record.since().max(self.standing.as_ref().map_or(0, |standing| standing.since()))
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members")
            .field("pool", &self.pool.name)
            .field("version", &self.version)
            .field("len", &self.each.len())
            .finish_non_exhaustive()
    }
}
