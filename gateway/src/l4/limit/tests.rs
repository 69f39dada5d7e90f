//! What limits admit, and what they keep.

use super::*;
use crate::limit::Secret;
use dsl::syntax::span::{FileId, Span};
use dsl::tree::ir::{Cond, PoolIdx};
use dsl::tree::l4::{KeyPart, Settings, Target, Transport};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

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
