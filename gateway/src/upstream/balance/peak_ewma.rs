//! `balance peak-ewma`: of two endpoints that are drawn by weight, the one where an answer is to be
//! expected sooner: the average time until the head of an answer, times the requests under way with the
//! new one among them.
//!
//! The average is that of Finagle and Linkerd: it decays over ten seconds, but follows at once what is
//! slower than itself, so that an endpoint that stalls is left alone with its next answer and not after
//! a hundred of them; unused, it decays to nothing, and the endpoint is tried again. All workers share
//! it. An endpoint of which nothing is known gets one request, and others only when it has answered.

use super::Candidates;
use super::random::{Dice, two};
use std::sync::atomic::{AtomicU64, Ordering};

/// What is known loses so much of its weight in so many milliseconds: the e-th part.
const DECAY_MS: f32 = 10_000.0;
/// What an endpoint counts for that has a request under way and has never answered, microseconds: more
/// than any that has.
const UNKNOWN: f32 = 1e15;

/// A moving average of an endpoint's times, by all workers: microseconds as `f32` in the upper half, and
/// in the lower when it was last added to, milliseconds since the process started.
#[derive(Debug, Default)]
pub(crate) struct Average(AtomicU64);

impl Average {
    /// An answer took so many microseconds.
    pub(crate) fn add(&self, took: u64, now: u64) {
        let took = took as f32;
        let with = |packed: u64| {
            let (average, since) = unpacked(packed, now);
            let keeps = (-since / DECAY_MS).exp();
            let now = if took > average { took } else { average * keeps + took * (1.0 - keeps) };
            Some(u64::from(now.to_bits()) << 32)
        };
        let stamped = |packed| with(packed).map(|average| average | u64::from(now as u32));
        // Never fails: there is always something to put in.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, stamped);
    }

    /// Microseconds; 0 where nothing is known, or not any more.
    pub(crate) fn now(&self, now: u64) -> f32 {
        let (average, since) = unpacked(self.0.load(Ordering::Relaxed), now);
        average * (-since / DECAY_MS).exp()
    }
}

/// The average as it was left, and for how many milliseconds it has been left.
fn unpacked(packed: u64, now: u64) -> (f32, f32) {
    let average = f32::from_bits((packed >> 32) as u32);
    // Clocks of workers differ by a tick: what seems to come from the future is of now. The halves wrap
    // after seven weeks, in which an endpoint was asked or is unknown.
    let since = (now as u32).wrapping_sub(packed as u32) as i32;
    (average, since.max(0) as f32)
}

/// The better of two.
pub(super) fn sooner(dice: &Dice, candidates: &Candidates<'_>) -> Option<usize> {
    let ((first, weight), second) = two(dice, candidates)?;
    let Some((second, of)) = second else { return Some(first) };
    let expected = |index: usize, weight: u64| {
        let endpoint = &candidates.members.each()[index].endpoint;
        expected(endpoint.average().now(candidates.now), endpoint.open()) / weight as f32
    };
    Some(if expected(second, of) < expected(first, weight) { second } else { first })
}

fn expected(average: f32, under_way: u64) -> f32 {
    if average < 1.0 && under_way > 0 { UNKNOWN * under_way as f32 } else { average * (under_way + 1) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_count_at_once_and_fade_slowly() {
        let average = Average::default();
        assert_eq!(average.now(5), 0.0);
        average.add(1_000, 0);
        assert_eq!(average.now(0), 1_000.0);
        average.add(100_000, 100);
        assert_eq!(average.now(100), 100_000.0, "a peak is the average");
        // Ten seconds later a good answer has weight, and the peak e^-1 of its own.
        average.add(1_000, 10_100);
        let left = 100_000.0 * (-1.0_f32).exp() + 1_000.0 * (1.0 - (-1.0_f32).exp());
        assert!((average.now(10_100) - left).abs() < 1.0, "{}", average.now(10_100));
        assert!(average.now(200_000) < 1.0, "what is not asked is forgotten");
    }

    #[test]
    fn many_good_answers_make_up_for_a_peak_within_the_time_that_is_said() {
        let average = Average::default();
        average.add(1_000_000, 0);
        (1..=3_000).for_each(|n| average.add(1_000, n * 10));
        // 30 s: e^-3 of it is left.
        let now = average.now(30_000);
        assert!((45_000.0..55_000.0).contains(&now), "{now}");
    }

    #[test]
    fn a_clock_that_is_a_tick_behind_does_no_harm() {
        let average = Average::default();
        average.add(1_000, 1_000);
        average.add(500, 900);
        assert!((999.0..=1_000.0).contains(&average.now(900)), "{}", average.now(900));
    }

    #[test]
    fn of_the_unknown_one_request_is_risked() {
        assert_eq!(expected(0.0, 0), 0.0);
        assert!(expected(0.0, 1) > expected(60e6, 100));
        assert!(expected(0.0, 1) < expected(0.0, 2));
        assert!(expected(1_000.0, 1) < expected(3_000.0, 0));
    }
}
