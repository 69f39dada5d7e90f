//! Which endpoint gets a connection. One file an algorithm; what they have in common is here: who may
//! be taken at all.
//!
//! INVARIANT: nothing here allocates once a worker has seen a pool; tables are built elsewhere, when
//! health or membership changes ([`Tables::rebuild`]).

mod key;
mod least_connections;
mod least_requests;
mod maglev;
mod peak_ewma;
mod random;
mod request_key;
mod ring;
mod round_robin;
mod tables;

pub use key::{client_group, hash_of};
pub(super) use peak_ewma::Average;
pub use tables::Spot;
pub(super) use tables::Tables;

use super::Members;
use dsl::tree::ir::Balance;
pub(super) use random::Dice;

/// After a failure an endpoint is asked last for so long, so that not every request finds out.
const REST_MS: u64 = 1_000;

/// What a worker knows of a pool.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Of the members that the rest is about.
    version: u64,
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
    members: &'a Members,
    rests: &'a [u64],
    tried: Tried,
    now: u64,
    kind: u8,
}

impl<'a> Candidates<'a> {
    /// The best kind, whether or not there is one of it.
    fn best(members: &'a Members, rests: &'a [u64], tried: Tried, now: u64) -> Self {
        Self { members, rests, tried, now, kind: 0 }
    }

    /// `None` where there is nobody.
    fn of(members: &'a Members, rests: &'a [u64], tried: Tried, now: u64) -> Option<Self> {
        let mut all = Self::best(members, rests, tried, now);
        all.kind = (0..rests.len()).filter_map(|index| all.kind(index)).min()?;
        Some(all)
    }

    fn kind(&self, index: usize) -> Option<u8> {
        if self.tried.has(index) || !self.members.is_up(index) {
            return None;
        }
        let backup = self.members.each()[index].backup;
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
    fn each(&self) -> impl Iterator<Item = (usize, u64)> {
        let members = self.members.each().iter().enumerate();
        members.map(|(index, _)| index).filter(|index| self.has(*index)).map(|index| (index, self.weight(index)))
    }

    /// The weight of one.
    fn weight(&self, index: usize) -> u64 {
        self.members.each()[index].weight.into()
    }
}

impl Turns {
    /// Who gets a connection or a request, by the pool's `balance`.
    pub(super) fn choose(
        &mut self,
        members: &Members,
        spot: Option<Spot>,
        dice: &Dice,
        tried: Tried,
        now: u64,
    ) -> Option<usize> {
        if let Some(sole) = sole(members, tried) {
            return sole;
        }
        self.make_room(members);
        // Nobody is better than one that is no backup and does not rest: no need to look at the others.
        let first = spot.and_then(|spot| members.tables().first(spot));
        if let Some(first) = first.filter(|first| Candidates::best(members, &self.rests, tried, now).has(*first)) {
            return Some(first);
        }
        let (owed, candidates) = self.candidates(members, tried, now)?;
        let chosen = match members.pool().balance {
            Balance::RoundRobin => None,
            Balance::LeastRequests => least_requests::fewer(dice, &candidates),
            Balance::PeakEwma => peak_ewma::sooner(dice, &candidates),
            Balance::Random => random::draw(dice, &candidates),
            Balance::LeastConnections => least_connections::fewest(owed, &candidates),
            Balance::Hash(_) | Balance::Maglev(_) => spot.and_then(|spot| members.tables().at(spot, &candidates)),
        };
        // A table may be a moment older than the health it was built from.
        chosen.or_else(|| round_robin::next(owed, &candidates, |_| true))
    }

    /// An endpoint could not be reached.
    pub(super) fn failed(&mut self, members: &Members, index: usize, now: u64) {
        self.make_room(members);
        if let Some(rest) = self.rests.get_mut(index) {
            *rest = now + REST_MS;
        }
    }

    fn make_room(&mut self, members: &Members) {
        if self.version != members.version() {
            *self = Self { version: members.version(), ..Self::default() };
        }
        self.owed.resize(members.len(), 0);
        self.rests.resize(members.len(), 0);
    }

    fn candidates<'a>(
        &'a mut self,
        members: &'a Members,
        tried: Tried,
        now: u64,
    ) -> Option<(&'a mut [i64], Candidates<'a>)> {
        self.make_room(members);
        Some((&mut self.owed, Candidates::of(members, &self.rests, tried, now)?))
    }
}

/// The answer of a pool with a single endpoint: nobody else is there to be asked first.
#[inline]
fn sole(members: &Members, tried: Tried) -> Option<Option<usize>> {
    let [_] = members.each() else { return None };
    Some((!tried.has(0) && members.is_up(0)).then_some(0))
}

#[cfg(test)]
mod figures;
#[cfg(test)]
mod tests;
