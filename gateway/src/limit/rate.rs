//! `limit RATE [burst N] per KEY`: token buckets, as GCRA (one time for each bucket: when it will be full
//! again).

use super::digest::Digest;
use super::local::Local;
use super::store::Store;
use governor::clock::Clock;
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A rate with its buckets.
pub struct Rate {
    limiter: RateLimiter<Digest, Buckets, Time, StateInformationMiddleware>,
    store: Arc<dyn Store>,
    pace: Pace,
}

/// How fast tokens come back, and how many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Nanoseconds that a token takes.
    pub(super) each: u64,
    /// Tokens of a full bucket.
    pub(super) burst: NonZeroU32,
}

/// What is left of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Tokens.
    pub tokens: u32,
    /// After how long it is full again.
    pub full_in: Duration,
}

impl Pace {
    /// So many in so many milliseconds, so many at a stroke.
    pub(super) fn new(count: u32, per_ms: u64, burst: u32) -> Self {
        // Rounded up: a rate is never exceeded, not by a nanosecond a token.
        let nanos = u128::from(per_ms) * 1_000_000;
        let each = nanos.div_ceil(u128::from(count.max(1))).clamp(1, 1 << 60) as u64;
        // A bucket that takes longer than centuries to fill may as well be smaller.
        let most = (1_u64 << 62) / each;
        let burst = burst.min(u32::try_from(most).unwrap_or(u32::MAX));
        Self { each, burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN) }
    }

    /// How long tokens take; no more than a bucket holds.
    pub(super) fn nanos(self, tokens: u64) -> u64 {
        self.each.saturating_mul(tokens)
    }

    /// What is left of a bucket that is full at a time.
    pub(super) fn left(self, full_at: u64, now: u64) -> Left {
        let used = full_at.saturating_sub(now);
        let left = self.nanos(self.burst.get().into()).saturating_sub(used) / self.each;
        Left { tokens: u32::try_from(left).unwrap_or(u32::MAX), full_in: Duration::from_nanos(used) }
    }
}

impl Rate {
    /// So many in so many milliseconds, so many at a stroke.
    #[must_use]
    pub fn new(count: u32, per_ms: u64, burst: u32) -> Self {
        Self::on(Arc::new(Local::<super::local::Since>::default()), count, per_ms, burst)
    }

    /// The same, with buckets in this store.
    #[must_use]
    pub fn on(store: Arc<dyn Store>, count: u32, per_ms: u64, burst: u32) -> Self {
        let pace = Pace::new(count, per_ms, burst);
        let quota = Quota::with_period(Duration::from_nanos(pace.each))
            .expect("a token takes a nanosecond at least")
            .allow_burst(pace.burst);
        let time = Time { store: Arc::clone(&store), begun: OnceLock::new() };
        let limiter = RateLimiter::new(quota, Buckets(Arc::clone(&store)), time);
        Self { limiter, store, pace }
    }

    /// Takes a token from a bucket; `false`: there is none.
    #[must_use]
    pub fn admits(&self, digest: Digest) -> bool {
        self.limiter.check_key(&digest).is_ok()
    }

    /// Takes so many tokens from a bucket, all or none; what is left of it.
    ///
    /// # Errors
    /// After how long there would be so many; `None` where the bucket never holds so many.
    pub fn take(&self, digest: Digest, tokens: u64) -> Result<Left, Option<Duration>> {
        // More than a bucket holds: governor would multiply beyond its numbers.
        let tokens = u32::try_from(tokens).ok().filter(|tokens| *tokens <= self.pace.burst.get()).ok_or(None)?;
        let Some(tokens) = NonZeroU32::new(tokens) else { return Ok(self.left(digest)) };
        match self.limiter.check_key_n(&digest, tokens) {
            Ok(Ok(state)) => Ok(self.of(&state)),
            Ok(Err(until)) => Err(Some(until.wait_time_from(self.limiter.clock().now()))),
            Err(_) => Err(None),
        }
    }

    fn of(&self, state: &StateSnapshot) -> Left {
        let tokens = state.remaining_burst_capacity();
        let used = self.pace.burst.get().saturating_sub(tokens);
        Left { tokens, full_in: Duration::from_nanos(self.pace.nanos(used.into())) }
    }

    /// What is left of a bucket of which nothing is taken.
    fn left(&self, digest: Digest) -> Left {
        let mut full_at = 0;
        self.store.step(digest, &mut |at| {
            full_at = at;
            None
        });
        self.pace.left(full_at, self.store.now())
    }
}

/// A store's time, as governor asks for it: from the first time that it asks, which is when a limiter is made, it
/// counts what it writes into buckets.
struct Time {
    store: Arc<dyn Store>,
    begun: OnceLock<()>,
}

impl Clone for Time {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), begun: self.begun.clone() }
    }
}

impl Clock for Time {
    type Instant = Duration;

    fn now(&self) -> Duration {
        match self.begun.set(()) {
            Ok(()) => Duration::ZERO,
            Err(()) => Duration::from_nanos(self.store.now()),
        }
    }
}

/// A store's buckets, as governor steps on them.
struct Buckets(Arc<dyn Store>);

impl StateStore for Buckets {
    type Key = Digest;

    fn measure_and_replace<T, F, E>(&self, key: &Digest, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut outcome = None;
        self.0.step(*key, &mut |full_at| {
            let (said, next) = match f(Some(Duration::from_nanos(full_at).into())) {
                Ok((said, next)) => (Ok(said), Some(next.as_u64())),
                Err(said) => (Err(said), None),
            };
            outcome = Some(said);
            next
        });
        outcome.expect("a store makes the step that it is given")
    }
}
