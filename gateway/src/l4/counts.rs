//! What happened on a route or an endpoint. Each worker adds to a shard of its own, so that counting
//! touches no line that another worker writes.

use super::End;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts with a shard for each worker.
#[derive(Debug)]
pub struct Counts {
    shards: Box<[Shard]>,
}

/// The part of one worker: alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard {
    /// Connections or flows that began.
    pub begun: Count,
    /// Connections or flows that ended.
    pub ended: Count,
    /// Bytes from clients.
    pub bytes_in: Count,
    /// Bytes to clients.
    pub bytes_out: Count,
    /// Datagrams from clients.
    pub datagrams_in: Count,
    /// Datagrams to clients.
    pub datagrams_out: Count,
    /// Datagrams that went nowhere: refused, no flow, no room.
    pub datagrams_dropped: Count,
    ends: Ends,
}

#[derive(Debug)]
struct Ends([Count; End::ALL.len()]);

impl Default for Ends {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

/// A number that one worker writes and anybody reads.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds.
    #[inline]
    pub fn add(&self, n: u64) {
        // One writer: a load and a store cost less than a locked addition.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Shard {
    /// A connection or flow ended.
    pub fn end(&self, end: End) {
        self.ended.add(1);
        self.ends.0[end as usize].add(1);
    }
}

impl Counts {
    /// For so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { shards: (0..workers.max(1)).map(|_| Shard::default()).collect() }
    }

    /// A worker's own part. INVARIANT: only that worker adds to it.
    #[inline]
    #[must_use]
    pub fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker % self.shards.len()]
    }

    /// Adds something up over all workers.
    #[must_use]
    pub fn sum(&self, what: impl Fn(&Shard) -> &Count) -> u64 {
        self.shards.iter().map(|shard| what(shard).get()).sum()
    }

    /// How many ended for a reason.
    #[must_use]
    pub fn ends(&self, end: End) -> u64 {
        self.shards.iter().map(|shard| shard.ends.0[end as usize].get()).sum()
    }
}
