//! Whose health is believed, and how endpoints begin.

use super::tests::by_client;
use super::*;
use crate::upstream::{Outcome, PoolHandle, Pools, testing};
use dsl::tree::ir;
use std::path::Path;
use std::sync::Arc;

/// A pool of so many endpoints with a check that is a century away, and an `eject` that ejects all of
/// them.
fn pool(endpoints: u16, with: impl FnOnce(&mut ir::Pool)) -> Arc<PoolHandle> {
    let mut pool = testing::pool("p", endpoints);
    let every_ms = 100 * 365 * 86_400_000;
    let check = ir::Check { probe: ir::Probe::Tcp, port: None, every_ms, within_ms: 1_000, rise: 1, fall: 1 };
    pool.check = Some(check);
    pool.eject = Some(ir::Eject { failures: Some(1), ratio: None, for_ms: 30_000, up_to: 100 });
    with(&mut pool);
    Pools::new(1).intern(&Arc::new(pool), Path::new(""))
}

fn every_balance() -> [Balance; 7] {
    let key = by_client;
    [
        Balance::RoundRobin,
        Balance::Random,
        Balance::LeastConnections,
        Balance::LeastRequests,
        Balance::PeakEwma,
        Balance::Hash(key()),
        Balance::Maglev(key()),
    ]
}

/// How often each is chosen, of many requests.
fn picks(pool: &PoolHandle, now: u64) -> Vec<u32> {
    let members = pool.members();
    let (mut turns, dice) = (Turns::default(), Dice::default());
    let mut picks = vec![0; members.len()];
    for n in 0..10_000_u32 {
        let spot = match &members.pool().balance {
            Balance::Hash(_) => Some(Spot::Ring(n.wrapping_mul(2_654_435_761))),
            Balance::Maglev(_) => Some(Spot::Maglev(u64::from(n.wrapping_mul(2_654_435_761)))),
            _ => None,
        };
        if let Some(index) = turns.choose(&members, spot, &dice, Tried::default(), now) {
            picks[index] += 1;
        }
    }
    picks
}

fn served(pool: &PoolHandle) -> Vec<usize> {
    picks(pool, 1_000).iter().enumerate().filter(|(_, n)| **n > 0).map(|(index, _)| index).collect()
}

fn eject(pool: &PoolHandle, index: usize) {
    pool.members().note(index, Outcome::Reset, 1_000);
}

#[test]
fn ejections_are_ignored_when_less_than_half_are_well() {
    for balance in every_balance() {
        let pool = pool(4, |pool| pool.balance = balance.clone());
        eject(&pool, 0);
        eject(&pool, 1);
        assert_eq!(served(&pool), [2, 3], "{balance:?}");
        eject(&pool, 2);
        assert_eq!(served(&pool), [0, 1, 2, 3], "{balance:?}");
    }
}

#[test]
fn checks_are_believed_unless_the_pool_says_otherwise() {
    for balance in every_balance() {
        let down = |pool: &PoolHandle, all: &[usize]| all.iter().for_each(|index| pool.members().set_up(*index, false));
        let silent = pool(4, |pool| pool.balance = balance.clone());
        down(&silent, &[0, 1]);
        eject(&silent, 2);
        assert_eq!(served(&silent), [2, 3], "{balance:?}: what checks say holds, what requests say does not");
        down(&silent, &[2, 3]);
        assert_eq!(served(&silent), [0; 0], "{balance:?}");
        let written = pool(4, |pool| (pool.balance, pool.panic_below) = (balance.clone(), Some(30)));
        down(&written, &[0, 1]);
        assert_eq!(served(&written), [2, 3], "{balance:?}: 50 %");
        down(&written, &[2]);
        assert_eq!(served(&written), [0, 1, 2, 3], "{balance:?}: 25 %");
        let never = pool(2, |pool| (pool.balance, pool.panic_below) = (balance.clone(), Some(0)));
        eject(&never, 0);
        eject(&never, 1);
        assert_eq!(served(&never), [0; 0], "{balance:?}");
    }
}

#[test]
fn an_endpoint_alone_is_asked_although_it_is_ejected() {
    let alone = pool(1, |_| {});
    eject(&alone, 0);
    assert_eq!(served(&alone), [0]);
    alone.members().set_up(0, false);
    assert_eq!(served(&alone), [0; 0]);
    let never = pool(1, |pool| pool.panic_below = Some(0));
    eject(&never, 0);
    assert_eq!(served(&never), [0; 0]);
}

#[test]
fn keys_of_the_others_stay_where_one_is_ejected() {
    for balance in [Balance::Hash(by_client()), Balance::Maglev(by_client())] {
        let pool = pool(5, |pool| pool.balance = balance.clone());
        let members = pool.members();
        let owners = || {
            let (mut turns, dice) = (Turns::default(), Dice::default());
            let spot = |n: u32| match balance {
                Balance::Hash(_) => Spot::Ring(n.wrapping_mul(2_654_435_761)),
                _ => Spot::Maglev(n.into()),
            };
            let mut of =
                |n| turns.choose(&members, Some(spot(n)), &dice, Tried::default(), 1_000).expect("one is well");
            (0..10_000).map(&mut of).collect::<Vec<_>>()
        };
        let before = owners();
        eject(&pool, 3);
        let after = owners();
        assert!(before.iter().zip(&after).all(|(a, b)| (*a == 3) == (a != b)), "{balance:?}");
        let others: std::collections::HashSet<_> =
            before.iter().zip(&after).filter(|(a, _)| **a == 3).map(|(_, b)| *b).collect();
        assert_eq!(others.len(), 4, "{balance:?}: its keys are spread over all others");
    }
}

#[test]
fn who_comes_up_begins_with_little_and_grows_evenly() {
    for balance in every_balance() {
        let slow = matches!(balance, Balance::Hash(_) | Balance::Maglev(_));
        let pool = pool(4, |pool| (pool.balance, pool.slow_start_ms) = (balance.clone(), Some(30_000)));
        let before = picks(&pool, 1_000);
        pool.members().each()[3].record().begin(100_000);
        for (after, percent) in [(0, 10), (1_000, 10), (15_000, 50), (27_000, 90), (30_000, 100), (90_000, 100)] {
            let got = f64::from(picks(&pool, 100_000 + after)[3]);
            if slow {
                assert_eq!(got, f64::from(before[3]), "{balance:?}: keys stay where they are");
                continue;
            }
            let part = f64::from(percent) / 100.0;
            let wanted = 10_000.0 * part / (3.0 + part);
            assert!((got - wanted).abs() < wanted * 0.15 + 20.0, "{balance:?} {after}: {got} for {wanted}");
        }
    }
}

#[test]
fn who_was_down_or_ejected_comes_up_slowly() {
    let pool = pool(3, |pool| pool.slow_start_ms = Some(30_000));
    let members = pool.members();
    assert!(members.each().iter().all(|member| member.since() == 0), "those of the start do not");
    eject(&pool, 1);
    assert!(!members.is_ejected(1, 31_000));
    assert_eq!(members.each()[1].since(), 31_000);
    members.set_up(2, false);
    members.set_up(2, true);
    assert!(members.each()[2].since() > 0);
}
