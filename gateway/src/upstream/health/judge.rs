//! From good and bad checks to up and down: no clock, no socket.

use dsl::tree::ir::Check;
use std::time::Duration;

/// The shortest time between checks while it is not known how an endpoint is, unless `every` is
/// shorter.
const SOONEST: Duration = Duration::from_millis(100);

/// What the checks of an endpoint have shown.
#[derive(Debug)]
pub(super) struct Judge {
    rise: u32,
    fall: u32,
    up: bool,
    /// How many in a row spoke against `up`.
    against: u32,
    /// Whether it is known how the endpoint is: one check was good, or enough were bad.
    settled: bool,
}

impl Judge {
    pub(super) fn new(check: &Check) -> Self {
        Self { rise: check.rise.max(1), fall: check.fall.max(1), up: true, against: 0, settled: false }
    }

    /// Notes a check; what the endpoint is from now on, where that changed.
    pub(super) fn note(&mut self, good: bool) -> Option<bool> {
        self.settled |= good;
        if good == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let enough = if self.up { self.fall } else { self.rise };
        if self.against < enough {
            return None;
        }
        self.up = good;
        self.against = 0;
        self.settled = true;
        Some(good)
    }

    /// How long after the last check the next one begins.
    pub(super) fn pace(&self, every: Duration) -> Duration {
        if self.settled { every } else { (every / 10).max(SOONEST).min(every) }
    }
}
