//! What balancing comes to over two workers: shares against the ideal, how evenly endpoints are loaded at
//! any time, and how long requests take when one endpoint is slow. The tests assert bounds; with
//! `--nocapture` they print the tables of docs/benchmarks.md.

use super::tests::{by_client, pool};
use super::*;
use crate::upstream::{EndpointHandle, InUse, Members, PoolHandle};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

const REQUESTS: usize = 100_000;
const WORKERS: usize = 2;

fn every_balance() -> [(&'static str, Balance); 7] {
    [
        ("round-robin", Balance::RoundRobin),
        ("random", Balance::Random),
        ("least-connections", Balance::LeastConnections),
        ("least-requests", Balance::LeastRequests),
        ("peak-ewma", Balance::PeakEwma),
        ("hash", Balance::Hash(by_client())),
        ("maglev", Balance::Maglev(by_client())),
    ]
}

fn named(balance: &Balance, weights: &[u32]) -> Arc<PoolHandle> {
    let names: Vec<String> = (0..weights.len()).map(|i| format!("10.0.0.{i}")).collect();
    let endpoints: Vec<_> = names.iter().zip(weights).map(|(name, weight)| (name.as_str(), *weight, false)).collect();
    pool(balance.clone(), &endpoints)
}

/// Every request has a key of its own.
fn spot(balance: &Balance, dice: &Dice) -> Option<Spot> {
    match balance {
        Balance::Hash(_) => dice.below(1 << 32).map(|at| Spot::Ring(at as u32)),
        Balance::Maglev(_) => dice.below(u64::MAX).map(Spot::Maglev),
        _ => None,
    }
}

// === shares

/// What a worker saw: how often it chose each, and the most that each had under way.
struct Seen {
    chosen: Vec<u64>,
    most: Vec<u64>,
}

/// A worker that has so many requests under way at once.
struct Working {
    turns: Turns,
    dice: Dice,
    held: VecDeque<InUse>,
    seen: Seen,
}

impl Working {
    fn new(members: &Members, seed: u64) -> Self {
        let none = vec![0; members.len()];
        let seen = Seen { chosen: none.clone(), most: none };
        Self { turns: Turns::default(), dice: Dice::of(seed), held: VecDeque::new(), seen }
    }

    /// Its next request.
    fn turn(&mut self, members: &Members, at_once: usize, now: u64) {
        let balance = &members.pool().balance;
        let spot = spot(balance, &self.dice);
        let index = self.turns.choose(members, spot, &self.dice, Tried::default(), now).expect("all are up");
        let endpoint = members.endpoint(index);
        self.held.push_back(EndpointHandle::begin(endpoint));
        self.seen.chosen[index] += 1;
        self.seen.most[index] = self.seen.most[index].max(endpoint.open());
        if matches!(balance, Balance::PeakEwma) {
            endpoint.average().add(1_000, now);
        }
        // Any of them ends, not the oldest: answers do not come in turn.
        if self.held.len() == at_once
            && let Some(which) = self.dice.below(at_once as u64)
        {
            self.held.swap_remove_back(which as usize);
        }
    }
}

/// What workers come to that know nothing of each other but what endpoints count. Who is next is drawn: no
/// thread, the same figures in every run.
fn worked(pool: &PoolHandle, at_once: usize) -> Vec<Seen> {
    let members = pool.members();
    let mut workers: Vec<_> = (0..WORKERS as u64).map(|seed| Working::new(&members, seed + 1)).collect();
    let next = Dice::of(99);
    for n in 0..REQUESTS {
        let who = next.below(WORKERS as u64).expect("there are workers") as usize;
        workers[who].turn(&members, at_once, (n / WORKERS / 100) as u64);
    }
    workers.into_iter().map(|worker| worker.seen).collect()
}

#[test]
fn shares_of_two_workers_and_the_load_of_each_endpoint() {
    const AT_ONCE: usize = 64;
    println!("| `balance` | weights | largest share, of the ideal | smallest | most under way at one, of its part |");
    println!("|---|---|---|---|---|");
    for weights in [&[1, 1, 1, 1][..], &[4, 2, 1, 1]] {
        for (name, balance) in every_balance() {
            let pool = named(&balance, weights);
            let seen = worked(&pool, AT_ONCE);
            let total: f64 = weights.iter().copied().map(f64::from).sum();
            let part = |index: usize| f64::from(weights[index]) / total;
            let of_ideal: Vec<f64> = (0..weights.len())
                .map(|index| seen.iter().map(|s| s.chosen[index]).sum::<u64>() as f64 / REQUESTS as f64 / part(index))
                .collect();
            let (largest, smallest) =
                of_ideal.iter().fold((0.0_f64, f64::MAX), |(most, least), of| (most.max(*of), least.min(*of)));
            let fair = |index: usize| (WORKERS * (AT_ONCE - 1)) as f64 * part(index);
            let most = |index: usize| seen.iter().map(|s| s.most[index]).max().unwrap_or(0) as f64 / fair(index);
            let crowded = (0..weights.len()).map(most).fold(0.0, f64::max);
            println!("| {name} | {weights:?} | {largest:.3} | {smallest:.3} | {crowded:.2} |");
            // (share, crowd): what is drawn or hashed crowds by chance, as the square root of what is fair.
            let (share, crowd) = match balance {
                Balance::RoundRobin => (0.001, 2.5),
                Balance::Random => (0.03, 3.0),
                Balance::LeastConnections => (0.03, 1.35),
                Balance::LeastRequests | Balance::PeakEwma => (0.04, 1.5),
                Balance::Hash(_) => (0.35, 4.0),
                Balance::Maglev(_) => (0.03, 3.0),
            };
            assert!(largest < 1.0 + share && smallest > 1.0 - share, "{name} {weights:?}: {smallest} to {largest}");
            assert!(crowded < crowd, "{name} {weights:?}: {crowded}");
        }
    }
}

// === one slow endpoint

/// Microseconds until an event, by when it comes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    /// Of the request at an endpoint that arrived then.
    Answer(usize, u64),
}

