//! What is known of an endpoint's health: written by its check, read by workers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counts the changes of health, of all endpoints together.
static EPOCH: AtomicU64 = AtomicU64::new(0);

/// A number that changes whenever an endpoint comes up or goes down. Who must do something about
/// connections to endpoints that are down compares it with the number it saw last, and looks through
/// its connections only when it changed.
#[inline]
#[must_use]
pub fn health_epoch() -> u64 {
    EPOCH.load(Ordering::Acquire)
}

/// Whether an endpoint is up, by one check of it.
#[derive(Debug)]
pub struct Standing {
    up: AtomicBool,
}

impl Standing {
    /// Up until its check says otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self { up: AtomicBool::new(true) }
    }

    /// Whether it takes new connections.
    #[inline]
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Says so; `true` when that is news.
    pub fn set(&self, up: bool) -> bool {
        self.up.swap(up, Ordering::Relaxed) != up
    }

    /// Lets everybody know that something changed: last of all, when all that depends on it is in
    /// place.
    pub fn tell() {
        EPOCH.fetch_add(1, Ordering::AcqRel);
    }
}

impl Default for Standing {
    fn default() -> Self {
        Self::new()
    }
}
