//! `require` and `limit` of an entry: whether a connection or flow may begin, before anything is
//! dialled for it.
//!
//! A limit is one number, whatever the count of workers, and its buckets outlive reloads
//! ([`LimitTable`]). Buckets are [`crate::limit`]'s.

mod digest;

use super::End;
use crate::limit::{AtOnce, Bucketed, Bytes, Counted, Digest, Held, Kept, Known, Rate};
use digest::digest;
use dsl::syntax::span::Loc;
use dsl::tree::l4::{Bound, Entry, Facts, Key, Limit, Rules, Step};
use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The limits of all routes, so that a route that changes goes on with the buckets of its limits that
/// did not. One per process, asked by the control plane only.
#[derive(Debug, Default)]
pub struct LimitTable(Known<Identity>);

/// What makes a limit the same as before: whose it is and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    owner: Owner,
    bound: Bound,
    key: Key,
}

/// Whose a limit is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    /// A route's, by its name and by the limit's number among those of the route that say the same.
    Route(Arc<str>, usize),
    /// `as NAME`: that of the route files of a folder, so that no tenant counts in another's.
    Named(Arc<Path>, Arc<str>),
}

/// The limits of a route.
pub struct Limits {
    all: Vec<Written>,
}

/// A limit as written, with its buckets: one set, for all entries that pass it.
struct Written {
    loc: Loc,
    bound: Bound,
    key: Key,
    bucketed: Arc<Bucketed>,
}

/// What an admitted connection or flow holds for as long as it lasts: its place in each `at-once` limit, and whose bytes
/// it carries.
#[derive(Debug, Default)]
pub struct Admitted(Places);

