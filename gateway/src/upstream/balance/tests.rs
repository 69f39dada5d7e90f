//! Who is chosen, by every `balance`.

use super::*;
use crate::upstream::{EndpointHandle, PoolHandle, Pools};
use dsl::syntax::span::Loc;
use dsl::tree::ir;
use dsl::tree::ir::HashKey;
use dsl::tree::l4::{Facts, Key, KeyPart};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// A pool of these endpoints: name, weight, whether it is a backup. It has a check that is a century
/// away.
pub(super) fn pool(balance: Balance, endpoints: &[(&str, u32, bool)]) -> Arc<PoolHandle> {
    // One that has no address has a path.
    let kind = |host: &str| match host.parse::<IpAddr>() {
        Ok(_) => ir::EndpointKind::Tcp,
        Err(_) => ir::EndpointKind::Unix,
    };
    let endpoint = |(host, weight, backup): &(&str, u32, bool)| ir::Endpoint {
        kind: kind(host),
        host: (*host).into(),
        port: 5432,
        weight: *weight,
        backup: *backup,
        loc: Loc::default(),
    };
    let mut pool = ir::Pool::new("p".into(), endpoints.iter().map(endpoint).collect(), Loc::default());
    pool.balance = balance;
    let century = 100 * 365 * 86_400_000;
    pool.check =
        Some(ir::Check { probe: ir::Probe::Tcp, port: None, every_ms: century, within_ms: 1_000, rise: 1, fall: 1 });
    Pools::new(1).intern(&Arc::new(pool), Path::new(""))
}

fn weights(balance: Balance, weights: &[u32]) -> Arc<PoolHandle> {
    let names: Vec<String> = (0..weights.len()).map(|i| format!("10.0.0.{i}")).collect();
    let all: Vec<_> = names.iter().zip(weights).map(|(name, weight)| (name.as_str(), *weight, false)).collect();
    pool(balance, &all)
}

pub(super) fn by_client() -> HashKey {
    HashKey::Connection(Key(vec![KeyPart::ClientIp]))
}

/// A worker's turns, asked about a pool as it is now.
trait Asked {
    fn ask(&mut self, pool: &PoolHandle, facts: &Facts<'_>, dice: &Dice, tried: Tried, now: u64) -> Option<usize>;
    fn turn(&mut self, pool: &PoolHandle, tried: Tried, now: u64) -> Option<usize>;
    fn rest(&mut self, pool: &PoolHandle, index: usize, now: u64);
}

impl Asked for Turns {
    fn ask(&mut self, pool: &PoolHandle, facts: &Facts<'_>, dice: &Dice, tried: Tried, now: u64) -> Option<usize> {
        let members = pool.members();
        self.choose(&members, members.spot(facts), dice, tried, now)
    }

    fn turn(&mut self, pool: &PoolHandle, tried: Tried, now: u64) -> Option<usize> {
        self.choose(&pool.members(), None, &Dice::default(), tried, now)
    }

    fn rest(&mut self, pool: &PoolHandle, index: usize, now: u64) {
        self.failed(&pool.members(), index, now);
    }
}

pub(super) fn facts(client: u32) -> Facts<'static> {
    let ip = std::net::Ipv4Addr::from_bits(client);
    Facts { client: (ip, 40_000).into(), local: ([192, 0, 2, 1], 5432).into(), sni: None, alpn: &[] }
}

fn every_balance() -> [Balance; 7] {
    [
        Balance::RoundRobin,
        Balance::Random,
        Balance::LeastConnections,
        Balance::LeastRequests,
        Balance::PeakEwma,
        Balance::Hash(by_client()),
        Balance::Maglev(by_client()),
    ]
}

/// How often each endpoint is chosen.
fn picks(pool: &PoolHandle, count: u32) -> Vec<u32> {
    let (mut turns, dice) = (Turns::default(), Dice::of(7));
    let mut picks = vec![0; pool.members().len()];
    for client in 0..count {
        let chosen = turns.ask(pool, &facts(client.wrapping_mul(2_654_435_761)), &dice, Tried::default(), 0);
        picks[chosen.expect("all are up")] += 1;
    }
    picks
}

