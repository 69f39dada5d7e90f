//! Which endpoint gets a connection. One file an algorithm; what they have in common is here: who may
//! be taken at all.
//!
//! INVARIANT: nothing here allocates once a worker has seen a pool; tables are built elsewhere, when
//! health or membership changes ([`Tables::rebuild`]).

mod least_connections;
mod least_requests;
mod maglev;
mod peak_ewma;
mod random;
mod request_key;
mod ring;
mod round_robin;
mod tables;

pub(super) use peak_ewma::Average;
pub use tables::Spot;
pub(super) use tables::Tables;

use super::Members;
use dsl::tree::ir::Balance;
pub(super) use dsl::tree::l4::key::xxh64;
pub use dsl::tree::l4::key::{client_group, hash_of};
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

/// The endpoints among which a choice is made: up, not ejected, not tried, and the best kind there is
/// of these: first those that are neither backups nor rest, then backups, then those that rest.
///
/// Where too few are well, health is not believed: most likely it is the gateway that has a problem, or
/// all of them have the same one, and the few would be buried. Ejections are ignored when less than half
/// are well; what checks say, only where the pool's `panic` says how few are too few.
struct Candidates<'a> {
    members: &'a Members,
    rests: &'a [u64],
    tried: Tried,
    now: u64,
    kind: u8,
    believed: Believed,
}

/// What of the endpoints' health counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Believed {
    /// All of it.
    All,
    /// What checks say.
    Checks,
    /// Nothing.
    Nothing,
}

/// Below so many percent that are well ejections are ignored, where the pool has no `panic`.
const PANIC_BELOW: u8 = 50;
/// What a weight of 1 is, where a pool starts slowly.
const WHOLE: u64 = 100;
/// What an endpoint begins with where a pool starts slowly, in percent: it would learn nothing from less.
const BEGINS_WITH: u64 = 10;

impl<'a> Candidates<'a> {
    /// The best kind, whether or not there is one of it.
    fn best(members: &'a Members, rests: &'a [u64], tried: Tried, now: u64) -> Self {
        Self { members, rests, tried, now, kind: 0, believed: Believed::All }
    }

    /// `None` where there is nobody.
    fn of(members: &'a Members, rests: &'a [u64], tried: Tried, now: u64) -> Option<Self> {
        let mut all = Self::best(members, rests, tried, now);
        all.believed = believed(members, now);
        let best = |all: &Self| (0..rests.len()).filter_map(|index| all.kind(index)).min();
        let kind = best(&all).or_else(|| {
            // All that are well were tried: who is ejected is better than nobody.
            let last = all.believed == Believed::All && tried != Tried::default();
            all.believed = if last { Believed::Checks } else { all.believed };
            best(&all).filter(|_| last)
        });
        all.kind = kind?;
        Some(all)
    }

    fn kind(&self, index: usize) -> Option<u8> {
        let out = match self.believed {
            Believed::All => !self.members.is_up(index) || self.members.is_ejected(index, self.now),
            Believed::Checks => !self.members.is_up(index),
            Believed::Nothing => false,
        };
        if out || self.tried.has(index) {
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

    /// The weight of one: a part of it for as long as it starts slowly, growing evenly.
    fn weight(&self, index: usize) -> u64 {
        let member = &self.members.each()[index];
        let weight = u64::from(member.weight);
        let Some(lasts) = self.members.pool().slow_start_ms else { return weight };
        let part = match member.since() {
            0 => WHOLE,
            since => (self.now.saturating_sub(since).saturating_mul(WHOLE) / lasts.max(1)).clamp(BEGINS_WITH, WHOLE),
        };
        weight * part
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
        if let Some(sole) = sole(members, tried, now) {
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

    /// Whether an endpoint can be asked first, and by itself: it is up, not ejected, and does not rest.
    pub(super) fn is_well(&mut self, members: &Members, index: usize, now: u64) -> bool {
        self.make_room(members);
        let rests = self.rests.get(index).is_none_or(|until| *until > now);
        !rests && members.is_up(index) && !members.is_ejected(index, now)
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

/// The answer of a pool with a single endpoint that is well: nobody else is there to be asked first.
#[inline]
fn sole(members: &Members, tried: Tried, now: u64) -> Option<Option<usize>> {
    let [_] = members.each() else { return None };
    if tried.has(0) {
        return Some(None);
    }
    (members.is_up(0) && !members.is_ejected(0, now)).then_some(Some(0))
}

/// What of the health of a pool's endpoints counts now.
fn believed(members: &Members, now: u64) -> Believed {
    let pool = members.pool();
    if pool.check.is_none() && pool.eject.is_none() {
        return Believed::All;
    }
    let well = (0..members.len()).filter(|index| members.is_up(*index) && !members.is_ejected(*index, now)).count();
    let below = usize::from(pool.panic_below.unwrap_or(PANIC_BELOW));
    match pool.panic_below {
        _ if well * 100 >= below * members.len() => Believed::All,
        Some(_) => Believed::Nothing,
        None => Believed::Checks,
    }
}

#[cfg(test)]
mod fairness;
#[cfg(test)]
mod figures;
#[cfg(test)]
mod panic_tests;
#[cfg(test)]
mod tests;
