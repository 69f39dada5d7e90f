//! Which endpoint gets a connection. One file an algorithm; what they have in common is here: who may
//! be taken at all.
//!
//! INVARIANT: nothing here allocates once a worker has seen a pool; tables are built elsewhere, when
//! health or membership changes ([`Tables::rebuild`]).

mod key;
mod least_connections;
mod maglev;
mod random;
mod ring;
mod round_robin;
mod tables;

pub use key::{client_group, hash_of};
use tables::Spot;
pub(super) use tables::Tables;

use super::PoolHandle;
use dsl::tree::ir::Balance;
use dsl::tree::l4::Facts;
pub(super) use random::Dice;

/// After a failure an endpoint is asked last for so long, so that not every request finds out.
const REST_MS: u64 = 1_000;

/// What a worker knows of a pool.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// How much each endpoint is owed, in the pool's order.
    owed: Vec<i64>,
    /// Until when each endpoint rests.
    rests: Vec<u64>,
}

/// Endpoints that a request or a connection has been refused by. In a pool with more than 64, two may
/// stand for each other, so that at most 64 are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried(u64);

impl Tried {
    /// Adds one.
    pub fn add(&mut self, index: usize) {
        self.0 |= 1 << (index % 64);
    }

    pub(crate) fn has(self, index: usize) -> bool {
        self.0 & (1 << (index % 64)) != 0
    }
}

/// The endpoints among which a choice is made: up, not tried, and the best kind there is of these:
/// first those that are neither backups nor rest, then backups, then those that rest.
struct Candidates<'a> {
    pool: &'a PoolHandle,
    rests: &'a [u64],
    tried: Tried,
    now: u64,
    kind: u8,
}

impl<'a> Candidates<'a> {
    /// The best kind, whether or not there is one of it.
    fn best(pool: &'a PoolHandle, rests: &'a [u64], tried: Tried, now: u64) -> Self {
        Self { pool, rests, tried, now, kind: 0 }
    }

    /// `None` where there is nobody.
    fn of(pool: &'a PoolHandle, rests: &'a [u64], tried: Tried, now: u64) -> Option<Self> {
        let mut all = Self::best(pool, rests, tried, now);
        all.kind = (0..rests.len()).filter_map(|index| all.kind(index)).min()?;
        Some(all)
    }

    fn kind(&self, index: usize) -> Option<u8> {
        if self.tried.has(index) || !self.pool.is_up(index) {
            return None;
        }
        let backup = self.pool.pool().endpoints[index].backup;
        // Who just refused a connection is not up, whatever its check has found out by now.
        let rests = self.rests[index] > self.now;
        Some(u8::from(backup) + 2 * u8::from(rests))
    }

    fn has(&self, index: usize) -> bool {
        self.kind(index) == Some(self.kind)
    }

    /// Whether they are backups.
    fn backups(&self) -> bool {
        self.kind & 1 == 1
    }

    /// Their places in the pool, and their weights.
    fn each(&self) -> impl Iterator<Item = (usize, u32)> {
        let endpoints = self.pool.pool().endpoints.iter().enumerate();
        endpoints.filter(|(index, _)| self.has(*index)).map(|(index, endpoint)| (index, endpoint.weight))
    }
}

impl Turns {
    /// Whose turn it is, whatever the pool's `balance`.
    pub(super) fn next(&mut self, pool: &PoolHandle, tried: Tried, now: u64) -> Option<usize> {
        if let Some(sole) = sole(pool, tried) {
            return sole;
        }
        let (owed, candidates) = self.candidates(pool, tried, now)?;
        round_robin::next(owed, &candidates, |_| true)
    }

    /// Who gets a connection, by the pool's `balance`.
    pub(super) fn choose(
        &mut self,
        pool: &PoolHandle,
        facts: &Facts<'_>,
        dice: &Dice,
        tried: Tried,
        now: u64,
    ) -> Option<usize> {
        if let Some(sole) = sole(pool, tried) {
            return sole;
        }
        let spot = match &pool.pool().balance {
            Balance::RoundRobin | Balance::Random | Balance::LeastConnections => None,
            Balance::Hash(key) => Some(Spot::Ring(ring::position(key, facts))),
            Balance::Maglev(key) => Some(Spot::Maglev(hash_of(key, facts))),
        };
        self.make_room(pool);
        // Nobody is better than one that is no backup and does not rest: no need to look at the others.
        let first = spot.and_then(|spot| pool.tables().first(spot));
        if let Some(first) = first.filter(|first| Candidates::best(pool, &self.rests, tried, now).has(*first)) {
            return Some(first);
        }
        let (owed, candidates) = self.candidates(pool, tried, now)?;
        let chosen = match pool.pool().balance {
            Balance::RoundRobin => None,
            Balance::Random => random::draw(dice, &candidates),
            Balance::LeastConnections => least_connections::fewest(owed, &candidates),
            Balance::Hash(_) | Balance::Maglev(_) => spot.and_then(|spot| pool.tables().at(spot, &candidates)),
        };
        // A table may be a moment older than the health it was built from.
        chosen.or_else(|| round_robin::next(owed, &candidates, |_| true))
    }

    /// An endpoint could not be reached.
    pub(super) fn failed(&mut self, index: usize, now: u64) {
        if let Some(rest) = self.rests.get_mut(index) {
            *rest = now + REST_MS;
        }
    }

    fn make_room(&mut self, pool: &PoolHandle) {
        let count = pool.endpoints().len();
        self.owed.resize(count, 0);
        self.rests.resize(count, 0);
    }

    fn candidates<'a>(
        &'a mut self,
        pool: &'a PoolHandle,
        tried: Tried,
        now: u64,
    ) -> Option<(&'a mut [i64], Candidates<'a>)> {
        self.make_room(pool);
        Some((&mut self.owed, Candidates::of(pool, &self.rests, tried, now)?))
    }
}

/// The answer of a pool with a single endpoint: nobody else is there to be asked first.
#[inline]
fn sole(pool: &PoolHandle, tried: Tried) -> Option<Option<usize>> {
    let [_] = pool.endpoints() else { return None };
    Some((!tried.has(0) && pool.is_up(0)).then_some(0))
}

#[cfg(test)]
mod figures;
#[cfg(test)]
mod tests;
