//! Identity across reloads: what is alive, found by what it means, and small indices for workers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Where a worker keeps what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Index into the worker's vector; small, used again when its owner is gone.
    pub index: u32,
    /// Differs between two owners of one index.
    pub stamp: u64,
}

/// What is alive, by what identifies it. Swept whenever it has doubled, so that inserting costs
/// the same however many there are.
pub(crate) struct Table<K, V> {
    known: HashMap<K, Weak<V>>,
    sweep_at: usize,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { known: HashMap::new(), sweep_at: 64 }
    }
}

impl<K: Eq + Hash, V> Table<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.known.get(key).and_then(Weak::upgrade)
    }

    pub(crate) fn insert(&mut self, key: K, value: &Arc<V>) {
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, v| v.strong_count() > 0);
            self.sweep_at = (self.known.len() * 2).max(64);
        }
        self.known.insert(key, Arc::downgrade(value));
    }

    /// Whether nothing was put in that may be alive.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Everything that is alive, in no order.
    pub(crate) fn live(&self) -> Vec<Arc<V>> {
        self.known.values().filter_map(Weak::upgrade).collect()
    }
}

/// Small indices, used again.
#[derive(Default)]
pub(super) struct Slots(Mutex<Free>);

#[derive(Default)]
struct Free {
    indices: Vec<u32>,
    next: u32,
    stamp: u64,
}

/// Holds an index until it is dropped.
pub(super) struct Slot {
    pub(super) place: Place,
    slots: Arc<Slots>,
}

impl Slots {
    pub(super) fn take(slots: &Arc<Self>) -> Slot {
        let mut free = slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.stamp += 1;
        let index = free.indices.pop().unwrap_or_else(|| {
            free.next += 1;
            free.next - 1
        });
        Slot { place: Place { index, stamp: free.stamp }, slots: Arc::clone(slots) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut free = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.indices.push(self.place.index);
    }
}
