//! Buckets in this process: bounded, shared by all workers, none evicted while it says anything.
//!
//! A bucket is a key and the time when it is full again; from then on it says no more than one that
//! does not exist, and its slot is free. A key may stand in any of the 16 slots of its set. A shard
//! whose set has no room doubles, up to its bound; beyond that the key shares one of the shard's
//! overflow buckets with others, who then have the rate together. A key that finds room again, and
//! may have taken of its overflow bucket, takes that one's time with it. From about three quarters on some keys are
//! refused too much.
//!
//! Nothing is ever swept: what a flood of new keys costs is a look at 16 slots each.

use super::digest::Digest;
use super::store::Store;
use std::fmt;
use std::sync::{Mutex, PoisonError};
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
const GRACE: u64 = Duration::from_millis(10).as_nanos() as u64;

/// What time it is, and the time between a reading of it and the next never runs back.
pub trait Clock: Send + Sync {
    /// Nanoseconds since it began.
    fn now(&self) -> u64;
}

/// The time that has passed since it was made.
#[derive(Debug)]
pub struct Since(Instant);

impl Default for Since {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Since {
    fn now(&self) -> u64 {
        // Longer than centuries.
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The buckets of a limit.
pub struct Local<C = Since> {
    clock: C,
    shards: Box<[Mutex<Shard>]>,
}

impl<C: Clock + Default> Default for Local<C> {
    fn default() -> Self {
        Self::by(C::default())
    }
}

impl<C> fmt::Debug for Local<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Shard {
    /// A power of two of them, none at first.
    sets: Vec<[Slot; WAYS]>,
    overflow: [Shared; OVERFLOW],
}

/// An overflow bucket.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    /// When it is full.
    full_at: u64,
    /// Who took of it since it was full: a bit for each 64th of the keys.
    who: u64,
}

impl Shared {
    /// When the bucket of a key is full that leaves this one: now, where it took nothing of it.
    fn of(&self, key: Digest) -> u64 {
        if self.who & bit_of(key) == 0 { 0 } else { self.full_at }
    }

    fn take(&mut self, key: Digest, full_at: u64, now: u64) {
        if self.full_at <= now {
            self.who = 0;
        }
        *self = Self { full_at, who: self.who | bit_of(key) };
    }
}

/// The bit by which an overflow bucket knows a key: of those that did not choose the bucket.
fn bit_of(key: Digest) -> u64 {
    1 << (key.0[1] >> 32 & 63)
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: Digest,
    /// When it is full, nanoseconds; 0 for a slot that nobody had.
    full_at: u64,
}

impl Default for Shard {
    fn default() -> Self {
        Self { sets: Vec::new(), overflow: [Shared::default(); OVERFLOW] }
    }
}

const EMPTY: [Slot; WAYS] = [Slot { key: Digest([0, 0]), full_at: 0 }; WAYS];

impl<C: Clock> Local<C> {
    /// None yet, by this clock.
    #[must_use]
    pub fn by(clock: C) -> Self {
        Self { clock, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Slots that exist, taken or not.
    #[cfg(test)]
    pub fn slots(&self) -> usize {
        let of = |shard: &Mutex<Shard>| shard.lock().expect("no panic").sets.len() * WAYS;
        self.shards.iter().map(of).sum()
    }
}

impl<C: Clock> Store for Local<C> {
    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn step(&self, key: Digest, step: &mut dyn FnMut(u64) -> Option<u64>) {
        let now = self.clock.now();
        let shard = &self.shards[key.0[0] as usize % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let place = shard.place(key, now.saturating_sub(GRACE));
        let overflow = &mut shard.overflow[overflow_of(key)];
        match place {
            Place::Own(set, way) => {
                let slot = &mut shard.sets[set][way];
                if let Some(full_at) = step(slot.full_at) {
                    slot.full_at = full_at.max(1);
                }
            }
            // What it took from the overflow bucket is not forgotten.
            Place::Free(set, way) => {
                if let Some(full_at) = step(overflow.of(key)) {
                    shard.sets[set][way] = Slot { key, full_at: full_at.max(1) };
                }
            }
            Place::None => {
                if let Some(full_at) = step(overflow.full_at) {
                    overflow.take(key, full_at, now);
                }
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