#[test]
fn turns_hold_weights_and_are_spread() {
    let pool = weights(Balance::RoundRobin, &[5, 1, 1]);
    let mut turns = Turns::default();
    let order: Vec<_> = (0..7).filter_map(|_| turns.turn(&pool, Tried::default(), 0)).collect();
    assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn shares_follow_weights() {
    for balance in every_balance() {
        // Nobody ends a connection here, and nobody counts one: least connections takes turns.
        let chosen = picks(&weights(balance.clone(), &[4, 2, 1, 1]), 100_000);
        println!("{balance:?}: {chosen:?}");
        // A ring's shares lie within some ten percent; what is drawn within four deviations.
        let slack = match balance {
            Balance::Hash(_) => 0.25,
            Balance::Random | Balance::LeastRequests | Balance::PeakEwma => 0.04,
            _ => 0.02,
        };
        for (got, eighths) in chosen.iter().zip([4, 2, 1, 1]) {
            let wanted = 12_500.0 * f64::from(eighths);
            assert!((f64::from(*got) - wanted).abs() < wanted * slack, "{balance:?}: {chosen:?}");
        }
    }
}

#[test]
fn each_endpoint_is_tried_once() {
    for balance in every_balance() {
        let pool = weights(balance.clone(), &[1, 2, 3, 4, 5]);
        let (mut turns, dice, mut tried, mut seen) = (Turns::default(), Dice::default(), Tried::default(), Vec::new());
        while let Some(index) = turns.ask(&pool, &facts(7), &dice, tried, 0) {
            tried.add(index);
            seen.push(index);
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4], "{balance:?}");
    }
}

#[test]
fn trying_ends_in_a_pool_of_more_than_64() {
    for balance in every_balance() {
        let pool = weights(balance.clone(), &[1; 200]);
        let (mut turns, dice, mut tried) = (Turns::default(), Dice::default(), Tried::default());
        let mut tries = 0;
        while let Some(index) = turns.ask(&pool, &facts(7), &dice, tried, 0) {
            tried.add(index);
            turns.rest(&pool, index, 0);
            tries += 1;
            assert!(tries <= 64, "{balance:?}");
        }
    }
}

#[test]
fn a_failed_endpoint_rests_unless_it_is_the_last() {
    for balance in every_balance() {
        let pool = weights(balance.clone(), &[1, 1]);
        let (mut turns, dice) = (Turns::default(), Dice::default());
        let choose = |turns: &mut Turns, client, tried, now| turns.ask(&pool, &facts(client), &dice, tried, now);
        let _ = choose(&mut turns, 1, Tried::default(), 0);
        turns.rest(&pool, 0, 0);
        assert!((0..100).all(|c| choose(&mut turns, c, Tried::default(), 10) == Some(1)), "{balance:?}");
        let mut tried = Tried::default();
        tried.add(1);
        assert_eq!(choose(&mut turns, 1, tried, 10), Some(0), "{balance:?}");
        assert!((0..100).any(|c| choose(&mut turns, c, Tried::default(), REST_MS) == Some(0)), "{balance:?}");
    }
}

#[test]
fn backups_serve_when_nobody_else_does() {
    for balance in every_balance() {
        let pool = pool(balance.clone(), &[("a", 1, false), ("b", 1, true), ("c", 1, false), ("d", 1, true)]);
        let mut turns = Turns::default();
        let dice = Dice::default();
        let mut seen = |tried, now| {
            let mut seen: Vec<_> = (0..100).map(|c| turns.ask(&pool, &facts(c), &dice, tried, now)).collect();
            seen.sort_unstable();
            seen.dedup();
            seen
        };
        let none = Tried::default();
        assert_eq!(seen(none, 0), [Some(0), Some(2)], "{balance:?}");
        pool.members().set_up(0, false);
        assert_eq!(seen(none, 0), [Some(2)], "{balance:?}");
        pool.members().set_up(2, false);
        assert_eq!(seen(none, 0), [Some(1), Some(3)], "{balance:?}");
        pool.members().set_up(1, false);
        pool.members().set_up(3, false);
        assert_eq!(seen(none, 0), [None], "{balance:?}");
        pool.members().set_up(0, true);
        assert_eq!(seen(none, 0), [Some(0)], "{balance:?}");
        // Nobody checks them, and all others refused.
        (0..4).for_each(|index| pool.members().set_up(index, true));
        let mut tried = none;
        tried.add(0);
        tried.add(2);
        assert_eq!(seen(tried, 0), [Some(1), Some(3)], "{balance:?}");
    }
}

#[test]
fn a_backup_serves_while_the_others_rest() {
    let pool = pool(Balance::RoundRobin, &[("a", 1, false), ("b", 1, true)]);
    let mut turns = Turns::default();
    assert_eq!(turns.turn(&pool, Tried::default(), 0), Some(0));
    turns.rest(&pool, 0, 0);
    assert_eq!(turns.turn(&pool, Tried::default(), 10), Some(1));
    turns.rest(&pool, 1, 10);
    assert_eq!(turns.turn(&pool, Tried::default(), 20), Some(0), "both rest: the one that is no backup");
    assert_eq!(turns.turn(&pool, Tried::default(), REST_MS), Some(0));
}

