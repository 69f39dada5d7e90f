//! `tests/bench/storm`: raises a storm of reloads and tells what came of it.

use sluice_tests::storm::{Size, raise};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|a| a.parse().expect("a number"));
    let reloads = numbers.next().unwrap_or(1000);
    let files = numbers.next().unwrap_or(200);
    let size = Size { reloads, files, workers: 2, clients: 2, tools: true };
    let outcome = raise(size);
    let percentile = |p: usize| outcome.latencies.get(outcome.latencies.len() * p / 100);
    println!("{reloads} reloads of {files} files, two workers, under load");
    println!("confirmed by an answer that changed: {}", outcome.confirmed);
    println!("from write to answer: median {:?}, p99 {:?}", percentile(50), percentile(99));
    println!("requests of our own clients: {}, failed: {}", outcome.requests, outcome.failures.len());
    println!("connections they opened: {} by {} clients", outcome.connections, outcome.clients);
    println!("connections to the origin of the unchanged site: {}", outcome.origin_connections);
    let memory: Vec<_> = outcome.memory.iter().map(|m| format!("{:.1}", *m as f64 / f64::from(1 << 20))).collect();
    println!("memory after each tenth, MiB: {}", memory.join(" "));
    println!("{}", outcome.tools);
    for failure in &outcome.failures {
        println!("FAILED: {failure}");
    }
    // Flat: what the second half added is noise, not a leak.
    let (middle, last) = (outcome.memory[outcome.memory.len() / 2], outcome.memory[outcome.memory.len() - 1]);
    let flat = last < middle + middle / 10 + (4 << 20);
    if !flat {
        println!("FAILED: memory grew from {middle} in the middle to {last} at the end");
    }
    let held = outcome.connections == outcome.clients && outcome.confirmed == reloads;
    if outcome.failures.is_empty() && held && flat { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
