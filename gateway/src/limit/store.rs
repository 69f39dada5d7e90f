//! Buckets: bounded, shared by all workers, none evicted while it says anything.
//!
//! A bucket is a key and the time when it is full again; from then on it says no more than one that
//! does not exist, and its slot is free. A key may stand in any of the 16 slots of its set. A shard
//! whose set has no room doubles, up to its bound; beyond that the key shares one of the shard's
//! overflow buckets with others, who then have the rate together. A key that finds room again takes
//! its overflow bucket's time with it. From about three quarters on some keys are refused too much.
//!
//! Nothing is ever swept: what a flood of new keys costs is a look at 16 slots each.

use super::digest::Digest;
use governor::clock;
use governor::nanos::Nanos;
use governor::state::StateStore;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

const SHARDS: usize = 64;
const WAYS: usize = 16;
/// Sets of a shard.
const SETS: usize = 128;
/// Buckets of a limit: 3 MB.
#[cfg(test)]
pub const MOST: usize = SHARDS * WAYS * SETS;
/// Overflow buckets of a shard.
const OVERFLOW: usize = 64;
/// A slot is taken over only when its bucket has been full for so long: a thread that read the clock
/// and then lost the processor still counts against it.
const GRACE: Duration = Duration::from_millis(10);

/// What time it is: zero when first asked.
pub trait Clock: clock::Clock<Instant = Duration> + Clone {}

impl<C: clock::Clock<Instant = Duration> + Clone> Clock for C {}

/// The time that has passed since it was first asked.
#[derive(Clone, Debug, Default)]
pub struct Since(Arc<OnceLock<Instant>>);

impl clock::Clock for Since {
    type Instant = Duration;

    fn now(&self) -> Duration {
        match self.0.get() {
            Some(begin) => begin.elapsed(),
            None => {
                self.0.get_or_init(Instant::now);
                // The limiter counts from here, and so does the store.
                Duration::ZERO
            }
        }
    }
}

/// The buckets of a limit.
#[derive(Clone, Debug)]
pub struct Store<C> {
    clock: C,
    shards: Arc<[Mutex<Shard>]>,
}

#[derive(Debug)]
struct Shard {
    /// A power of two of them, none at first.
    sets: Vec<[Slot; WAYS]>,
    /// When each is full.
    overflow: [u64; OVERFLOW],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: Digest,
    /// When it is full, nanoseconds; 0 for a slot that nobody had.
    full_at: u64,
}

impl Default for Shard {
    fn default() -> Self {
        Self { sets: Vec::new(), overflow: [0; OVERFLOW] }
    }
}

const EMPTY: [Slot; WAYS] = [Slot { key: Digest([0, 0]), full_at: 0 }; WAYS];

impl<C: Clock> Store<C> {
    /// None yet, by this clock.
    #[must_use]
    pub fn new(clock: C) -> Self {
        Self { clock, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Slots that exist, taken or not.
    #[cfg(test)]
    pub fn slots(&self) -> usize {
        let of = |shard: &Mutex<Shard>| shard.lock().expect("no panic").sets.len() * WAYS;
        self.shards.iter().map(of).sum()
    }
}

impl<C: Clock> StateStore for Store<C> {
    type Key = Digest;

    fn measure_and_replace<T, F, E>(&self, key: &Digest, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let now = self.clock.now();
        let free_before = nanos(now.saturating_sub(GRACE));
        let shard = &self.shards[key.0[0] as usize % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let place = shard.place(*key, free_before);
        let overflow = &mut shard.overflow[overflow_of(*key)];
        match place {
            Place::Own(set, way) => {
                let slot = &mut shard.sets[set][way];
                let (outcome, full_at) = f(Some(time(slot.full_at)))?;
                slot.full_at = full_at.as_u64();
                Ok(outcome)
            }
            Place::Free(set, way) => {
                // What it took from the overflow bucket is not forgotten.
                let before = (*overflow > nanos(now)).then(|| time(*overflow));
                let (outcome, full_at) = f(before)?;
                shard.sets[set][way] = Slot { key: *key, full_at: full_at.as_u64() };
                Ok(outcome)
            }
            Place::None => {
                let (outcome, full_at) = f(Some(time(*overflow)))?;
                *overflow = full_at.as_u64();
                Ok(outcome)
            }
        }
    }
}

/// Where a key belongs.
enum Place {
    Own(usize, usize),
    Free(usize, usize),
    None,
}

impl Shard {
    fn place(&mut self, key: Digest, free_before: u64) -> Place {
        if self.sets.is_empty() {
            self.sets.push(EMPTY);
        }
        loop {
            let set = set_of(key, self.sets.len());
            let mut free = None;
            for (way, slot) in self.sets[set].iter().enumerate() {
                if slot.key == key && slot.full_at > 0 {
                    return Place::Own(set, way);
                }
                if slot.full_at == 0 || slot.full_at < free_before {
                    free = Some(way);
                }
            }
            if let Some(way) = free {
                return Place::Free(set, way);
            }
            if self.sets.len() >= SETS {
                return Place::None;
            }
            self.double();
        }
    }

    /// Each set becomes two.
    fn double(&mut self) {
        let count = self.sets.len() * 2;
        let before = std::mem::replace(&mut self.sets, vec![EMPTY; count]);
        let mut taken = vec![0_u8; count];
        for slot in before.iter().flatten().filter(|slot| slot.full_at > 0) {
            let set = set_of(slot.key, count);
            self.sets[set][usize::from(taken[set])] = *slot;
            taken[set] += 1;
        }
    }
}

/// The set of a key among a power of two.
fn set_of(key: Digest, count: usize) -> usize {
    // Bits that did not choose the shard.
    (key.0[0] >> 32) as usize & (count - 1)
}

fn overflow_of(key: Digest) -> usize {
    key.0[1] as usize % OVERFLOW
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn time(nanos: u64) -> Nanos {
    Duration::from_nanos(nanos).into()
}
