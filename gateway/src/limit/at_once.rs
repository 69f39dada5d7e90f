//! `limit N at-once per KEY`: how many are open for each key, over all workers.
//!
//! There is an entry for each key that has one open, so the table is bounded by what is open.

use super::digest::Digest;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 64;
/// A shard whose table has more room than this, and four times what it needs, gives some back.
const ROOM: usize = 256;

/// Counts by key.
#[derive(Debug)]
pub struct AtOnce {
    most: u32,
    shards: Box<[Mutex<HashMap<Digest, u32>>]>,
}

/// A place among those that may be open at once, until it is dropped.
#[derive(Debug)]
pub struct Held {
    of: Arc<AtOnce>,
    key: Digest,
    /// How many were free after it.
    left: u32,
}

impl Held {
    /// How many places were free when it had been taken.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.left
    }
}

impl AtOnce {
    /// So many at one time for each key.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self { most, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Takes a place; `None`: there is none.
    #[must_use]
    pub fn take(of: &Arc<Self>, key: Digest) -> Option<Held> {
        Self::take_of(of, key, of.most)
    }

    /// Takes a place among so many, where the number is not always the same; `None`: there is none.
    #[must_use]
    pub fn take_of(of: &Arc<Self>, key: Digest, most: u32) -> Option<Held> {
        let mut shard = of.shard(key);
        let open = match shard.entry(key) {
            Entry::Occupied(open) if *open.get() >= most => return None,
            Entry::Occupied(mut open) => {
                *open.get_mut() += 1;
                *open.get()
            }
            Entry::Vacant(_) if most == 0 => return None,
            Entry::Vacant(none) => *none.insert(1),
        };
        Some(Held { of: Arc::clone(of), key, left: most - open })
    }

    fn shard(&self, key: Digest) -> MutexGuard<'_, HashMap<Digest, u32>> {
        self.shards[key.0[0] as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys that have one open.
    #[cfg(test)]
    pub fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().expect("no panic").len()).sum()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut shard = self.of.shard(self.key);
        let Entry::Occupied(mut open) = shard.entry(self.key) else { return };
        *open.get_mut() -= 1;
        if *open.get() == 0 {
            open.remove();
            if shard.capacity() > ROOM && shard.len() * 4 < shard.capacity() {
                let room = shard.len() * 2;
                shard.shrink_to(room);
            }
        }
    }
}
