//! What limits admit, and what they keep.

use super::*;
use crate::limit::{Digest, MOST, Store};
use dsl::syntax::span::{FileId, Span};
use dsl::tree::ir::{Cond, PoolIdx};
use dsl::tree::l4::{KeyPart, Settings, Target, Transport};
use governor::clock;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// A clock that is set.
#[derive(Clone, Debug, Default)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn forward(&self, by: Duration) {
        self.0.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }
}

impl clock::Clock for Hand {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

fn client_ip() -> Key {
    Key(vec![KeyPart::ClientIp])
}

fn facts(client: SocketAddr) -> Facts<'static> {
    Facts { client, local: ([192, 0, 2, 1], 53).into(), sni: None, alpn: &[] }
}

fn number(n: u32) -> SocketAddr {
    (Ipv4Addr::from_bits(n), 1_000).into()
}

fn loc(line: u32) -> Loc {
    Loc { file: FileId(0), span: Span { start: line, end: line + 1 } }
}

fn plain(bound: Bound, line: u32) -> Limit {
    Limit { bound, cost: 1, key: client_ip(), name: None, shadow: false, loc: loc(line) }
}

fn step(bound: Bound, line: u32) -> Step {
    Step::Limit(plain(bound, line))
}

fn rules(entries: Vec<Vec<Step>>) -> Rules {
    let entry =
        |steps| Entry { guard: Cond::Const(true), steps, target: Target::Pool(PoolIdx(0)), loc: Loc::default() };
    Rules {
        entries: entries.into_iter().map(entry).collect(),
        pools: Vec::new(),
        settings: Settings::of(Transport::Tcp),
    }
}

const fn rate(count: u32, burst: u32) -> Bound {
    Bound::Rate { count, per_ms: 1_000, burst }
}

fn digests() -> impl Fn(u32) -> Digest {
    let secret = Secret::default();
    move |n| digest(&secret, &client_ip(), &facts(number(n)))
}

#[test]
fn a_burst_then_the_rate() {
    let (clock, digest) = (Hand::default(), digests());
    let rate = Rate::with(clock.clone(), 50, 1_000, 100);
    let admitted = |n: u32| (0..n).filter(|_| rate.admits(digest(1))).count();
    assert_eq!(admitted(500), 100);
    // Twenty milliseconds a token.
    clock.forward(Duration::from_micros(19_999));
    assert_eq!(admitted(10), 0);
    clock.forward(Duration::from_micros(1));
    assert_eq!(admitted(10), 1);
    clock.forward(Duration::from_secs(1));
    assert_eq!(admitted(500), 50);
    clock.forward(Duration::from_secs(3_600));
    assert_eq!(admitted(500), 100);
    // Somebody else has a bucket of their own.
    assert!(rate.admits(digest(2)));
}

#[test]
fn the_rate_is_never_exceeded_in_the_long_run() {
    // A third of a second is no whole number of nanoseconds.
    let (clock, digest) = (Hand::default(), digests());
    let rate = Rate::with(clock.clone(), 3, 1_000, 1);
    let mut admitted = 0;
    for _ in 0..100_000 {
        admitted += u32::from(rate.admits(digest(1)));
        clock.forward(Duration::from_millis(10));
    }
    assert!((2_900..=3_001).contains(&admitted), "{admitted} in 1000 s");
}

#[test]
fn great_numbers_do_not_overflow() {
    let day = 86_400_000;
    for (count, per_ms, burst) in [(1, day * 365, u32::MAX), (u32::MAX, 1, u32::MAX), (1, u64::MAX, 1), (0, 0, 0)] {
        let rate = Rate::with(Hand::default(), count, per_ms, burst);
        assert!(rate.admits(digests()(1)), "{count} {per_ms} {burst}");
    }
}

#[test]
fn two_threads_admit_exactly_one_burst() {
    let digest = digests();
    let rate = Rate::with(Hand::default(), 1, 1_000, 10_000);
    let admitted: usize = thread::scope(|scope| {
        let count = || (0..20_000).filter(|_| rate.admits(digest(7))).count();
        let threads = [scope.spawn(count), scope.spawn(count)];
        threads.into_iter().map(|t| t.join().expect("no panic")).sum()
    });
    assert_eq!(admitted, 10_000);
}

