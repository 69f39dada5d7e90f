//! `limit 10MB/s per KEY`: how long bytes that were sent hold their key's next ones back.

use super::digest::Digest;
use super::store::Store;
use std::sync::Arc;
use std::time::Duration;

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// A rate of bytes with its buckets. A bucket holds one second's worth. Bytes are counted when they are
/// sent: whoever has sent more than there was waits until that is made good.
#[derive(Clone, Debug)]
pub struct Bytes {
    store: Arc<dyn Store>,
    per_second: u64,
}

impl Bytes {
    /// So many a second, with buckets in this store.
    #[must_use]
    pub fn on(store: Arc<dyn Store>, per_second: u64) -> Self {
        Self { store, per_second: per_second.max(1) }
    }

    /// The most that is sent in one piece, so that what is slow flows all the same.
    #[must_use]
    pub fn piece(&self) -> usize {
        usize::try_from(self.per_second / 10).unwrap_or(usize::MAX).clamp(512, 1 << 20)
    }

    /// Counts bytes that are sent; how long nothing more may be sent.
    #[must_use]
    pub fn sent(&self, digest: Digest, bytes: u64) -> Duration {
        let cost = u128::from(bytes) * u128::from(SECOND) / u128::from(self.per_second);
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        let now = self.store.now();
        let mut wait = 0;
        self.store.step(digest, &mut |full_at| {
            let full_at = full_at.max(now).saturating_add(cost);
            wait = full_at.saturating_sub(now).saturating_sub(SECOND);
            Some(full_at)
        });
        Duration::from_nanos(wait)
    }
}
