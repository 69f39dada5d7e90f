//! What all workers know of a pool together: counts, and what bounds are held against.
//!
//! It is kept with the pool's handle, so it outlives changes of DNS and reloads of other files.

use super::budget::{Budget, Window};
use super::latency::Latency;
use super::limit::Limit;
use crate::l4::counts::Count;
use dsl::tree::ir;
use std::time::Duration;

/// Why a request was sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryCause {
    /// No connection came about.
    Connect,
    /// The connection broke before the head of an answer, or what came was none.
    Reset,
    /// The endpoint refused it without having acted on it.
    Refused,
    /// No head of an answer in time.
    Timeout,
    /// The status of the answer.
    Status,
}

impl RetryCause {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Connect, Self::Reset, Self::Refused, Self::Timeout, Self::Status];

    /// The label in counts.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Status => "status",
        }
    }
}

/// What all workers know of a pool together.
#[derive(Debug)]
pub struct Shared {
    shards: Box<[Shard]>,
    budget: Budget,
    limit: Limit,
}

/// The part of one worker: alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard {
    /// Requests of the last seconds.
    recent: Window,
    /// Requests that were sent to the pool, or could not be.
    pub requests: Count,
    /// Answers of endpoints that were passed on, by class: 1xx to 5xx.
    pub answers: [Count; 5],
    /// Requests that the gateway had to answer because of the pool.
    pub failed: Count,
    /// Requests that were sent once more, by [`RetryCause`].
    pub retries: [Count; RetryCause::ALL.len()],
    /// Requests that were not sent once more because the budget was used up.
    pub exhausted: Count,
    /// Requests that were sent to a second endpoint because the first was slow …
    pub hedged: Count,
    /// … and those of them that the second one answered first.
    pub hedges_won: Count,
    /// Requests that waited for room by the pool's `limit` …
    pub queued: Count,
    /// … and requests that found none.
    pub limited: Count,
    /// Copies of requests that were sent to it by `mirror` …
    pub mirrored: Count,
    /// … that were not, because too many were under way or the body was too long …
    pub unmirrored: Count,
    /// … and that got no answer.
    pub mirror_failed: Count,
    /// How long answers took, where somebody wants to know.
    pub latency: Latency,
}

impl Shared {
    /// For so many workers.
    pub(super) fn new(workers: usize, pool: &ir::Pool) -> Self {
        Self {
            shards: (0..workers.max(1)).map(|_| Shard::default()).collect(),
            budget: Budget::default(),
            limit: Limit::new(pool.limit),
        }
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.shards.len()
    }

    /// What its `limit` is held against.
    #[inline]
    #[must_use]
    pub fn limit(&self) -> &Limit {
        &self.limit
    }

    /// The time within which so many percent of the answers of late came; `None` before there are enough of
    /// them to tell.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        Latency::percentile(self.shards.iter().map(|shard| &shard.latency), percent)
    }

    /// A worker's own part. INVARIANT: only that worker adds to it.
    #[inline]
    #[must_use]
    pub fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker % self.shards.len()]
    }

    /// The sum over all workers.
    #[must_use]
    pub fn sum(&self, pick: impl Fn(&Shard) -> &Count) -> u64 {
        self.shards.iter().map(|shard| pick(shard).get()).sum()
    }

    /// Whether a request may be sent once more: at most so many percent of the requests of the last ten
    /// seconds are, all workers together.
    #[must_use]
    pub fn may_retry(&self, percent: u8, now_ms: u64) -> bool {
        let requests = self.shards.iter().map(|shard| shard.recent.sum(now_ms)).sum();
        self.budget.take(percent, requests, now_ms)
    }
}

impl Shard {
    /// A request for the pool.
    #[inline]
    pub fn request(&self, now_ms: u64) {
        self.requests.add(1);
        self.recent.note(now_ms);
    }

    /// An endpoint's answer that is passed on.
    #[inline]
    pub fn answered(&self, status: u16) {
        // Statuses are 100 to 999; those beyond 599 are counted with the last.
        self.answers[usize::from(status / 100).clamp(1, 5) - 1].add(1);
    }
}