#[test]
fn two_threads_hold_exactly_as_many_as_may_be_open() {
    let digest = digests();
    let at_once = Arc::new(AtOnce::new(1_000));
    let held: Vec<Held> = thread::scope(|scope| {
        let take = || (0..2_000).filter_map(|_| AtOnce::take(&at_once, digest(7))).collect::<Vec<_>>();
        let threads = [scope.spawn(take), scope.spawn(take)];
        threads.into_iter().flat_map(|t| t.join().expect("no panic")).collect()
    });
    assert_eq!(held.len(), 1_000);
    assert!(AtOnce::take(&at_once, digest(8)).is_some());
    drop(held);
    assert_eq!(at_once.keys(), 0, "nothing is kept of who is gone");
    assert!(AtOnce::take(&Arc::new(AtOnce::new(0)), digest(1)).is_none());
}

#[test]
fn a_million_keys_take_no_more_room_and_evict_nobody() {
    let (clock, digest) = (Hand::default(), digests());
    let store = Store::new(clock.clone());
    let rate = Rate::on(store.clone(), clock.clone(), 2, 3_600_000, 2);
    let admits = |n: u32| rate.admits(digest(n));
    // A client that was there before, and has used up what it may.
    assert!(admits(0) && admits(0) && !admits(0));
    let admitted = (1..=1_000_000).filter(|n| admits(*n)).count();
    assert_eq!(store.slots(), MOST);
    assert!(!admits(0), "its bucket was not taken from it");
    // Each has one bucket, and those without room share 4096 more: never more than they could fill.
    assert!(admitted <= MOST + 2 * 4_096, "{admitted}");
    assert!(admitted > MOST * 7 / 10, "{admitted}");
    // When the buckets are full again there is room for all others.
    clock.forward(Duration::from_secs(3_601));
    assert!(admits(0) && admits(0) && !admits(0));
    assert!((2_000_000..2_010_000).all(admits));
    assert_eq!(store.slots(), MOST);
}

#[test]
fn who_leaves_the_overflow_takes_along_what_it_used() {
    let (clock, digest) = (Hand::default(), digests());
    let store = Store::new(clock.clone());
    let rate = Rate::on(store, clock.clone(), 1, 100_000, 1);
    let admits = |n: u32| rate.admits(digest(n));
    assert!((0..1_000_000).filter(|n| admits(*n)).count() > MOST / 2);
    // The overflow buckets are full again; the slots, whose grace is not over, are not free yet.
    clock.forward(Duration::from_millis(100_005));
    let late: Vec<u32> = (2_000_000..2_000_100).filter(|n| admits(*n)).collect();
    assert!(!late.is_empty());
    // Now there is room for everybody.
    clock.forward(Duration::from_millis(15));
    assert!((3_000_000..3_001_000).any(admits));
    assert!(late.iter().all(|n| !admits(*n)), "one in a hundred seconds");
}

#[test]
fn steps_are_passed_as_written() {
    let table = LimitTable::default();
    let denied = Step::Require { cond: Cond::Const(false), loc: loc(9) };
    let rules = rules(vec![
        vec![step(Bound::AtOnce(2), 1), step(rate(1, 3), 2)],
        vec![step(Bound::AtOnce(2), 1), denied],
        vec![step(rate(1, 1), 7), step(Bound::AtOnce(0), 8)],
        vec![],
    ]);
    let limits = table.limits(&"tcp :1".into(), &rules, Path::new("sites"));
    let admit = |entry: usize, n| limits.admit(&rules.entries[entry], &facts(number(n)));
    let first = admit(0, 1).expect("one");
    let _second = admit(0, 1).expect("two");
    assert_eq!(admit(0, 1).expect_err("three at once"), End::Limited);
    drop(first);
    let third = admit(0, 1).expect("the bucket holds three");
    drop(third);
    assert_eq!(admit(0, 1).expect_err("the bucket is empty"), End::Limited);
    // What was refused gave its place back.
    assert_eq!(admit(1, 1).expect_err("a require"), End::Denied);
    assert_eq!(admit(1, 1).expect_err("a require"), End::Denied);
    assert_eq!(admit(2, 1).expect_err("none at once"), End::Limited);
    assert!(admit(3, 1).is_ok());
    assert!(admit(0, 2).is_ok(), "another client");
}

