//! `require` and `limit` of an entry: whether a connection or flow may begin, before anything is
//! dialled for it.
//!
//! A limit is one number, whatever the count of workers, and its buckets outlive reloads
//! ([`LimitTable`]). Buckets are [`crate::limit`]'s.

mod digest;

use super::End;
use crate::limit::{AtOnce, Held, Rate, Secret};
use crate::upstream::Table;
use digest::digest;
use dsl::syntax::span::Loc;
use dsl::tree::l4::{Bound, Entry, Facts, Key, Limit, Rules, Step};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The limits of all routes, so that a route that changes goes on with the buckets of its limits that
/// did not. One per process, asked by the control plane only.
#[derive(Default)]
pub struct LimitTable {
    secret: Arc<Secret>,
    known: Mutex<Table<Identity, Bucketed>>,
}

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
    secret: Arc<Secret>,
    all: Vec<(Loc, Arc<Bucketed>)>,
}

/// A limit as written, with its buckets: one set, for all entries that pass it.
struct Bucketed {
    bound: Bound,
    key: Key,
    kept: Kept,
    /// What it is counted under: its name, else the route's and what it says.
    shown: Arc<str>,
    admitted: AtomicU64,
    refused: AtomicU64,
    shadowed: AtomicU64,
}

/// What a limit has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its name, or the route's and what it says.
    pub name: Arc<str>,
    /// Connections and flows that passed.
    pub admitted: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Those that would have been, by a limit that says `shadow`.
    pub shadowed: u64,
}

enum Kept {
    Rate(Rate),
    AtOnce(Arc<AtOnce>),
}

/// What an admitted connection or flow holds for as long as it lasts: its place in each `at-once` limit.
#[derive(Debug, Default)]
pub struct Admitted(Places);

/// Most entries have one such limit at most, and a flow shall be small.
#[derive(Debug, Default)]
enum Places {
    #[default]
    None,
    One(#[allow(dead_code)] Held), // for its drop
    Several(#[allow(dead_code)] Box<[Held]>),
}

impl LimitTable {
    /// The limits of a route of a file in `dir`, by its name and what it says.
    #[must_use]
    pub fn limits(&self, route: &Arc<str>, rules: &Rules, dir: &Path) -> Limits {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(Loc, Arc<Bucketed>)> = Vec::new();
        for limit in rules.entries.iter().flat_map(|entry| &entry.steps).filter_map(limit) {
            // One written limit is one set of buckets, however many entries it stands around. A
            // policy's line may come with different arguments.
            if find(&all, limit).is_some() {
                continue;
            }
            let number = all.iter().filter(|(_, b)| b.bound == limit.bound && b.key == limit.key).count();
            let owner = match &limit.name {
                Some(name) => Owner::Named(dir.into(), Arc::clone(name)),
                None => Owner::Route(Arc::clone(route), number),
            };
            let identity = Identity { owner, bound: limit.bound, key: limit.key.clone() };
            let bucketed = known.get(&identity).unwrap_or_else(|| {
                let made = Arc::new(Bucketed::new(limit, route));
                known.insert(identity, &made);
                made
            });
            all.push((limit.loc, bucketed));
        }
        Limits { secret: Arc::clone(&self.secret), all }
    }

    /// What limits that are in force have counted, by name; those of one name together.
    #[must_use]
    pub fn counted(&self) -> Vec<Counted> {
        let live = self.known.lock().unwrap_or_else(PoisonError::into_inner).live();
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut all: Vec<Counted> = Vec::new();
        for limit in live {
            let (admitted, refused, shadowed) = (get(&limit.admitted), get(&limit.refused), get(&limit.shadowed));
            match all.iter_mut().find(|counted| counted.name == limit.shown) {
                Some(counted) => {
                    counted.admitted += admitted;
                    counted.refused += refused;
                    counted.shadowed += shadowed;
                }
                None => all.push(Counted { name: Arc::clone(&limit.shown), admitted, refused, shadowed }),
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

impl fmt::Debug for LimitTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitTable").finish_non_exhaustive()
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
                    let digest = digest(&self.secret, &limit.key, facts);
                    let held = match &bucketed.kept {
                        Kept::Rate(rate) => rate.take(digest, limit.cost.into()).is_ok().then_some(None),
                        Kept::AtOnce(at_once) => AtOnce::take(at_once, digest).map(Some),
                    };
                    match held {
                        Some(held) => {
                            bucketed.admitted.fetch_add(1, Ordering::Relaxed);
                            held.into_iter().for_each(|held| admitted.hold(held));
                        }
                        None if limit.shadow => {
                            bucketed.shadowed.fetch_add(1, Ordering::Relaxed);
                        }
                        None => {
                            bucketed.refused.fetch_add(1, Ordering::Relaxed);
                            return Err(End::Limited);
                        }
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

fn find<'a>(all: &'a [(Loc, Arc<Bucketed>)], limit: &Limit) -> Option<&'a Bucketed> {
    // A route has few.
    let same = |(loc, b): &&(Loc, Arc<Bucketed>)| *loc == limit.loc && b.bound == limit.bound && b.key == limit.key;
    all.iter().find(same).map(|(_, bucketed)| &**bucketed)
}

impl Bucketed {
    fn new(limit: &Limit, route: &str) -> Self {
        let kept = match limit.bound {
            Bound::Rate { count, per_ms, burst } => Kept::Rate(Rate::new(count, per_ms, burst)),
            Bound::AtOnce(most) => Kept::AtOnce(Arc::new(AtOnce::new(most))),
        };
        let shown = limit.name.clone().unwrap_or_else(|| format!("{route} {limit}").into());
        let (admitted, refused, shadowed) = Default::default();
        Self { bound: limit.bound, key: limit.key.clone(), kept, shown, admitted, refused, shadowed }
    }
}

impl Admitted {
    /// Whether it holds no place: then it need not be kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Places::None)
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
        };
    }
}

#[cfg(test)]
mod tests;