/// Most entries have one such limit at most, and a flow shall be small.
#[derive(Debug, Default)]
enum Places {
    #[default]
    None,
    One(#[allow(dead_code)] Held), // for its drop
    Several(#[allow(dead_code)] Box<[Held]>),
    Paced(Box<Paced>),
}

/// A connection whose bytes are counted.
#[derive(Debug, Default)]
pub struct Paced {
    places: Vec<Held>,
    flows: Vec<(Arc<Bytes>, Digest)>,
    /// Until when nothing more is read, milliseconds of the worker's clock.
    until_ms: Cell<u64>,
}

impl Paced {
    /// The most that is read in one piece, so that what is slow flows all the same.
    #[must_use]
    pub fn piece(&self) -> usize {
        self.flows.iter().map(|(flow, _)| flow.piece()).min().unwrap_or(usize::MAX)
    }

    /// Counts bytes that were read.
    pub fn read(&self, bytes: usize, now_ms: u64) {
        let waits = self.flows.iter().map(|(flow, digest)| flow.sent(*digest, bytes as u64));
        let wait = waits.max().unwrap_or_default();
        let wait = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.until_ms.set(self.until_ms.get().max(now_ms.saturating_add(wait)));
    }

    /// For how long nothing is read, milliseconds; 0 where something may be.
    #[must_use]
    pub fn waits(&self, now_ms: u64) -> u64 {
        self.until_ms.get().saturating_sub(now_ms)
    }
}

impl LimitTable {
    /// The limits of a route of a file in `dir`, by its name and what it says.
    #[must_use]
    pub fn limits(&self, route: &Arc<str>, rules: &Rules, dir: &Path) -> Limits {
        let mut all: Vec<Written> = Vec::new();
        for limit in rules.entries.iter().flat_map(|entry| &entry.steps).filter_map(limit) {
            // One written limit is one set of buckets, however many entries it stands around. A
            // policy's line may come with different arguments.
            if find(&all, limit).is_some() {
                continue;
            }
            let number = all.iter().filter(|w| w.bound == limit.bound && w.key == limit.key).count();
            let owner = match &limit.name {
                Some(name) => Owner::Named(dir.into(), Arc::clone(name)),
                None => Owner::Route(Arc::clone(route), number),
            };
            let Limit { loc, bound, key, .. } = limit.clone();
            let identity = Identity { owner, bound, key: key.clone() };
            let shown = limit.name.clone().unwrap_or_else(|| format!("{route} {limit}").into());
            let bucketed = self.0.intern(identity, &shown, |open| match bound {
                Bound::Rate { count, per_ms, burst } => Kept::Rate(Rate::on(open(), count, per_ms, burst)),
                Bound::AtOnce(most) => Kept::AtOnce(Arc::new(AtOnce::new(most))),
                Bound::Bytes(per_second) => Kept::Bytes(Arc::new(Bytes::on(open(), per_second))),
            });
            all.push(Written { loc, bound, key, bucketed });
        }
        Limits { all }
    }

    /// What limits that are in force have counted, by name; those of one name together.
    #[must_use]
    pub fn counted(&self) -> Vec<Counted> {
        self.0.counted()
    }
}

impl Limits {
    /// Passes the steps of an entry of the route whose limits these are, as they are written. What is
    /// returned is kept for as long as the connection or flow lasts.
    ///
    /// # Errors
    /// [`End::Denied`] where a `require` does not hold, [`End::Limited`] where a limit is exceeded.
    /// What the limits before it counted stays counted; places in `at-once` limits are given back.
    pub fn admit(&self, entry: &Entry, facts: &Facts<'_>) -> Result<Admitted, End> {
        let mut admitted = Admitted::default();
        for step in &entry.steps {
            match step {
                Step::Require { cond, .. } if facts.hold(cond) => {}
                Step::Require { .. } => return Err(End::Denied),
                Step::Limit(limit) => {
                    // Entries of another route are not known here: failure is closed.
                    let bucketed = find(&self.all, limit).ok_or(End::Limited)?;
                    let digest = digest(bucketed.secret(), &limit.key, facts);
                    let admits = match &bucketed.kept {
                        Kept::Rate(rate) => rate.take(digest, limit.cost.into()).is_ok(),
                        Kept::AtOnce(at_once) => {
                            AtOnce::take(at_once, digest).map(|held| admitted.hold(held)).is_some()
                        }
                        Kept::Bytes(_) if limit.shadow => true,
                        Kept::Bytes(flow) => {
                            admitted.pace(Arc::clone(flow), digest);
                            true
                        }
                        // No limit of connections counts answers.
                        Kept::Answered(_) => false,
                    };
                    bucketed.count(admits, limit.shadow);
                    if !admits && !limit.shadow {
                        return Err(End::Limited);
                    }
                }
            }
        }
        Ok(admitted)
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").field("count", &self.all.len()).finish_non_exhaustive()
    }
}

fn limit(step: &Step) -> Option<&Limit> {
    match step {
        Step::Limit(limit) => Some(limit),
        Step::Require { .. } => None,
    }
}

fn find<'a>(all: &'a [Written], limit: &Limit) -> Option<&'a Bucketed> {
    // A route has few.
    let same = |w: &&Written| w.loc == limit.loc && w.bound == limit.bound && w.key == limit.key;
    all.iter().find(same).map(|written| &*written.bucketed)
}

impl Admitted {
    /// Whether it holds no place: then it need not be kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Places::None)
    }

    /// How fast its bytes may be read, where a limit says so.
    #[inline]
    #[must_use]
    pub fn paced(&self) -> Option<&Paced> {
        match &self.0 {
            Places::Paced(paced) => Some(paced),
            Places::None | Places::One(_) | Places::Several(_) => None,
        }
    }

    fn pace(&mut self, flow: Arc<Bytes>, digest: Digest) {
        let mut paced = match std::mem::take(&mut self.0) {
            Places::None => Box::default(),
            Places::One(first) => Box::new(Paced { places: vec![first], ..Paced::default() }),
            Places::Several(places) => Box::new(Paced { places: places.into_vec(), ..Paced::default() }),
            Places::Paced(paced) => paced,
        };
        paced.flows.push((flow, digest));
        self.0 = Places::Paced(paced);
    }

    fn hold(&mut self, held: Held) {
        self.0 = match std::mem::take(&mut self.0) {
            Places::None => Places::One(held),
            Places::One(first) => Places::Several([first, held].into()),
            Places::Several(before) => {
                let mut all = before.into_vec();
                all.push(held);
                Places::Several(all.into())
            }
            Places::Paced(mut paced) => {
                paced.places.push(held);
                Places::Paced(paced)
            }
        };
    }
}

#[cfg(test)]
mod tests;