#[test]
fn a_written_limit_is_one_set_of_buckets_and_survives_a_reload() {
    let table = LimitTable::default();
    let name: Arc<str> = "tcp :1".into();
    let before = rules(vec![vec![step(rate(1, 2), 1)], vec![step(rate(1, 2), 1)], vec![step(rate(1, 2), 5)]]);
    let limits = table.limits(&name, &before, Path::new("sites"));
    let admit =
        |limits: &Limits, rules: &Rules, entry: usize| limits.admit(&rules.entries[entry], &facts(number(1))).is_ok();
    // The first two entries stand in the block that the limit is written in.
    assert!(admit(&limits, &before, 0) && admit(&limits, &before, 1));
    assert!(!admit(&limits, &before, 0) && !admit(&limits, &before, 1));
    assert!(admit(&limits, &before, 2));
    // A line was added above, and an entry is gone.
    let after = rules(vec![vec![step(rate(1, 2), 11)], vec![step(rate(1, 3), 12)]]);
    let reloaded = table.limits(&name, &after, Path::new("sites"));
    assert!(!admit(&reloaded, &after, 0), "the bucket is as empty as it was");
    assert!(admit(&reloaded, &after, 1), "this limit is a new one");
    // Another route has its own.
    let other = table.limits(&"tcp :2".into(), &after, Path::new("sites"));
    assert!(admit(&other, &after, 0));
    // An entry of another route is not known here.
    assert!(!admit(&reloaded, &before, 2));
}

#[test]
fn clients_are_told_apart_by_address_and_network() {
    let secret = Secret::default();
    let digest = |key: &Key, client: SocketAddr| super::digest(&secret, key, &facts(client));
    let v6 = |text: &str| SocketAddr::from((text.parse::<Ipv6Addr>().expect("an address"), 1));
    let ip = client_ip();
    assert_eq!(digest(&ip, v6("2001:db8::1")), digest(&ip, v6("2001:db8::ffff:2")));
    assert_ne!(digest(&ip, v6("2001:db8::1")), digest(&ip, v6("2001:db8:0:1::1")));
    assert_eq!(digest(&ip, v6("::ffff:0.0.0.7")), digest(&ip, number(7)));
    let connection = Key(vec![KeyPart::Connection]);
    assert_ne!(digest(&connection, v6("2001:db8::1")), digest(&connection, v6("2001:db8::2")));
    assert_ne!(
        super::digest(&Secret::default(), &ip, &facts(number(7))),
        digest(&ip, number(7)),
        "a secret of the process"
    );
}

#[test]
fn limits_of_one_name_share_their_buckets_within_a_folder() {
    let table = LimitTable::default();
    let named = |line| Step::Limit(Limit { name: Some("logins".into()), ..plain(rate(1, 3), line) });
    let rules = rules(vec![vec![named(1)]]);
    let of = |route: &str, dir: &str| table.limits(&route.into(), &rules, Path::new(dir));
    let (ssh, sftp, theirs) = (of("tcp :22", "sites"), of("tcp :23", "sites"), of("tcp :24", "sites/globex"));
    let admit = |limits: &Limits| limits.admit(&rules.entries[0], &facts(number(1))).is_ok();
    assert!(admit(&ssh) && admit(&sftp) && admit(&ssh));
    assert!(!admit(&ssh) && !admit(&sftp), "three for both");
    assert!(admit(&theirs), "nobody counts in another tenant's");
    let counted = table.counted();
    let [all] = counted.as_slice() else { panic!("{counted:?}") };
    assert_eq!((&*all.name, all.admitted, all.refused, all.shadowed), ("logins", 4, 2, 0));
}

#[test]
fn what_costs_more_takes_more_and_a_shadow_refuses_nobody() {
    let table = LimitTable::default();
    let dear = Step::Limit(Limit { cost: 4, ..plain(rate(1, 10), 1) });
    let shadow = Step::Limit(Limit { shadow: true, ..plain(rate(1, 1), 2) });
    let places = Step::Limit(Limit { shadow: true, ..plain(Bound::AtOnce(1), 3) });
    let rules = rules(vec![vec![dear], vec![shadow, places]]);
    let limits = table.limits(&"tcp :1".into(), &rules, Path::new("sites"));
    let admit = |entry: usize| limits.admit(&rules.entries[entry], &facts(number(1)));
    assert!(admit(0).is_ok() && admit(0).is_ok());
    assert_eq!(admit(0).expect_err("two of ten are left, four are asked for"), End::Limited);
    let open: Vec<Admitted> = (0..3).map(|_| admit(1).expect("nobody is refused")).collect();
    let counted = table.counted();
    let of = |text: &str| counted.iter().find(|c| c.name.contains(text)).expect("it is counted");
    assert_eq!((of("burst 1 ").admitted, of("burst 1 ").shadowed), (1, 2));
    assert_eq!((of("at-once").admitted, of("at-once").shadowed), (1, 2));
    assert_eq!((of("cost 4").admitted, of("cost 4").refused), (2, 1));
    assert_eq!(open.iter().filter(|held| !held.is_empty()).count(), 1, "who only is counted holds no place");
}