#[test]
fn an_endpoint_alone_is_refused_while_it_is_down() {
    for balance in every_balance() {
        let pool = pool(balance, &[("a", 1, false)]);
        let (mut turns, dice) = (Turns::default(), Dice::default());
        assert_eq!(turns.ask(&pool, &facts(1), &dice, Tried::default(), 0), Some(0));
        pool.members().set_up(0, false);
        assert_eq!(turns.ask(&pool, &facts(1), &dice, Tried::default(), 0), None);
        assert_eq!(turns.turn(&pool, Tried::default(), 0), None);
    }
}

#[test]
fn the_fewest_connections_win_over_all_workers() {
    let pool = weights(Balance::LeastConnections, &[1, 1, 2]);
    // Two workers that know nothing of each other's turns.
    let mut workers = [Turns::default(), Turns::default()];
    let dice = Dice::default();
    let mut held = Vec::new();
    for n in 0..400 {
        let chosen = workers[n % 2].ask(&pool, &facts(0), &dice, Tried::default(), 0).expect("all are up");
        held.push(EndpointHandle::begin(pool.members().endpoint(chosen)));
    }
    let open = || pool.members().each().iter().map(|member| member.endpoint.open()).collect::<Vec<_>>();
    assert_eq!(open(), [100, 100, 200]);
    // Whoever has many gets none until the others have as many.
    held.retain(|in_use| !Arc::ptr_eq(in_use.endpoint(), pool.members().endpoint(1)));
    assert_eq!(open(), [100, 0, 200]);
    for _ in 0..100 {
        let chosen = workers[0].ask(&pool, &facts(0), &dice, Tried::default(), 0).expect("all are up");
        held.push(EndpointHandle::begin(pool.members().endpoint(chosen)));
    }
    assert_eq!(open(), [100, 100, 200]);
    drop(held);
    assert_eq!(open(), [0, 0, 0]);
}

#[test]
fn a_hash_does_not_depend_on_the_order_of_the_file() {
    for balance in [Balance::Hash(by_client()), Balance::Maglev(by_client())] {
        let one = pool(balance.clone(), &[("a", 1, false), ("b", 2, false), ("c", 3, false)]);
        let other = pool(balance, &[("c", 3, false), ("a", 1, false), ("b", 2, false)]);
        let (mut turns, dice) = ([Turns::default(), Turns::default()], Dice::default());
        for client in 0..10_000 {
            let name = |turns: &mut Turns, pool: &PoolHandle| {
                let index = turns.ask(pool, &facts(client), &dice, Tried::default(), 0).expect("all are up");
                Arc::clone(pool.members().endpoint(index).name())
            };
            assert_eq!(name(&mut turns[0], &one), name(&mut turns[1], &other));
        }
    }
}

/// Recorded from nginx 1.22 (`hash $remote_addr consistent;` in `stream`, weights 1, 2, 1, 1): who got
/// each client.
#[test]
fn the_ring_is_that_of_nginx() {
    const RECORDED: &str = "113301211120110312131103113031133013223010201011203321233020011110312300202111331111001232\
         211131030120121101100021011033003230132113311102001231211301010321313311311011301003321032\
         1111033323123101320122100332030133001233113021012311231232133302031321";
    let endpoint = |(host, port, weight): (&str, u16, u32)| ir::Endpoint {
        kind: ir::EndpointKind::Tcp,
        host: host.into(),
        port,
        weight,
        backup: false,
        loc: Loc::default(),
    };
    let endpoints = [("127.0.0.1", 29_001, 1), ("127.0.0.1", 29_002, 2), ("127.0.0.1", 29_003, 1), ("::1", 29_004, 1)];
    let mut pool = ir::Pool::new("p".into(), endpoints.into_iter().map(endpoint).collect(), Loc::default());
    pool.balance = Balance::Hash(by_client());
    let pool = Pools::new(1).intern(&Arc::new(pool), Path::new(""));
    let (mut turns, dice) = (Turns::default(), Dice::default());
    for (n, recorded) in (0_u32..).zip(RECORDED.bytes()) {
        let client = u32::from_be_bytes([127, (n * 7 % 250) as u8, (n * 31 % 250) as u8, (n % 250 + 1) as u8]);
        let chosen = turns.ask(&pool, &facts(client), &dice, Tried::default(), 0);
        assert_eq!(chosen, Some(usize::from(recorded - b'0')), "client {n}");
    }
}
