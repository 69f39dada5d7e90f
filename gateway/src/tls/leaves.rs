//! Leaf certificates of the internal CA: made when first asked for, and kept for a while.

use super::InternalCa;
use moka::sync::Cache;
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::Duration;

/// A leaf is made anew after so long, well before it ends.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The leaves of a CA, bounded: whoever asks for more has them made anew.
pub(super) struct Leaves {
    ca: Arc<InternalCa>,
    kept: Cache<String, Arc<CertifiedKey>>,
}

impl Leaves {
    /// Of this CA, so many at most.
    pub(super) fn new(ca: Arc<InternalCa>, most: u64) -> Self {
        Self { ca, kept: Cache::builder().max_capacity(most).time_to_live(KEPT).build() }
    }

    /// The leaf for these names; `None` when the CA cannot make it.
    pub(super) fn of(&self, names: &[&str]) -> Option<Arc<CertifiedKey>> {
        let key = names.join(" ");
        if let Some(leaf) = self.kept.get(&key) {
            return Some(leaf);
        }
        let leaf = self.ca.issue(names)?;
        self.kept.insert(key, Arc::clone(&leaf));
        Some(leaf)
    }
}
