//! How many wrong passwords may be tried: from each source, and against each account.
//!
//! What is tried is counted before it is verified, so that nobody tries a thousand at a stroke; what was right, or
//! was not verified after all, is given back. A source from which an account's password was right of late is not
//! held up by what others try against that account: nobody is locked out of an account by knowing its name.
//!
//! Buckets are bounded as those of limits are: where there is no room, strangers share one.

use crate::limit::{Clock, Digest, Secret, Since, Store};
use governor::state::StateStore;
use moka::sync::Cache;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Wrong passwords that a source may try at a stroke, and after how long it may try one more.
pub(super) const OF_SOURCE: (u32, Duration) = (10, Duration::from_secs(6));
/// The same of those against an account, from whatever sources.
pub(super) const OF_ACCOUNT: (u32, Duration) = (20, Duration::from_secs(30));
/// For how long a source is known to have had an account's password.
const FRIENDS_FOR: Duration = Duration::from_secs(24 * 3600);
/// How many are known.
const FRIENDS: u64 = 10_000;

/// What was tried.
pub(super) struct Damping<C: Clock = Since> {
    clock: C,
    sources: Store<C>,
    accounts: Store<C>,
    secret: Secret,
    /// Sources with the accounts whose password they had.
    friends: Cache<[Digest; 2], ()>,
}

/// One try, counted until it is known to have been right.
pub(super) struct Try<C: Clock = Since> {
    damping: Arc<Damping<C>>,
    source: Digest,
    account: Digest,
    /// Whether it is counted against its account.
    of_stranger: bool,
    wrong: bool,
}

impl Default for Damping {
    fn default() -> Self {
        Self::with(Since::default())
    }
}

impl<C: Clock> Damping<C> {
    /// By this clock.
    pub(super) fn with(clock: C) -> Self {
        Self {
            sources: Store::new(clock.clone()),
            accounts: Store::new(clock.clone()),
            clock,
            secret: Secret::default(),
            friends: Cache::builder().max_capacity(FRIENDS).time_to_live(FRIENDS_FOR).build(),
        }
    }

    /// Counts a try at the password of `name` in `users`.
    ///
    /// # Errors
    /// After how long there may be one.
    pub(super) fn begin(self: &Arc<Self>, client: IpAddr, users: &str, name: &str) -> Result<Try<C>, Duration> {
        let source = self.secret.digest_of(|hasher| match client.to_canonical() {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            // Whoever has one address of a /64 has all of it.
            IpAddr::V6(ip) => hasher.write(&ip.octets()[..8]),
        });
        let account = self.secret.digest_of(|hasher| {
            hasher.write_usize(users.len());
            hasher.write(users.as_bytes());
            hasher.write(name.as_bytes());
        });
        let of_stranger = !self.friends.contains_key(&[source, account]);
        self.count(&self.sources, source, OF_SOURCE)?;
        if of_stranger && let Err(after) = self.count(&self.accounts, account, OF_ACCOUNT) {
            self.give_back(&self.sources, source, OF_SOURCE);
            return Err(after);
        }
        Ok(Try { damping: Arc::clone(self), source, account, of_stranger, wrong: false })
    }

    /// GCRA: a bucket is the time when it will be full again.
    fn count(&self, store: &Store<C>, key: Digest, (most, each): (u32, Duration)) -> Result<(), Duration> {
        let (now, each) = (nanos(self.clock.now()), nanos(each));
        store.measure_and_replace(&key, |full_at| {
            let full_at = full_at.map_or(now, |at| at.as_u64()).max(now) + each;
            match full_at.saturating_sub(now + each * u64::from(most)) {
                0 => Ok(((), Duration::from_nanos(full_at).into())),
                wait => Err(Duration::from_nanos(wait)),
            }
        })
    }

    fn give_back(&self, store: &Store<C>, key: Digest, (_, each): (u32, Duration)) {
        let (now, each) = (nanos(self.clock.now()), nanos(each));
        let less = store.measure_and_replace(&key, |full_at| {
            let full_at = full_at.map_or(now, |at| at.as_u64()).saturating_sub(each);
            Ok::<_, std::convert::Infallible>(((), Duration::from_nanos(full_at.max(1)).into()))
        });
        match less {
            Ok(()) => {}
        }
    }
}

