//! `limit RATE [burst N] per KEY`: token buckets, as GCRA (one time for each bucket: when it will be full
//! again).

use super::digest::Digest;
use super::store::{Clock, Since, Store};
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::time::Duration;

/// A rate with its buckets.
pub(super) struct Rate<C: Clock = Since>(RateLimiter<Digest, Store<C>, C, NoOpMiddleware<Duration>>);

impl Rate {
    /// So many in so many milliseconds, so many at a stroke.
    pub(super) fn new(count: u32, per_ms: u64, burst: u32) -> Self {
        Self::with(Since::default(), count, per_ms, burst)
    }
}

impl<C: Clock> Rate<C> {
    pub(super) fn with(clock: C, count: u32, per_ms: u64, burst: u32) -> Self {
        Self::on(Store::new(clock.clone()), clock, count, per_ms, burst)
    }

    /// With buckets that go by the same clock.
    pub(super) fn on(store: Store<C>, clock: C, count: u32, per_ms: u64, burst: u32) -> Self {
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
        Self(RateLimiter::new(quota, store, clock))
    }

    /// Takes a token from a bucket; `false`: there is none.
    pub(super) fn admits(&self, digest: Digest) -> bool {
        self.0.check_key(&digest).is_ok()
    }
}
