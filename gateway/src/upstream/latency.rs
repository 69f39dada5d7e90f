//! How long a pool's answers take: a histogram for each worker, merged when somebody asks.
//!
//! Buckets grow by a quarter, so a percentile is known to within a quarter of itself, which is enough to say
//! who is late. Old answers fade: each half minute the counts are halved.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Four buckets for each doubling, from 64 µs to half a minute and beyond.
const BUCKETS: usize = 72;
/// What times are counted in, microseconds.
const UNIT_US: u64 = 64;
/// Before so many answers nothing is told.
const ENOUGH: u64 = 100;
/// Counts are halved so often, milliseconds.
const FADE_MS: u64 = 30_000;

/// The answers of one worker. INVARIANT: only that worker adds to it.
#[derive(Debug)]
pub struct Latency {
    buckets: [AtomicU32; BUCKETS],
    faded_at: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU32::new(0)), faded_at: AtomicU64::new(0) }
    }
}

impl Latency {
    /// Adds an answer that took so long.
    pub fn add(&self, took: Duration, now_ms: u64) {
        if now_ms >= self.faded_at.load(Ordering::Relaxed) + FADE_MS {
            self.faded_at.store(now_ms, Ordering::Relaxed);
            for bucket in &self.buckets {
                bucket.store(bucket.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
        }
        // No request takes 2^64 microseconds.
        let bucket = &self.buckets[bucket_of(took.as_micros() as u64 / UNIT_US)];
        bucket.store(bucket.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }

    /// The time within which so many percent of the answers came; `None` before there are enough of them to
    /// tell.
    #[must_use]
    pub fn percentile<'l>(each: impl Iterator<Item = &'l Self>, percent: u8) -> Option<Duration> {
        let mut sums = [0_u64; BUCKETS];
        for latency in each {
            for (sum, bucket) in sums.iter_mut().zip(&latency.buckets) {
                *sum += u64::from(bucket.load(Ordering::Relaxed));
            }
        }
        let all: u64 = sums.iter().sum();
        if all < ENOUGH {
            return None;
        }
        let wanted = (all * u64::from(percent)).div_ceil(100);
        let mut seen = 0;
        let reached = |sum: &u64| {
            seen += sum;
            seen >= wanted
        };
        let end = end_of(sums.iter().position(reached)?);
        Some(Duration::from_micros((end + 1) * UNIT_US))
    }
}

/// Which bucket a time falls into, in units.
fn bucket_of(units: u64) -> usize {
    if units < 4 {
        // 0 and 1 to 3 have one each.
        return units as usize;
    }
    // The two bits after the highest one say which quarter of a doubling it is.
    let doubling = 63 - units.leading_zeros() as usize;
    let quarter = (units >> (doubling - 2)) as usize & 3;
    (4 + (doubling - 2) * 4 + quarter).min(BUCKETS - 1)
}

/// The longest time of a bucket, in units.
fn end_of(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (doubling, quarter) = ((bucket - 4) / 4 + 2, (bucket - 4) as u64 % 4);
    ((4 + quarter + 1) << (doubling - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_a_quarter_wide_and_leave_no_gap() {
        for ms in 0..100_000 {
            let bucket = bucket_of(ms);
            assert!(ms <= end_of(bucket), "{ms}");
            assert!(bucket == 0 || ms > end_of(bucket - 1), "{ms}");
            assert!(end_of(bucket) <= ms + ms / 4 + 1, "{ms}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_of_all_workers_and_need_enough_answers() {
        let (one, two) = (Latency::default(), Latency::default());
        let ms = Duration::from_millis;
        let told = |percent| Latency::percentile([&one, &two].into_iter(), percent);
        for n in 0..49 {
            one.add(ms(10), n);
            two.add(ms(10), n);
        }
        assert_eq!(told(95), None);
        for _ in 0..5 {
            one.add(ms(1_000), 50);
        }
        assert_eq!(told(50), Some(Duration::from_micros(10_240)));
        assert_eq!(told(95), told(50));
        assert_eq!(told(96), Some(Duration::from_micros(1_048_576)));
        // What is old fades.
        for n in 0..10 {
            one.add(ms(10), FADE_MS * n);
            two.add(ms(10), FADE_MS * n);
        }
        assert_eq!(told(50), None);
    }
}
