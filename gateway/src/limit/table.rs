//! Limits in force, with what they keep and what they counted: the same for those of requests and of connections.

use super::answered::Answered;
use super::at_once::AtOnce;
use super::bytes::Bytes;
use super::digest::Secret;
use super::rate::Rate;
use super::store::{Open, local};
use crate::upstream::Table;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Limits by what makes one the same as before, so that one that did not change goes on over a reload. Asked by the
/// control plane only.
pub struct Known<I> {
    secret: Arc<Secret>,
    open: Open,
    known: Mutex<Table<I, Bucketed>>,
}

/// A limit with its buckets: one set, for all that pass it.
pub struct Bucketed {
    name: Arc<str>,
    secret: Arc<Secret>,
    /// What it keeps.
    pub kept: Kept,
    admitted: AtomicU64,
    refused: AtomicU64,
    shadowed: AtomicU64,
}

/// What a limit keeps.
pub enum Kept {
    /// Tokens.
    Rate(Rate),
    /// Tokens, some of which an answer takes.
    Answered(Arc<Answered>),
    /// Places.
    AtOnce(Arc<AtOnce>),
    /// Bytes.
    Bytes(Arc<Bytes>),
}

/// What a limit has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What it is counted under.
    pub name: Arc<str>,
    /// What passed.
    pub admitted: u64,
    /// What was refused.
    pub refused: u64,
    /// What would have been, by a limit that says `shadow`.
    pub shadowed: u64,
}

impl<I: Eq + Hash> Known<I> {
    /// None yet, with buckets in stores that are opened so.
    #[must_use]
    pub fn on(open: Open) -> Self {
        Self { secret: Arc::default(), open, known: Mutex::default() }
    }

    /// The limit that is the same as before, or else one that begins now: counted under a name, with what is made of
    /// its store.
    pub fn intern(
        &self,
        identity: I,
        name: &Arc<str>,
        keep: impl FnOnce(&dyn Fn() -> Arc<dyn super::Store>) -> Kept,
    ) -> Arc<Bucketed> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&identity).unwrap_or_else(|| {
            let kept = keep(&|| (self.open)(name));
            let (admitted, refused, shadowed) = Default::default();
            let (name, secret) = (Arc::clone(name), Arc::clone(&self.secret));
            let made = Arc::new(Bucketed { name, secret, kept, admitted, refused, shadowed });
            known.insert(identity, &made);
            made
        })
    }

    /// What limits that are in force have counted, by name; those of one name together.
    #[must_use]
    pub fn counted(&self) -> Vec<Counted> {
        let live = self.known.lock().unwrap_or_else(PoisonError::into_inner).live();
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut all: Vec<Counted> = Vec::new();
        for limit in live {
            let (admitted, refused, shadowed) = (get(&limit.admitted), get(&limit.refused), get(&limit.shadowed));
            match all.iter_mut().find(|counted| counted.name == limit.name) {
                Some(counted) => {
                    counted.admitted += admitted;
                    counted.refused += refused;
                    counted.shadowed += shadowed;
                }
                None => all.push(Counted { name: Arc::clone(&limit.name), admitted, refused, shadowed }),
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

impl<I: Eq + Hash> Default for Known<I> {
    fn default() -> Self {
        Self::on(local())
    }
}

impl<I> fmt::Debug for Known<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

impl Bucketed {
    /// What digests of its keys are made with.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Counts what passed, or did not, or would not have.
    pub fn count(&self, passes: bool, shadow: bool) {
        let count = match (passes, shadow) {
            (true, _) => &self.admitted,
            (false, true) => &self.shadowed,
            (false, false) => &self.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Bucketed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucketed").field("name", &self.name).finish_non_exhaustive()
    }
}
