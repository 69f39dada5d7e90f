//! Who is ejected, for how long, and who may be.

use super::*;
use crate::runtime::notice;
use crate::upstream::{Members, Outcome, PoolHandle, Pools, Tried, Upstreams, testing};
use std::sync::mpsc::Receiver;

const ANSWERS: Outcome = Outcome::Answered(200);
const BUSY: Outcome = Outcome::Answered(503);

fn after(failures: u32) -> ir::Eject {
    ir::Eject { failures: Some(failures), ratio: None, for_ms: 30_000, up_to: 50 }
}

fn share(percent: u8) -> ir::Eject {
    ir::Eject { failures: None, ratio: Some((percent, 10_000)), for_ms: 30_000, up_to: 50 }
}

fn pool(endpoints: u16, eject: ir::Eject) -> ir::Pool {
    ir::Pool { eject: Some(eject), ..testing::pool("api", endpoints) }
}

fn intern(pool: ir::Pool) -> (Pools, Arc<PoolHandle>, Receiver<Notice>) {
    let (sender, notices) = notice::channel();
    let pools = Pools::new(2).telling(sender);
    let handle = pools.intern(&Arc::new(pool), Path::new(""));
    (pools, handle, notices)
}

fn told(notices: &Receiver<Notice>) -> Vec<String> {
    notices.try_iter().map(|notice| notice.to_string()).collect()
}

fn fails(members: &Members, index: usize, times: u32, now: u64) {
    (0..times).for_each(|_| members.note(index, BUSY, now));
}

fn out(members: &Members, now: u64) -> Vec<usize> {
    (0..members.len()).filter(|index| members.is_ejected(*index, now)).collect()
}

#[test]
fn so_many_failures_in_a_row_eject() {
    let (_pools, handle, notices) = intern(pool(3, after(5)));
    let members = handle.members();
    fails(&members, 1, 4, 1_000);
    members.note(1, ANSWERS, 1_000);
    fails(&members, 1, 4, 1_000);
    // The client's fault, and a stream that was not acted on, are none of the endpoint's.
    members.note(1, Outcome::Refused, 1_000);
    assert_eq!(out(&members, 1_000), [0; 0]);
    members.note(1, Outcome::Late, 1_000);
    assert_eq!(out(&members, 1_000), [1]);
    assert_eq!(
        told(&notices),
        ["endpoint 10.0.0.1:2 of pool api is ejected for 30 s: 5 failures in a row, the last: no answer in time"]
    );
    assert_eq!(out(&members, 30_999), [1]);
    assert_eq!(out(&members, 31_000), [0; 0]);
    assert_eq!(told(&notices), ["endpoint 10.0.0.1:2 of pool api gets requests again"]);
    for status in [200, 301, 404, 429, 501, 505] {
        fails(&members, 1, 4, 40_000);
        members.note(1, Outcome::Answered(status), 40_000);
        assert_eq!(out(&members, 40_000), [0; 0], "{status}");
    }
}

#[test]
fn a_call_of_grpc_fails_by_its_own_status() {
    let call = |status: &str| {
        let headers = [(http::HeaderName::from_static("grpc-status"), status.parse().unwrap())].into_iter().collect();
        Outcome::of_call(&headers)
    };
    assert_eq!((Outcome::of_call(&http::HeaderMap::new()), call("x")), (None, None));
    let fails = |status: &str| call(status).is_some_and(Outcome::failed);
    let failing: Vec<_> = (0..=16).filter(|status: &u8| fails(&status.to_string())).collect();
    assert_eq!(failing, [2, 13, 14, 15]);
    let (_pools, handle, notices) = intern(pool(3, after(1)));
    handle.members().note(0, Outcome::Called(14), 1_000);
    assert!(told(&notices)[0].ends_with("1 failure, the last: answered gRPC status 14"));
}

#[test]
fn a_share_of_the_answers_ejects_when_there_are_enough() {
    let (_pools, handle, notices) = intern(pool(3, share(50)));
    let members = handle.members();
    let half = |index: usize, pairs: u32, now| {
        (0..pairs).for_each(|_| {
            members.note(index, ANSWERS, now);
            members.note(index, BUSY, now);
        });
    };
    half(0, 9, 1_000);
    assert_eq!(out(&members, 1_000), [0; 0], "18 are too few");
    half(0, 1, 12_000);
    assert_eq!(out(&members, 12_000), [0; 0], "what is older than the window does not count");
    half(0, 9, 12_000);
    assert_eq!(out(&members, 12_000), [0]);
    assert_eq!(
        told(&notices),
        [
            "endpoint 10.0.0.1:1 of pool api is ejected for 30 s: 10 of 20 answers within 10 s failed, the last: answered 503"
        ]
    );
    // Just below the share nothing happens, however long.
    for now in (100_000..200_000).step_by(100) {
        members.note(1, ANSWERS, now);
        half(1, 1, now);
    }
    assert!(!members.is_ejected(1, 200_000));
}

#[test]
fn no_more_than_a_share_is_ejected_and_one_always_may_be() {
    let (_pools, handle, _notices) = intern(pool(5, after(1)));
    let members = handle.members();
    (0..5).for_each(|index| fails(&members, index, 3, 1_000));
    assert_eq!(out(&members, 1_000), [0, 1], "50% of 5");
    // Who was spared goes when another is back.
    fails(&members, 4, 1, 31_000);
    assert_eq!(out(&members, 31_000), [4]);
    let (_pools, handle, _notices) = intern(pool(3, ir::Eject { up_to: 10, ..after(1) }));
    (0..3).for_each(|index| fails(&handle.members(), index, 3, 1_000));
    assert_eq!(out(&handle.members(), 1_000), [0]);
}

