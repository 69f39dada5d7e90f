//! What the hashes are worth, in the figures of the Maglev paper (section 5.3): how unequal the shares
//! are, and how many keys move that need not when an endpoint goes and comes back. The test asserts
//! bounds; with `--nocapture` it prints the table of docs/l4.md.

use super::maglev::{SLOTS, Table};
use super::ring::Ring;
use super::tests::{by_client, pool};
use crate::upstream::PoolHandle;
use dsl::tree::ir::Balance;
use std::sync::Arc;

/// Slots that are measured where the pool itself would have more: the paper's own case.
type Size = Option<usize>;

/// Who has each of many keys, evenly spread.
fn owners(pool: &PoolHandle, size: Size, without: Option<usize>) -> Vec<u32> {
    let of = |index: usize| Some(index) != without;
    match (&pool.pool().balance, size) {
        (Balance::Hash(_), _) => Ring::build(&pool.members(), of).sampled(1 << 18),
        (_, Some(size)) => Table::sized(&pool.members(), size, of).slots().to_vec(),
        (_, None) => Table::build(&pool.members(), of).slots().to_vec(),
    }
}

struct Figures {
    /// The greatest share against the average one.
    peak: f64,
    least: f64,
    /// Keys that belonged to another endpoint than the one that went, and moved: of all keys.
    others: f64,
    /// The worst of them.
    worst: f64,
    /// Keys that belonged to the one that went.
    own: f64,
}

fn measure(pool: &PoolHandle, size: Size) -> Figures {
    let count = pool.members().len();
    let whole = owners(pool, size, None);
    let keys = whole.len() as f64;
    let mut shares = vec![0_u32; count];
    whole.iter().for_each(|owner| shares[*owner as usize] += 1);
    let average = keys / count as f64;
    let peak = shares.iter().copied().max().map_or(0.0, f64::from) / average;
    let least = shares.iter().copied().min().map_or(0.0, f64::from) / average;
    let (mut others, mut worst, mut own) = (0.0, 0.0_f64, 0.0);
    let gone: Vec<usize> = (0..count).step_by((count / 10).max(1)).take(if count > 100 { 3 } else { 10 }).collect();
    for gone in &gone {
        let without = owners(pool, size, Some(*gone));
        let mut moved = [0_u32; 2];
        for (before, after) in whole.iter().zip(&without) {
            assert_ne!(*after as usize, *gone);
            if before != after {
                moved[usize::from(*before as usize == *gone)] += 1;
            }
        }
        let [other, its] = moved.map(|n| f64::from(n) / keys);
        others += other;
        own += its;
        worst = worst.max(other);
    }
    // Back again, everybody is where they were.
    assert_eq!(owners(pool, size, None), whole);
    let tries = gone.len() as f64;
    Figures { peak, least, others: others / tries, worst, own: own / tries }
}

fn named(balance: Balance, count: usize) -> Arc<PoolHandle> {
    let names: Vec<String> = (0..count).map(|i| format!("10.1.{}.{}", i / 250, i % 250 + 1)).collect();
    let endpoints: Vec<_> = names.iter().map(|name| (name.as_str(), 1, false)).collect();
    pool(balance, &endpoints)
}

#[test]
fn shares_and_moves() {
    println!(
        "| `balance` | endpoints | slots or points | largest share | smallest | keys of the one that goes | others' keys that move: mean | worst |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let maglev = || Balance::Maglev(by_client());
    for (balance, count, size) in [
        (maglev(), 10, None),
        (maglev(), 100, None),
        (maglev(), 1_000, Some(SLOTS)),
        (maglev(), 1_000, None),
        (Balance::Hash(by_client()), 10, None),
        (Balance::Hash(by_client()), 100, None),
    ] {
        let pool = named(balance.clone(), count);
        let Figures { peak, least, others, worst, own } = measure(&pool, size);
        let ring = matches!(balance, Balance::Hash(_));
        let name = if ring { "hash" } else { "maglev" };
        let parts = if ring { count * 160 } else { owners(&pool, size, None).len() };
        let percent = |part: f64| format!("{:.2} %", part * 100.0);
        let [own_, others_, worst_] = [own, others, worst].map(percent);
        println!("| {name} | {count} | {parts} | {peak:.4} | {least:.4} | {own_} | {others_} | {worst_} |");
        if ring {
            assert_eq!(worst, 0.0, "a ring moves nobody else");
            assert!(peak < 1.4 && least > 0.65, "{count}: {least} to {peak}");
            continue;
        }
        // Shares differ by one slot: below 1 % while there are a hundred slots an endpoint.
        let slot = count as f64 / parts as f64;
        assert!(peak < 1.0 + slot && least > 1.0 - slot, "{count}: {least} to {peak}");
        assert!(worst < 0.01 || size.is_some(), "{count}: {worst}");
        assert!(worst < 0.03, "{count}: {worst}");
        assert!(count > 100 || own + worst < 2.0 / count as f64, "about 1/n all told");
    }
}

#[test]
fn weights_hold_in_the_table_and_their_changes_move_little() {
    let names: Vec<String> = (0..10).map(|i| format!("10.1.0.{i}")).collect();
    let with = |weights: [u32; 10]| {
        let endpoints: Vec<_> = names.iter().zip(weights).map(|(n, w)| (n.as_str(), w, false)).collect();
        owners(&pool(Balance::Maglev(by_client()), &endpoints), None, None)
    };
    let weights = [3, 1, 1, 1, 2, 1, 1, 3, 1, 1];
    let table = with(weights);
    assert_eq!(table.len(), SLOTS);
    for (index, weight) in weights.iter().enumerate() {
        let share = table.iter().filter(|owner| **owner as usize == index).count() as f64 / SLOTS as f64;
        let wanted = f64::from(*weight) / 15.0;
        assert!((share - wanted).abs() < wanted * 0.01, "{index}: {share} for {wanted}");
    }
    // One of fifteen shares becomes two of sixteen: a sixteenth must move.
    let mut more = weights;
    more[1] = 2;
    let moved = table.iter().zip(with(more)).filter(|(a, b)| **a != *b).count() as f64 / SLOTS as f64;
    println!("weight 1 to 2 of 15: {:.2} % of the keys move", moved * 100.0);
    assert!(moved < 0.25, "{moved}");
}
