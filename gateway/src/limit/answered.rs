//! `limit RATE per KEY on [401, 403]`, `cost 10 on [500..599]`: what only the answer tells is counted when it is there.
//!
//! Until then a request is held against its bucket with the most that it can come to: who asks a hundred times at once
//! what may fail ten times gets ten of them through. So a bucket never counts more than its rate says, and a key has no
//! more under way than its bucket holds.

use super::digest::Digest;
use super::rate::{Left, Pace};
use super::store::Store;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const SHARDS: usize = 64;

/// A rate of answers with its buckets.
pub struct Answered {
    store: Arc<dyn Store>,
    pace: Pace,
    /// What is held against each key: there is an entry for each that has a request under way. Whoever changes one
    /// keeps its shard until the bucket is changed too.
    held: Box<[Mutex<HashMap<Digest, u64>>]>,
}

/// What is held against a key for a request that has no answer yet. Where there never is one that is told, all of it
/// counts: who leaves before the answer has asked all the same.
#[derive(Debug)]
pub struct Awaited {
    of: Arc<Answered>,
    key: Digest,
    /// Tokens; none once it is settled.
    held: u64,
}

impl Answered {
    /// So many in so many milliseconds, so many at a stroke, with buckets in this store.
    #[must_use]
    pub fn on(store: Arc<dyn Store>, count: u32, per_ms: u64, burst: u32) -> Self {
        let held = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { store, pace: Pace::new(count, per_ms, burst), held }
    }

    /// Takes so many tokens from a bucket, and holds so many more until the answer is there; all or none.
    ///
    /// # Errors
    /// After how long there would be so many if all that is held counts; `None` where the bucket never holds so many.
    pub fn take(
        of: &Arc<Self>,
        key: Digest,
        now: u64,
        later: u64,
    ) -> Result<(Option<Awaited>, Left), Option<Duration>> {
        let pace = of.pace;
        let full = u64::from(pace.burst.get());
        let wanted = now.checked_add(later).filter(|wanted| *wanted <= full).ok_or(None)?;
        let mut held = of.held_of(key);
        let before = held.get(&key).copied().unwrap_or_default();
        let time = of.store.now();
        let mut taken = Err(None);
        of.store.step(key, &mut |full_at| {
            let base = full_at.max(time);
            let after = base.saturating_add(pace.nanos(before.saturating_add(wanted)));
            let most = time.saturating_add(pace.nanos(full));
            if after > most {
                taken = Err(Some(Duration::from_nanos(after - most)));
                return None;
            }
            taken = Ok(pace.left(after, time));
            (now > 0).then(|| base.saturating_add(pace.nanos(now)))
        });
        let left = taken?;
        if later == 0 {
            return Ok((None, left));
        }
        held.insert(key, before + later);
        drop(held);
        Ok((Some(Awaited { of: Arc::clone(of), key, held: later }), left))
    }

    fn held_of(&self, key: Digest) -> MutexGuard<'_, HashMap<Digest, u64>> {
        self.held[key.0[0] as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys against which something is held.
    #[cfg(test)]
    pub fn keys(&self) -> usize {
        self.held.iter().map(|shard| shard.lock().expect("no panic").len()).sum()
    }
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answered").field("pace", &self.pace).finish_non_exhaustive()
    }
}

impl Awaited {
    /// The answer is there: so many of the tokens count, the rest are given back. What is left then.
    pub fn settle(mut self, counts: u64) -> Left {
        self.end(counts)
    }

    fn end(&mut self, counts: u64) -> Left {
        let Answered { store, pace, .. } = &*self.of;
        let own = std::mem::take(&mut self.held);
        let counts = counts.min(own);
        let mut held = self.of.held_of(self.key);
        let mut others = 0;
        if let Entry::Occupied(mut open) = held.entry(self.key) {
            others = open.get().saturating_sub(own);
            if others == 0 {
                open.remove();
            } else {
                *open.get_mut() = others;
            }
        }
        let time = store.now();
        let mut full_at = 0;
        store.step(self.key, &mut |at| {
            full_at = at.max(time).saturating_add(pace.nanos(counts));
            (counts > 0).then_some(full_at)
        });
        pace.left(full_at.saturating_add(pace.nanos(others)), time)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if self.held > 0 {
            self.end(self.held);
        }
    }
}
