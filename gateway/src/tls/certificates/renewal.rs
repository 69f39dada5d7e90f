//! When a certificate is renewed, and when its authority is asked about that.

use super::backoff::part;
use super::budget::{DAY, HOUR};
use super::pair::Validity;

/// Lives of fewer days are short: those are renewed at a half, others at two thirds.
const SHORT: u64 = 10 * DAY;
/// The authority is asked about a certificate twice a day, RFC 9773 section 4.3.
const ASK_EVERY: u64 = 12 * HOUR;

/// When to renew, milliseconds since 1970. `window` is what the authority suggests (ARI): from when until when.
/// Names that got theirs together do not renew together.
#[must_use]
pub fn at(name: &str, validity: Validity, window: Option<(u64, u64)>) -> u64 {
    let (from, until) = (validity.from * 1_000, validity.until * 1_000);
    let life = until.saturating_sub(from);
    let usual = if life < SHORT { life / 2 } else { life / 3 * 2 };
    // Up to a twentieth of its life earlier.
    let usual = from + usual - part(&name, life / 20);
    // A window that ends with the certificate, or after it, is of no use.
    let latest = until.saturating_sub(life / 20);
    match window {
        Some((start, end)) if start < latest => (start + part(&name, end.saturating_sub(start))).min(latest),
        Some(_) | None => usual,
    }
}

/// From when on a renewal goes before everything else: half of the time that was left for it is gone.
#[must_use]
pub fn urgent_at(renew_at: u64, validity: Validity) -> u64 {
    let until = validity.until * 1_000;
    renew_at + until.saturating_sub(renew_at) / 2
}

/// When to ask the authority again about a certificate.
#[must_use]
pub fn ask_again(name: &str, now: u64) -> u64 {
    now + ASK_EVERY - part(&(name, now), ASK_EVERY / 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid(days: u64) -> Validity {
        Validity { from: 1_000_000, until: 1_000_000 + days * 86_400 }
    }

    fn names() -> impl Iterator<Item = String> {
        (0..200).map(|n| format!("{n}.sluice.dev"))
    }

    fn day_of(at: u64) -> f64 {
        (at - 1_000_000_000) as f64 / DAY as f64
    }

    #[test]
    fn a_long_life_is_renewed_at_two_thirds_and_a_short_one_at_a_half() {
        for (days, earliest, latest) in [(90, 55.5, 60.0), (45, 27.7, 30.0), (6, 2.7, 3.0)] {
            let at: Vec<f64> = names().map(|name| day_of(at(&name, valid(days), None))).collect();
            assert!(at.iter().all(|at| (earliest..=latest).contains(at)), "{days}: {at:?}");
            let spread = at.iter().cloned().fold(0.0, f64::max) - at.iter().cloned().fold(f64::MAX, f64::min);
            assert!(spread > f64::from(days as u32) / 25.0, "{days}: {spread}");
        }
    }

    #[test]
    fn the_window_of_the_authority_goes_before_and_is_used_all_over() {
        let day = |n: u64| 1_000_000_000 + n * DAY;
        let at = |window| names().map(|name| day_of(at(&name, valid(90), Some(window)))).collect::<Vec<_>>();
        let inside = at((day(10), day(12)));
        assert!(inside.iter().all(|at| (10.0..12.0).contains(at)));
        assert!(inside.iter().any(|at| *at < 10.5) && inside.iter().any(|at| *at > 11.5));
        assert!(at((day(80), day(200))).iter().all(|at| *at <= 85.5), "never when it is nearly over");
        assert!(at((day(90), day(91))).iter().all(|at| *at < 60.0), "one that comes too late is none");
        assert!(at((day(0), day(0))).iter().all(|at| *at == 0.0), "at once, for one that was revoked");
    }

    #[test]
    fn it_is_urgent_when_half_of_the_time_is_gone() {
        assert_eq!(urgent_at(1_000_000_000 + 60 * DAY, valid(90)), 1_000_000_000 + 75 * DAY);
    }

    #[test]
    fn it_is_asked_twice_a_day() {
        let apart: Vec<u64> = names().map(|name| ask_again(&name, 0)).collect();
        assert!(apart.iter().all(|apart| (10 * HOUR..=12 * HOUR).contains(apart)));
    }
}