#[test]
fn each_ejection_lasts_longer_and_calm_makes_up_for_it() {
    let (_pools, handle, _notices) = intern(pool(3, after(1)));
    let members = handle.members();
    let mut now = 1_000;
    let mut lasts = |pause: u64| {
        now += pause;
        fails(&members, 0, 1, now);
        let begin = now;
        while members.is_ejected(0, now) {
            now += 1_000;
        }
        (now - begin) / 1_000
    };
    assert_eq!([lasts(0), lasts(0), lasts(0), lasts(0), lasts(0), lasts(0)], [30, 60, 120, 240, 300, 300]);
    // Six times it was; five times as long as the first lasted forgive five of them.
    assert_eq!(lasts(150_000), 60);
    assert_eq!(lasts(3_600_000), 30);
}

#[test]
fn what_workers_count_they_count_together() {
    // Two workers, of which neither alone sees five failures.
    let (_pools, handle, notices) = intern(pool(3, after(1_000)));
    let notes = |failures: u32| {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let members = handle.members();
                scope.spawn(move || fails(&members, 2, failures, 1_000));
            }
        });
    };
    notes(499);
    assert_eq!(out(&handle.members(), 1_000), [0; 0], "998 failures");
    notes(1);
    assert_eq!(out(&handle.members(), 1_000), [2], "1000 failures");
    assert_eq!(told(&notices).len(), 1);
    // However many see that they could eject somebody, the share holds.
    let (_pools, handle, notices) = intern(pool(40, ir::Eject { up_to: 25, ..after(1) }));
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let members = handle.members();
            scope.spawn(move || (0..40).for_each(|n| fails(&members, (n + 10 * worker) % 40, 50, 1_000)));
        }
    });
    assert_eq!((out(&handle.members(), 1_000).len(), told(&notices).len()), (10, 10));
}

#[test]
fn a_reload_keeps_who_is_ejected() {
    let (pools, handle, _notices) = intern(pool(3, after(1)));
    fails(&handle.members(), 1, 1, 1_000);
    let mut changed = pool(4, after(1));
    changed.endpoints.remove(0);
    let changed = pools.intern(&Arc::new(changed), Path::new(""));
    drop(handle);
    assert_eq!(out(&changed.members(), 2_000), [0]);
    // Who came to a pool that lived has not served always; the others have.
    let since: Vec<bool> = changed.members().each().iter().map(|member| member.since() > 0).collect();
    assert_eq!(since, [false, false, true]);
    // A pool of another name makes up its own mind.
    let other = ir::Pool { name: "other".into(), ..pool(3, after(1)) };
    assert_eq!(out(&pools.intern(&Arc::new(other), Path::new("")).members(), 2_000), [0; 0]);
}

#[test]
fn who_is_ejected_returns_although_nobody_asks() {
    let (_pools, handle, notices) = intern(pool(3, ir::Eject { for_ms: 50, ..after(1) }));
    fails(&handle.members(), 0, 1, crate::runtime::ticks::process_ms());
    let next = || notices.recv_timeout(std::time::Duration::from_secs(20)).expect("a notice").to_string();
    assert!(next().contains("is ejected for 1 s"));
    assert_eq!(next(), "endpoint 10.0.0.1:1 of pool api gets requests again");
}

#[test]
fn nobody_is_asked_who_is_ejected() {
    let (_pools, handle, _notices) = intern(pool(3, after(1)));
    let members = handle.members();
    fails(&members, 1, 1, 1_000);
    let upstreams = Upstreams::default();
    let asked = |tried, now| (0..30).map(|_| upstreams.choose(&members, None, tried, now)).collect::<Vec<_>>();
    assert!(!asked(Tried::default(), 2_000).contains(&Some(1)));
    assert!(asked(Tried::default(), 31_000).contains(&Some(1)));
    fails(&members, 1, 1, 40_000);
    let mut tried = Tried::default();
    tried.add(0);
    tried.add(2);
    assert!(asked(tried, 40_000).iter().all(|index| *index == Some(1)), "it is better than nobody");
}

#[test]
fn a_check_that_finds_it_up_again_ends_an_ejection() {
    let century = 100 * 365 * 86_400_000;
    let check = ir::Check { probe: ir::Probe::Tcp, port: None, every_ms: century, within_ms: 1_000, rise: 1, fall: 1 };
    let (_pools, handle, notices) = intern(ir::Pool { check: Some(check), ..pool(3, after(1)) });
    let members = handle.members();
    let now = crate::runtime::ticks::process_ms();
    fails(&members, 0, 1, now);
    // Of another one that comes up nothing follows for this one.
    members.set_up(1, false);
    members.set_up(1, true);
    assert_eq!(out(&members, now), [0]);
    members.set_up(0, false);
    assert_eq!(out(&members, now), [0]);
    members.set_up(0, true);
    assert_eq!(out(&members, now), [0; 0]);
    assert_eq!(told(&notices).last().map(String::as_str), Some("endpoint 10.0.0.1:1 of pool api gets requests again"));
}
