//! What an authority allows: how many orders, certificates and failed validations in what time.
//!
//! The figures are data of the authority. `limit 300/3h` of an `acme` block says the orders; for Let's Encrypt
//! there is a limit for each registered domain too. Each is held over every window of that length, wherever it
//! begins, which is stricter than the buckets that authorities fill again bit by bit.
//!
//! Renewals: an order that says which certificate it replaces (ARI, RFC 9773) counts for none of them at
//! Let's Encrypt, and for none here. Any other order for a name that has had a certificate counts as an order,
//! but not for its registered domain.

use dsl::tree::ir;
use std::collections::VecDeque;

/// Milliseconds.
pub const MINUTE: u64 = 60_000;
/// Milliseconds.
pub const HOUR: u64 = 60 * MINUTE;
/// Milliseconds.
pub const DAY: u64 = 24 * HOUR;
/// Milliseconds.
pub const WEEK: u64 = 7 * DAY;

/// So many in so many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub count: u32,
    /// In what time, milliseconds.
    pub per: u64,
}

/// What an authority allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Orders.
    pub orders: Rate,
    /// First certificates of names in one registered domain, where that is bounded.
    pub domain: Option<Rate>,
    /// Validations of one name that failed.
    pub failures: Rate,
}

impl Limits {
    /// Of Let's Encrypt, as it publishes them.
    pub const LETS_ENCRYPT: Self = Self {
        orders: Rate { count: 300, per: 3 * HOUR },
        domain: Some(Rate { count: 50, per: WEEK }),
        failures: Rate { count: 5, per: HOUR },
    };

    /// Of an authority of an `acme` block. Only Let's Encrypt is known to bound registered domains.
    #[must_use]
    pub fn of(authority: &ir::Authority) -> Self {
        let (count, per) = authority.orders;
        let domain = Self::LETS_ENCRYPT.domain.filter(|_| *authority.directory == *ir::LETS_ENCRYPT);
        Self { orders: Rate { count: count.max(1), per: per.max(1) }, domain, ..Self::LETS_ENCRYPT }
    }
}

/// When something happened, for as long as that counts: milliseconds since 1970, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent(VecDeque<u64>);

impl Spent {
    /// At these times.
    #[must_use]
    pub fn at(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        Self(times.into())
    }

    /// The times.
    pub fn times(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().copied()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts one more.
    pub fn add(&mut self, at: u64) {
        let after = self.0.partition_point(|other| *other <= at);
        self.0.insert(after, at);
    }

    /// Takes one back that was counted at that time.
    pub fn take_back(&mut self, at: u64) {
        if let Ok(index) = self.0.binary_search(&at) {
            self.0.remove(index);
        }
    }

    /// Forgets what is older than the window.
    pub fn forget(&mut self, now: u64, per: u64) {
        while self.0.front().is_some_and(|at| at.saturating_add(per) <= now) {
            self.0.pop_front();
        }
    }

    /// How many count now.
    #[must_use]
    pub fn count(&self, now: u64, per: u64) -> usize {
        self.0.len() - self.0.partition_point(|at| at.saturating_add(per) <= now)
    }

    /// When there is room for `more`: now, or when enough of it is old enough.
    #[must_use]
    pub fn room_at(&self, now: u64, rate: Rate, more: u32) -> u64 {
        let live = self.count(now, rate.per);
        let over = (live + more as usize).saturating_sub(rate.count as usize);
        if over == 0 {
            return now;
        }
        // The `over`-th oldest of those that count must be forgotten; with more than the whole at once, all.
        let index = (self.0.len() - live + over - 1).min(self.0.len().saturating_sub(1));
        self.0.get(index).map_or(now, |at| at.saturating_add(rate.per))
    }

    /// Moves all of it, because the clock was set.
    pub fn shift(&mut self, by: i64) {
        for at in &mut self.0 {
            *at = at.saturating_add_signed(by);
        }
    }

    /// What lies in the future by this clock happened now, at the latest.
    pub fn clamp(&mut self, now: u64) {
        for at in self.0.iter_mut().rev().take_while(|at| **at > now) {
            *at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate { count: 3, per: 100 };

    #[test]
    fn there_is_room_when_the_oldest_is_old_enough() {
        let mut spent = Spent::default();
        assert_eq!(spent.room_at(7, RATE, 1), 7);
        for at in [10, 20, 30] {
            spent.add(at);
        }
        assert_eq!(spent.room_at(40, RATE, 1), 110);
        assert_eq!(spent.room_at(40, RATE, 2), 120);
        assert_eq!(spent.room_at(110, RATE, 1), 110);
        assert_eq!(spent.room_at(40, RATE, 9), 130, "more than ever fit have room when nothing is left");
        spent.take_back(20);
        assert_eq!(spent.room_at(40, RATE, 1), 40);
        spent.forget(115, 100);
        assert_eq!(spent.times().collect::<Vec<_>>(), [30]);
    }

    #[test]
    fn a_clock_that_was_set_moves_it_and_the_future_is_now() {
        let mut spent = Spent::at(vec![30, 10, 20]);
        spent.shift(1_000);
        assert_eq!(spent.times().collect::<Vec<_>>(), [1_010, 1_020, 1_030]);
        spent.clamp(1_015);
        assert_eq!(spent.times().collect::<Vec<_>>(), [1_010, 1_015, 1_015]);
    }

    #[test]
    fn only_lets_encrypt_counts_by_registered_domain() {
        let authority = |directory: &str| ir::Authority {
            directory: directory.into(),
            root: None,
            eab: None,
            profile: None,
            orders: (300, 3 * HOUR),
        };
        assert_eq!(Limits::of(&authority(ir::LETS_ENCRYPT)), Limits::LETS_ENCRYPT);
        let own = Limits::of(&authority("https://ca.corp/directory"));
        assert_eq!(own, Limits { domain: None, ..Limits::LETS_ENCRYPT });
    }

    proptest! {
        /// Whoever waits until there is room never has more in a window than is allowed, and does not wait
        /// any longer than that.
        #[test]
        fn no_window_is_ever_exceeded(steps in prop::collection::vec(0_u64..60, 1..80)) {
            let (mut spent, mut now) = (Spent::default(), 0);
            for step in steps {
                now += step;
                let at = spent.room_at(now, RATE, 1);
                prop_assert!(at >= now);
                if at > now {
                    prop_assert_eq!(spent.count(at - 1, RATE.per), RATE.count as usize);
                }
                now = at;
                spent.add(now);
                prop_assert!(spent.count(now, RATE.per) <= RATE.count as usize);
            }
        }
    }
}
