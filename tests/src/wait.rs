//! Waiting for something to become true: always with a deadline, never for a fixed time.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long a test waits for anything. Generous: it is only spent when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A condition variable with its mutex, for values that other threads fill.
#[derive(Debug, Default)]
pub struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    /// Starts with a value.
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    /// The value, to look at. A thread that panicked while holding it has said so already.
    pub fn get(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Changes the value and wakes who waits for it.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.get());
        self.changed.notify_all();
        result
    }

    /// Waits until `look` finds what it looks for; `None` when the time is over.
    pub fn wait<R>(&self, patience: Duration, mut look: impl FnMut(&mut T) -> Option<R>) -> Option<R> {
        let end = Instant::now() + patience;
        let mut value = self.get();
        loop {
            if let Some(found) = look(&mut value) {
                return Some(found);
            }
            let left = end.checked_duration_since(Instant::now())?;
            value = self.changed.wait_timeout(value, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

/// Asks again and again, every few milliseconds, until there is an answer.
///
/// For what gives no sign when it changes: a port that opens, a process that ends, a site that is served.
///
/// # Panics
///
/// When there is none within [`PATIENCE`].
#[track_caller]
pub fn until<R>(what: &str, look: impl FnMut() -> Option<R>) -> R {
    within(PATIENCE, look).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain: {what}"))
}

/// Like [`until`], for as long as one says; `None` when the time is over.
pub fn within<R>(patience: Duration, mut look: impl FnMut() -> Option<R>) -> Option<R> {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
