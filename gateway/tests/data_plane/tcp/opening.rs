//! What happens before the first byte: rules, endpoints, tries.

use super::rig::*;
use crate::support::{pool, refusing};
use dsl::syntax::span::Loc;
use dsl::tree::ir::{self, Cond};
use dsl::tree::l4::{Bound, Key, KeyPart, Limit, Step, Target};
use sluice::l4::End;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

#[test]
fn the_first_entry_that_holds_decides() {
    let (mine, other) = (Accepting::new(), Accepting::new());
    let mut rules = rules(vec![pool(&[other.address]), pool(&[mine.address])]);
    rules.entries = vec![
        entry(Cond::Const(false), Target::Pool(ir::PoolIdx(0))),
        entry(Cond::Const(true), Target::Pool(ir::PoolIdx(1))),
        entry(Cond::Const(true), Target::Pool(ir::PoolIdx(0))),
    ];
    let carrier = Carrier::new(rules);
    let client = carrier.connect();
    mine.accept();
    assert!(other.is_quiet());
    drop(client);
}

#[test]
fn what_is_refused_is_reset_and_nobody_is_called() {
    let origin = Accepting::new();
    for (change, end) in [(Some(Target::Deny), End::Denied), (None, End::NoRoute)] {
        let mut rules = to(&[origin.address]);
        match change {
            Some(target) => rules.entries[0].target = target,
            None => rules.entries[0].guard = Cond::Const(false),
        }
        let carrier = Carrier::new(rules);
        is_reset(&mut carrier.connect());
        carrier.ends(end);
    }
    let mut rules = to(&[origin.address]);
    rules.entries[0].steps.push(Step::Require { cond: Cond::Const(false), loc: Loc::default() });
    let carrier = Carrier::new(rules);
    is_reset(&mut carrier.connect());
    carrier.ends(End::Denied);
    assert!(origin.is_quiet());
}

#[test]
fn shares_are_kept() {
    let mut rules = rules(vec![pool(&[echo()]), pool(&[echo()])]);
    let shares = vec![(9_000, ir::PoolIdx(0)), (1_000, ir::PoolIdx(1))];
    rules.entries[0].target = Target::Split { shares, by: None, salt: 0 };
    let carrier = Carrier::new(rules);
    for _ in 0..100 {
        round_trip(&mut carrier.connect(), "hello");
    }
    let got = carrier.route().pools[1].members().endpoint(0).counts().sum(|s| &s.begun);
    assert!((1..35).contains(&got), "{got} of 100");
}

#[test]
fn the_next_endpoint_is_tried_and_the_first_rests() {
    let (dead, origin) = (refusing(), echo());
    let carrier = Carrier::new(to(&[dead, origin]));
    for _ in 0..6 {
        round_trip(&mut carrier.connect(), "hello");
    }
    let notice = carrier.notices.recv_timeout(crate::support::PATIENCE).unwrap().to_string();
    assert_eq!(notice, format!("origin {dead} of pool api: connection refused"));
    let route = carrier.route();
    let members = route.pools[0].members();
    let of = |at: usize| members.endpoint(at).counts();
    assert_eq!(of(0).ends(End::ConnectFailed), 1, "it rested after the first");
    assert_eq!(of(1).sum(|s| &s.begun), 6);
}

#[test]
fn all_endpoints_dead_is_a_reset() {
    let carrier = Carrier::new(to(&[refusing(), refusing(), refusing()]));
    is_reset(&mut carrier.connect());
    carrier.ends(End::ConnectFailed);
}

/// An address that answers nothing: its queue is full.
fn silent() -> (SocketAddr, TcpListener, Vec<std::net::TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queued.push(stream);
    }
    (address, listener, queued)
}

#[test]
fn who_does_not_answer_is_given_up_in_time() {
    let (address, _listener, _queued) = silent();
    let mut slow = pool(&[address]);
    slow.connect_within_ms = Some(300);
    let carrier = Carrier::new(rules(vec![slow.clone()]));
    let start = Instant::now();
    is_reset(&mut carrier.connect());
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&start.elapsed()));
    carrier.ends(End::ConnectTimeout);
    // Another endpoint is as good as none lost.
    let mut both = pool(&[address, echo()]);
    both.connect_within_ms = Some(300);
    let carrier = Carrier::new(rules(vec![both]));
    for _ in 0..3 {
        round_trip(&mut carrier.connect(), "hello");
    }
}

fn limited(bound: Bound) -> Carrier {
    let mut rules = to(&[echo()]);
    let key = Key(vec![KeyPart::ClientIp]);
    let limit = Limit { bound, cost: 1, key, name: None, shadow: false, loc: Loc::default() };
    rules.entries[0].steps.push(Step::Limit(limit));
    Carrier::new(rules)
}

#[test]
fn a_limit_at_once_gives_places_back() {
    let carrier = limited(Bound::AtOnce(2));
    let (mut first, mut second) = (carrier.connect(), carrier.connect());
    round_trip(&mut first, "one");
    round_trip(&mut second, "two");
    is_reset(&mut carrier.connect());
    carrier.ends(End::Limited);
    drop(first);
    carrier.ends(End::ClientClosed);
    round_trip(&mut carrier.connect(), "three");
}

#[test]
fn a_limit_of_new_connections_holds() {
    let carrier = limited(Bound::Rate { count: 1, per_ms: 3_600_000, burst: 3 });
    for _ in 0..3 {
        round_trip(&mut carrier.connect(), "hello");
    }
    is_reset(&mut carrier.connect());
    carrier.ends(End::Limited);
    assert_eq!(carrier.route().pools[0].members().endpoint(0).counts().sum(|s| &s.begun), 3);
}
