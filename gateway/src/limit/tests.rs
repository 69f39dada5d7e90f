//! What limits admit, and what they keep.

use super::*;
use std::sync::Arc;
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

impl Clock for Hand {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn store(clock: &Hand) -> Arc<dyn Store> {
    Arc::new(Local::by(clock.clone()))
}

fn rate(clock: &Hand, count: u32, per_ms: u64, burst: u32) -> Rate {
    Rate::on(store(clock), count, per_ms, burst)
}

fn answered(clock: &Hand, count: u32, per_ms: u64, burst: u32) -> Arc<Answered> {
    Arc::new(Answered::on(store(clock), count, per_ms, burst))
}

fn digests() -> impl Fn(u32) -> Digest {
    let secret = Secret::default();
    move |n| secret.digest_of(|hasher| hasher.write_u32(n))
}

#[test]
fn a_burst_then_the_rate() {
    let (clock, digest) = (Hand::default(), digests());
    let rate = rate(&clock, 50, 1_000, 100);
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
    let rate = rate(&clock, 3, 1_000, 1);
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
        let rate = rate(&Hand::default(), count, per_ms, burst);
        assert!(rate.admits(digests()(1)), "{count} {per_ms} {burst}");
    }
}

#[test]
fn two_threads_admit_exactly_one_burst() {
    let digest = digests();
    let rate = rate(&Hand::default(), 1, 1_000, 10_000);
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
    let store = Arc::new(Local::by(clock.clone()));
    let rate = Rate::on(Arc::clone(&store) as Arc<dyn Store>, 2, 3_600_000, 2);
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
    let rate = rate(&clock, 1, 100_000, 1);
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
fn what_is_left_is_told() {
    let (clock, digest) = (Hand::default(), digests());
    let rate = rate(&clock, 10, 1_000, 20);
    let left = |tokens, ms| Left { tokens, full_in: Duration::from_millis(ms) };
    assert_eq!(rate.take(digest(1), 5), Ok(left(15, 500)));
    assert_eq!(rate.take(digest(1), 0), Ok(left(15, 500)), "nothing was taken");
    assert_eq!(rate.take(digest(1), 15), Ok(left(0, 2_000)));
    assert_eq!(rate.take(digest(1), 3), Err(Some(Duration::from_millis(300))));
    assert_eq!(rate.take(digest(1), 21), Err(None));
    clock.forward(Duration::from_millis(1_000));
    assert_eq!(rate.take(digest(1), 1), Ok(left(9, 1_100)));
}

/// 100/s burst 200, asked twice as fast by two workers, 30 s long: 200 + 100 · t and not one more.
#[test]
fn at_twice_the_rate_exactly_the_burst_and_the_rate_are_admitted() {
    let (clock, digest) = (Hand::default(), digests());
    let rate = rate(&clock, 100, 1_000, 200);
    let (step, seconds) = (Duration::from_millis(10), 30);
    let mut admitted = 0;
    for _ in 0..seconds * 100 {
        admitted += thread::scope(|scope| {
            let worker = || usize::from(rate.admits(digest(1)));
            let workers = [scope.spawn(worker), scope.spawn(worker)];
            workers.into_iter().map(|worker| worker.join().expect("no panic")).sum::<usize>()
        });
        clock.forward(step);
    }
    // Of the last hundredth nothing was asked for.
    assert_eq!(admitted, 200 + 100 * seconds - 1);
}

/// A hundred thousand invented keys a second, each once, for three seconds; a steady client that asks ten times as often
/// as it may; and each millisecond somebody who comes for the first time and should pass. How often the latter is
/// refused.
fn flooded(count: u32, per_ms: u64, burst: u32) -> f64 {
    let (clock, digest) = (Hand::default(), digests());
    let local = Arc::new(Local::by(clock.clone()));
    let rate = Rate::on(Arc::clone(&local) as Arc<dyn Store>, count, per_ms, burst);
    let (mut steady, mut refused) = (0_u64, 0_u32);
    for ms in 0..3_000_u32 {
        for n in 0..100 {
            let _ = rate.admits(digest(100_000_000 + ms * 100 + n));
        }
        if ms % 100 == 0 {
            steady += u64::from(rate.admits(digest(1)));
        }
        refused += u32::from(!rate.admits(digest(1_000_000 + ms)));
        clock.forward(Duration::from_millis(1));
    }
    let most = u64::from(burst) + 3_000 * u64::from(count) / per_ms;
    assert!((u64::from(burst)..=most).contains(&steady), "{steady} of {most}: its own bucket is nobody else's");
    assert!(local.slots() <= MOST, "and memory has a bound");
    f64::from(refused) / 3_000.0
}

/// What docs/limits.md says of who is new while others invent keys.
#[test]
fn attack_a_flood_of_invented_keys_admits_nobody_too_often() {
    // Buckets that are full again after a second: a hundred thousand of them say something at a time.
    let soon = flooded(1, 1_000, 2);
    assert!(soon <= 0.1, "{soon}");
    // After an hour: all that ever came, in 131,072 places and 4,096 shared ones.
    let late = flooded(1, 3_600_000, 1);
    assert!((0.5..0.7).contains(&late), "{late}");
}

#[test]
fn a_request_is_held_against_its_bucket_until_its_answer_is_there() {
    let (clock, digest) = (Hand::default(), digests());
    let limit = answered(&clock, 5, 60_000, 10);
    let ask = || Answered::take(&limit, digest(1), 0, 1).map(|(awaited, _)| awaited.expect("it is held"));
    // However many come at once, no more than may fail.
    let open: Vec<Awaited> = (0..100).filter_map(|_| ask().ok()).collect();
    assert_eq!(open.len(), 10);
    // None of them fails: nothing is counted.
    open.into_iter().for_each(|awaited| {
        awaited.settle(0);
    });
    assert_eq!(limit.keys(), 0, "nothing is kept of who is gone");
    let open: Vec<Awaited> = (0..100).filter_map(|_| ask().ok()).collect();
    assert_eq!(open.len(), 10);
    // Time goes by while they are under way: what they hold does not come back twice.
    clock.forward(Duration::from_secs(3_600));
    assert!(ask().is_err());
    let left: Vec<Left> = open.into_iter().map(|awaited| awaited.settle(1)).collect();
    assert_eq!(left.last().map(|left| left.tokens), Some(0));
    assert_eq!(ask().map(|_| ()), Err(Some(Duration::from_secs(12))), "one comes back in twelve seconds");
    clock.forward(Duration::from_secs(12));
    drop(ask().expect("who leaves before the answer has asked all the same"));
    assert!(ask().is_err());
    assert!(Answered::take(&limit, digest(2), 0, 11).is_err(), "more than the bucket holds");
}

#[test]
fn what_an_answer_counts_is_exact_over_time_and_threads() {
    let (clock, digest) = (Hand::default(), digests());
    let limit = answered(&clock, 10, 1_000, 20);
    let mut counted = 0;
    for _ in 0..1_000 {
        counted += thread::scope(|scope| {
            let worker = |bad: u64| {
                let limit = &limit;
                let digest = &digest;
                move || {
                    let taken = Answered::take(limit, digest(1), 0, 1);
                    taken.map_or(0, |(awaited, _)| {
                        awaited.expect("it is held").settle(bad);
                        bad
                    })
                }
            };
            let workers = [1, 0, 1].map(|bad| scope.spawn(worker(bad)));
            workers.into_iter().map(|worker| worker.join().expect("no panic")).sum::<u64>()
        });
        clock.forward(Duration::from_millis(10));
    }
    assert!(counted <= 20 + 100, "{counted} within ten seconds");
    assert!(counted >= 20 + 98, "{counted}: and no fewer, save what good answers held at the time");
}

#[test]
fn what_costs_more_by_its_answer_pays_the_rest_then() {
    let (clock, digest) = (Hand::default(), digests());
    let limit = answered(&clock, 1, 1_000, 10);
    let take = |now, later| Answered::take(&limit, digest(1), now, later);
    let (awaited, left) = take(1, 5).expect("there is room");
    assert_eq!(left.tokens, 4, "what is held is not there for others");
    assert_eq!(awaited.expect("held").settle(0).tokens, 9);
    let (awaited, _) = take(1, 5).expect("there is room");
    assert_eq!(awaited.expect("held").settle(5).tokens, 3);
    assert!(take(1, 5).is_err());
    assert!(take(3, 0).expect("nothing depends on its answer").0.is_none());
}