impl<C: Clock> Try<C> {
    /// It was wrong: it stays counted.
    pub(super) fn wrong(mut self) {
        self.wrong = true;
    }

    /// It was right: the source is known from now on.
    pub(super) fn right(self) {
        self.damping.friends.insert([self.source, self.account], ());
    }
}

impl<C: Clock> Drop for Try<C> {
    fn drop(&mut self) {
        if self.wrong {
            return;
        }
        self.damping.give_back(&self.damping.sources, self.source, OF_SOURCE);
        if self.of_stranger {
            self.damping.give_back(&self.damping.accounts, self.account, OF_ACCOUNT);
        }
    }
}

/// For more than five hundred years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A clock that is set by hand, milliseconds.
    #[derive(Clone, Debug, Default)]
    struct Hand(Arc<AtomicU64>);

    impl governor::clock::Clock for Hand {
        type Instant = Duration;

        fn now(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_source_waits_after_ten_wrong_passwords_whatever_the_accounts() {
        let clock = Hand::default();
        let damping = Arc::new(Damping::with(clock.clone()));
        let client = ip("203.0.113.7");
        for n in 0..10 {
            damping.begin(client, "users", &format!("user{n}")).expect("a try").wrong();
        }
        let wait = damping.begin(client, "users", "ann").map(drop).unwrap_err();
        assert_eq!(wait, Duration::from_secs(6));
        assert!(damping.begin(ip("203.0.113.8"), "users", "ann").is_ok(), "a neighbour");
        clock.0.store(5_999, Ordering::Relaxed);
        assert!(damping.begin(client, "users", "ann").is_err());
        clock.0.store(6_000, Ordering::Relaxed);
        damping.begin(client, "users", "ann").expect("one more").wrong();
        assert!(damping.begin(client, "users", "ann").is_err());
    }

    #[test]
    fn what_was_right_or_not_verified_is_given_back() {
        let damping = Arc::new(Damping::with(Hand::default()));
        for _ in 0..100 {
            damping.begin(ip("203.0.113.7"), "users", "ann").expect("a try").right();
            drop(damping.begin(ip("203.0.113.7"), "users", "bob").expect("a try"));
        }
        // At a stroke no more than ten, whatever becomes of them.
        let tries: Vec<_> = (0..20).filter_map(|_| damping.begin(ip("203.0.113.7"), "users", "ann").ok()).collect();
        assert_eq!(tries.len(), 10);
    }

    #[test]
    fn the_addresses_of_a_64_are_one_source() {
        let damping = Arc::new(Damping::with(Hand::default()));
        for n in 0..10 {
            damping.begin(ip(&format!("2001:db8:1:2::{n:x}")), "users", &format!("user{n}")).expect("a try").wrong();
        }
        assert!(damping.begin(ip("2001:db8:1:2:ffff::1"), "users", "ann").is_err());
        assert!(damping.begin(ip("2001:db8:1:3::1"), "users", "ann").is_ok());
        assert!(damping.begin(ip("::ffff:203.0.113.9"), "users", "ann").is_ok());
    }

    #[test]
    fn an_account_is_not_closed_to_where_its_owner_was() {
        let damping = Arc::new(Damping::with(Hand::default()));
        let home = ip("198.51.100.1");
        damping.begin(home, "users", "ann").expect("a try").right();
        for n in 0..OF_ACCOUNT.0 {
            damping.begin(ip(&format!("203.0.113.{n}")), "users", "ann").expect("a try").wrong();
        }
        assert!(damping.begin(ip("203.0.113.99"), "users", "ann").is_err(), "from anywhere else");
        assert!(damping.begin(home, "users", "ann").is_ok());
        assert!(damping.begin(ip("203.0.113.99"), "others", "ann").is_ok(), "another ann");
        // A refused try is not counted against its source.
        for _ in 0..100 {
            assert!(damping.begin(ip("203.0.113.98"), "users", "ann").is_err());
        }
        assert!(damping.begin(ip("203.0.113.98"), "users", "bob").is_ok());
    }
}
