//! An endpoint's checks, one after the other.

use super::judge::Judge;
use super::probe::{Target, probe};
use super::standing::Standing;
use crate::runtime::notice::NoticeSender;
use dsl::tree::ir::Check;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

/// Checks an endpoint until nobody wants to know any more.
pub(super) async fn watch(
    target: Target,
    standing: Weak<Standing>,
    permits: Arc<Semaphore>,
    notices: Option<NoticeSender>,
) {
    let changed = |up: bool, reason: &str| {
        if let Some(standing) = standing.upgrade() {
            standing.change(up, reason, target.check.fall, notices.as_ref());
        }
    };
    run(&target.check, Jitter::new(), &permits, || probe(&target), changed).await;
}

/// Spreads checks, so that those of a large pool do not come all at once, and stay spread.
pub(super) struct Jitter(RandomState, u64);

impl Jitter {
    pub(super) fn new() -> Self {
        Self(RandomState::new(), 0)
    }

    /// From 0 to 1.
    fn draw(&mut self) -> f64 {
        self.1 += 1;
        f64::from((self.0.hash_one(self.1) >> 32) as u32) / f64::from(u32::MAX)
    }

    /// Before the first check.
    fn first(&mut self, pace: Duration) -> Duration {
        pace.mul_f64(self.draw())
    }

    /// Before another: nine to eleven tenths.
    fn next(&mut self, pace: Duration) -> Duration {
        pace.mul_f64(0.9 + 0.2 * self.draw())
    }
}

/// `probe` tells what is wrong; `changed` is told what the endpoint is now, and the last reason.
pub(super) async fn run<F: Future<Output = Result<(), String>>>(
    check: &Check,
    mut jitter: Jitter,
    permits: &Semaphore,
    probe: impl Fn() -> F,
    changed: impl Fn(bool, &str),
) {
    let (every, within) = (Duration::from_millis(check.every_ms), Duration::from_millis(check.within_ms));
    let mut judge = Judge::new(check);
    let mut next = Instant::now() + jitter.first(judge.pace(every));
    loop {
        sleep_until(next).await;
        let pause = jitter.next(judge.pace(every));
        next = Instant::now() + pause;
        // Where too many are under way this one is left out, and says nothing of the endpoint.
        let Ok(Ok(permit)) = timeout(pause, permits.acquire()).await else { continue };
        let outcome = timeout(within, probe()).await;
        drop(permit);
        let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer within {} ms", check.within_ms)));
        if let Some(up) = judge.note(outcome.is_ok()) {
            changed(up, &outcome.err().unwrap_or_default());
        }
    }
}
