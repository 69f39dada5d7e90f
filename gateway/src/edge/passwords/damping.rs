//! How many wrong passwords may be tried: from each source, and against each account.
//!
//! What is tried is counted before it is verified, so that nobody tries a thousand at a stroke; what was right, or
//! was not verified after all, is given back. A source from which an account's password was right of late is not
//! held up by what others try against that account: nobody is locked out of an account by knowing its name.
//!
//! Buckets are bounded as those of limits are: where there is no room, strangers share one.

use crate::limit::{Digest, Local, Secret, Since, Store};
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
pub(super) struct Damping {
    sources: Arc<dyn Store>,
    accounts: Arc<dyn Store>,
    secret: Secret,
    /// Sources with the accounts whose password they had.
    friends: Cache<[Digest; 2], ()>,
}

/// One try, counted until it is known to have been right.
pub(super) struct Try {
    damping: Arc<Damping>,
    source: Digest,
    account: Digest,
    /// Whether it is counted against its account.
    of_stranger: bool,
    wrong: bool,
}

impl Default for Damping {
    fn default() -> Self {
        Self::on(Arc::new(Local::<Since>::default()), Arc::new(Local::<Since>::default()))
    }
}

impl Damping {
    /// With buckets in these stores.
    fn on(sources: Arc<dyn Store>, accounts: Arc<dyn Store>) -> Self {
        let friends = Cache::builder().max_capacity(FRIENDS).time_to_live(FRIENDS_FOR).build();
        Self { sources, accounts, secret: Secret::default(), friends }
    }

    /// Counts a try at the password of `name` in `users`.
    ///
    /// # Errors
    /// After how long there may be one.
    pub(super) fn begin(self: &Arc<Self>, client: IpAddr, users: &str, name: &str) -> Result<Try, Duration> {
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
        count(&*self.sources, source, OF_SOURCE)?;
        if of_stranger && let Err(after) = count(&*self.accounts, account, OF_ACCOUNT) {
            give_back(&*self.sources, source, OF_SOURCE);
            return Err(after);
        }
        Ok(Try { damping: Arc::clone(self), source, account, of_stranger, wrong: false })
    }
}

/// GCRA: a bucket is the time when it will be full again.
fn count(store: &dyn Store, key: Digest, (most, each): (u32, Duration)) -> Result<(), Duration> {
    let (now, each) = (store.now(), nanos(each));
    let mut counted = Ok(());
    store.step(key, &mut |full_at| {
        let full_at = full_at.max(now) + each;
        match full_at.saturating_sub(now + each * u64::from(most)) {
            0 => Some(full_at),
            wait => {
                counted = Err(Duration::from_nanos(wait));
                None
            }
        }
    });
    counted
}

fn give_back(store: &dyn Store, key: Digest, (_, each): (u32, Duration)) {
    store.step(key, &mut |full_at| Some(full_at.saturating_sub(nanos(each)).max(1)));
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Try {
    /// It was wrong: it stays counted.
    pub(super) fn wrong(mut self) {
        self.wrong = true;
    }

    /// It was right: the source is known from now on.
    pub(super) fn right(self) {
        self.damping.friends.insert([self.source, self.account], ());
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        if self.wrong {
            return;
        }
        give_back(&*self.damping.sources, self.source, OF_SOURCE);
        if self.of_stranger {
            give_back(&*self.damping.accounts, self.account, OF_ACCOUNT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Clock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A clock that is set by hand, milliseconds.
    #[derive(Clone, Debug, Default)]
    struct Hand(Arc<AtomicU64>);

    impl Clock for Hand {
        fn now(&self) -> u64 {
            self.0.load(Ordering::Relaxed) * 1_000_000
        }
    }

    fn by(clock: &Hand) -> Arc<Damping> {
        let store = || Arc::new(Local::by(clock.clone()));
        Arc::new(Damping::on(store(), store()))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_source_waits_after_ten_wrong_passwords_whatever_the_accounts() {
        let clock = Hand::default();
        clock.0.store(1_000_000, Ordering::Relaxed);
        let damping = by(&clock);
        let client = ip("203.0.113.7");
        for n in 0..10 {
            damping.begin(client, "users", &format!("user{n}")).expect("a try").wrong();
        }
        let wait = damping.begin(client, "users", "ann").map(drop).unwrap_err();
        assert_eq!(wait, Duration::from_secs(6));
        assert!(damping.begin(ip("203.0.113.8"), "users", "ann").is_ok(), "a neighbour");
        clock.0.store(1_005_999, Ordering::Relaxed);
        assert!(damping.begin(client, "users", "ann").is_err());
        clock.0.store(1_006_000, Ordering::Relaxed);
        damping.begin(client, "users", "ann").expect("one more").wrong();
        assert!(damping.begin(client, "users", "ann").is_err());
    }

    #[test]
    fn what_was_right_or_not_verified_is_given_back() {
        let clock = Hand::default();
        // A bucket that is given back all it gave is full by now; at the beginning of time it would be a moment later.
        clock.0.store(1, Ordering::Relaxed);
        let damping = by(&clock);
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
        let damping = by(&Hand::default());
        for n in 0..10 {
            damping.begin(ip(&format!("2001:db8:1:2::{n:x}")), "users", &format!("user{n}")).expect("a try").wrong();
        }
        assert!(damping.begin(ip("2001:db8:1:2:ffff::1"), "users", "ann").is_err());
        assert!(damping.begin(ip("2001:db8:1:3::1"), "users", "ann").is_ok());
        assert!(damping.begin(ip("::ffff:203.0.113.9"), "users", "ann").is_ok());
    }

    #[test]
    fn an_account_is_not_closed_to_where_its_owner_was() {
        let clock = Hand::default();
        clock.0.store(1, Ordering::Relaxed);
        let damping = by(&clock);
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
