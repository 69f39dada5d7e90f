//! `tests/bench/l4-storm`: raises a storm of reloads under L4 load and tells what came of it.

use sluice_tests::l4_storm::{Size, raise};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|a| a.parse().expect("a number"));
    let reloads = numbers.next().unwrap_or(200);
    let clients = numbers.next().unwrap_or(8);
    let size = Size { reloads, workers: 2, clients: u8::try_from(clients).expect("at most 255 clients") };
    let outcome = raise(size);
    let percentile = |p: usize| outcome.latencies.get(outcome.latencies.len() * p / 100);
    println!("{reloads} reloads, two workers, under TCP, UDP and passthrough load");
    println!("confirmed: {}", outcome.confirmed);
    println!("from write to answer: median {:?}, p99 {:?}", percentile(50), percentile(99));
    println!("connections and flows that had to last: {}", outcome.kept);
    println!("said and heard back on them: {}", outcome.exchanges);
    println!("connections that came and went: {}, flows: {}", outcome.connections, outcome.flows);
    println!("lost, cut or at the wrong endpoint: {}", outcome.failures.len());
    let memory: Vec<_> = outcome.memory.iter().map(|m| format!("{:.1}", *m as f64 / f64::from(1 << 20))).collect();
    println!("memory after each tenth, MiB: {}", memory.join(" "));
    for failure in &outcome.failures {
        println!("FAILED: {failure}");
    }
    if outcome.failures.is_empty() && outcome.confirmed == reloads { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
