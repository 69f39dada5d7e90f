//! `limit RATE [burst N] per KEY`: token buckets, as GCRA (one time for each bucket: when it will be full
//! again).

use super::digest::Digest;
use super::store::{Clock, Since, Store};
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::time::Duration;

/// A rate with its buckets.
pub struct Rate<C: Clock = Since> {
    limiter: RateLimiter<Digest, Store<C>, C, NoOpMiddleware<Duration>>,
    burst: NonZeroU32,
}

impl Rate {
    /// So many in so many milliseconds, so many at a stroke.
    #[must_use]
    pub fn new(count: u32, per_ms: u64, burst: u32) -> Self {
        Self::with(Since::default(), count, per_ms, burst)
    }
}

impl<C: Clock> Rate<C> {
    /// The same, by this clock.
    #[must_use]
    pub fn with(clock: C, count: u32, per_ms: u64, burst: u32) -> Self {
        Self::on(Store::new(clock.clone()), clock, count, per_ms, burst)
    }

    /// With buckets that go by the same clock.
    #[must_use]
    pub fn on(store: Store<C>, clock: C, count: u32, per_ms: u64, burst: u32) -> Self {
        // Rounded up: a rate is never exceeded, not by a nanosecond a token.
        let nanos = u128::from(per_ms) * 1_000_000;
        let each = nanos.div_ceil(u128::from(count.max(1))).clamp(1, 1 << 60) as u64;
        // A bucket that takes longer than centuries to fill may as well be smaller.
        let most = (1_u64 << 62) / each;
        let burst = burst.min(u32::try_from(most).unwrap_or(u32::MAX));
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(Duration::from_nanos(each))
            .expect("a token takes a nanosecond at least")
            .allow_burst(burst);
        Self { limiter: RateLimiter::new(quota, store, clock), burst }
    }

    /// Takes a token from a bucket; `false`: there is none.
    #[must_use]
    pub fn admits(&self, digest: Digest) -> bool {
        self.limiter.check_key(&digest).is_ok()
    }

    /// Takes so many tokens from a bucket, all or none.
    ///
    /// # Errors
    /// After how long there would be so many; `None` where the bucket never holds so many.
    pub fn take(&self, digest: Digest, tokens: u64) -> Result<(), Option<Duration>> {
        // More than a bucket holds: governor would multiply beyond its numbers.
        let tokens = u32::try_from(tokens).ok().filter(|tokens| *tokens <= self.burst.get()).ok_or(None)?;
        let Some(tokens) = NonZeroU32::new(tokens) else { return Ok(()) };
        match self.limiter.check_key_n(&digest, tokens) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => Err(Some(until.wait_time_from(self.limiter.clock().now()))),
            Err(_) => Err(None),
        }
    }
}