/// An origin with so many threads, whose answers take an exponential time.
struct Origin {
    mean_us: f64,
    free: usize,
    waiting: VecDeque<u64>,
}

/// Seconds of requests, evenly many on two workers; the times that they took, sorted, and how many each
/// endpoint got. No thread, no clock: the same figures in every run.
fn simulated(balance: &Balance, mean_us: &[f64], every_us: f64) -> (Vec<u64>, Vec<usize>) {
    let pool = named(balance, &vec![1; mean_us.len()]);
    let members = pool.members();
    let mut workers: Vec<_> = (0..WORKERS as u64).map(|seed| (Turns::default(), Dice::of(seed + 1))).collect();
    let chance = Dice::of(77);
    let exponential = |mean: f64| {
        let drawn = chance.below(1 << 53).unwrap_or(0) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - drawn).ln() * mean) as u64 + 1
    };
    let mut origins: Vec<_> =
        mean_us.iter().map(|mean| Origin { mean_us: *mean, free: 8, waiting: VecDeque::new() }).collect();
    let mut held: Vec<Vec<InUse>> = mean_us.iter().map(|_| Vec::new()).collect();
    let mut events = BinaryHeap::from([Reverse((0, Event::Arrival))]);
    let (mut times, mut got, mut arrived) = (Vec::with_capacity(REQUESTS), vec![0; mean_us.len()], 0);
    while let Some(Reverse((now, event))) = events.pop() {
        let now_ms = now / 1_000;
        match event {
            Event::Arrival => {
                let (turns, dice) = &mut workers[arrived % WORKERS];
                let spot = spot(balance, dice);
                let index = turns.choose(&members, spot, dice, Tried::default(), now_ms).expect("all are up");
                held[index].push(EndpointHandle::begin(members.endpoint(index)));
                got[index] += 1;
                let origin = &mut origins[index];
                if origin.free > 0 {
                    origin.free -= 1;
                    events.push(Reverse((now + exponential(origin.mean_us), Event::Answer(index, now))));
                } else {
                    origin.waiting.push_back(now);
                }
                arrived += 1;
                if arrived < REQUESTS {
                    events.push(Reverse((now + exponential(every_us), Event::Arrival)));
                }
            }
            Event::Answer(index, since) => {
                held[index].pop();
                times.push(now - since);
                members.endpoint(index).average().add(now - since, now_ms);
                let origin = &mut origins[index];
                match origin.waiting.pop_front() {
                    Some(next) => events.push(Reverse((now + exponential(origin.mean_us), Event::Answer(index, next)))),
                    None => origin.free += 1,
                }
            }
        }
    }
    times.sort_unstable();
    (times, got)
}

#[test]
fn one_slow_endpoint_among_five() {
    println!("| `balance` | p50 | p90 | p99 | of the requests to the slow one |");
    println!("|---|---|---|---|---|");
    let mut p99s = Vec::new();
    for (name, balance) in every_balance() {
        // Four answer in 5 ms, one in 50 ms, each eight at a time; 700 a second, which round-robin can do.
        let (times, got) = simulated(&balance, &[5_000.0, 5_000.0, 50_000.0, 5_000.0, 5_000.0], 1_430.0);
        assert_eq!(times.len(), REQUESTS);
        let at = |percent: usize| times[times.len() * percent / 100] as f64 / 1_000.0;
        let slow = got[2] as f64 * 100.0 / REQUESTS as f64;
        println!("| {name} | {:.1} ms | {:.1} ms | {:.1} ms | {slow:.1} % |", at(50), at(90), at(99));
        p99s.push(at(99));
    }
    let [round_robin, _, _, least_requests, peak_ewma, ..] = p99s[..] else { panic!("{p99s:?}") };
    assert!(least_requests < round_robin * 0.6, "{p99s:?}");
    assert!(peak_ewma < round_robin * 0.2, "{p99s:?}");
}
