//! How many requests of a pool may be sent once more: a share of those of the last ten seconds.
//!
//! INVARIANT: never more than that, whatever the count of workers. Requests are counted by each worker on
//! its own cache lines and added up when somebody asks to retry; retries are one count that all write.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a share is of, seconds.
const WINDOW: u64 = 10;
/// So many retries in that time are allowed in any case: a share of nearly nothing is nothing.
const FLOOR: u64 = 10;
/// Seconds that are kept; more than the window, so that one that is read is not being written anew.
const SLOTS: usize = 16;

/// How often something happened in each of the last seconds.
#[derive(Debug, Default)]
pub struct Window {
    /// The second in the upper half, the count in the lower one.
    slots: [AtomicU64; SLOTS],
}

/// Retries of a pool, over all workers.
#[derive(Debug, Default)]
pub struct Budget {
    retries: Window,
}

impl Window {
    /// Adds one. INVARIANT: one worker calls it.
    #[inline]
    pub fn note(&self, now_ms: u64) {
        let second = now_ms / 1000;
        let slot = &self.slots[second as usize % SLOTS];
        // One writer: a load and a store cost less than a locked addition.
        slot.store(plus_one(slot.load(Ordering::Relaxed), second), Ordering::Relaxed);
    }

    /// How often it happened within the last ten seconds.
    #[must_use]
    pub fn sum(&self, now_ms: u64) -> u64 {
        let second = now_ms / 1000;
        let recent = |slot: &AtomicU64| {
            let slot = slot.load(Ordering::Relaxed);
            if (slot >> 32) + WINDOW > second { slot & COUNT } else { 0 }
        };
        self.slots.iter().map(recent).sum()
    }
}

const COUNT: u64 = 0xffff_ffff;

fn plus_one(slot: u64, second: u64) -> u64 {
    // A second has fewer than 2^32 requests, and the process fewer than 2^32 seconds.
    if slot >> 32 == second { slot + 1 } else { second << 32 | 1 }
}

impl Budget {
    /// Takes one retry from the budget: at most so many percent of the requests of the last ten seconds,
    /// and ten in any case. `false`: it is used up.
    pub fn take(&self, percent: u8, requests: u64, now_ms: u64) -> bool {
        let second = now_ms / 1000;
        let slot = &self.retries.slots[second as usize % SLOTS];
        let add = |slot| Some(plus_one(slot, second));
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        let allowed = (requests * u64::from(percent) / 100).max(FLOOR);
        if self.retries.sum(now_ms) <= allowed {
            return true;
        }
        // Given back, unless a later second has its place by now. Two who ask for the last one at once may
        // both be refused.
        let less = |slot: u64| (slot >> 32 == second && slot & COUNT > 0).then(|| slot - 1);
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_last_ten_seconds_and_ten_in_any_case() {
        let budget = Budget::default();
        let taken = |requests, now| (0..1000).filter(|_| budget.take(20, requests, now)).count();
        assert_eq!(taken(0, 5_000), 10);
        // A fifth of 500, less what is taken already.
        assert_eq!(taken(500, 7_000), 90);
        assert_eq!(taken(500, 14_999), 0);
        // The first ten are too long ago.
        assert_eq!(taken(500, 15_000), 10);
        assert_eq!(taken(500, 300_000), 100);
    }

    #[test]
    fn a_window_forgets() {
        let window = Window::default();
        for second in 0..20 {
            window.note(second * 1000);
            window.note(second * 1000 + 999);
        }
        assert_eq!(window.sum(19_999), 20);
        assert_eq!(window.sum(24_000), 10);
        assert_eq!(window.sum(29_000), 0);
    }

    #[test]
    fn workers_do_not_multiply_the_budget() {
        let budget = Budget::default();
        let taken: usize = std::thread::scope(|scope| {
            let each = || (0..5_000).filter(|_| budget.take(10, 2_000, 1_000)).count();
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(each)).collect();
            workers.into_iter().map(|worker| worker.join().expect("a worker")).sum()
        });
        assert_eq!(taken, 200);
    }
}
