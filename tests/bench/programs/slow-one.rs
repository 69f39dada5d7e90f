//! Five origins behind a gateway of two workers, one of which takes longer: `slow-one [--requests N] [--clients N]
//! [--slow MS]`. Prints for each `balance` how long requests took and how many the slow origin got; ends with an
//! error when `least-requests` does not beat `round-robin` at the 99th percentile.

use sluice_tests::faults::load::Shape;
use sluice_tests::faults::{FaultOrigin, Load, Mode, Tally};
use sluice_tests::{Sluice, wait};
use std::process::ExitCode;
use std::time::Duration;

const BALANCES: [&str; 5] = ["round-robin", "random", "least-connections", "least-requests", "peak-ewma"];
const HOST: &str = "slow.test";

fn main() -> ExitCode {
    let mut shape = Shape { clients: 16, pause: Duration::ZERO, patience: Duration::from_secs(20) };
    let (mut requests, mut slow) = (20_000, 250);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|n| n.parse().ok()).expect("a number follows");
        match word.as_str() {
            "--requests" => requests = number(),
            "--clients" => shape.clients = number(),
            "--slow" => slow = number() as u64,
            other => panic!("`{other}` is none of --requests, --clients, --slow"),
        }
    }
    println!("{} clients, {requests} requests; four origins answer at once, one after {slow} ms", shape.clients);
    println!("| `balance` | p50 | p90 | p99 | of the requests to the slow one | failed |");
    println!("|---|---:|---:|---:|---:|---:|");
    let mut p99s = Vec::new();
    for balance in BALANCES {
        let tally = play(balance, shape, requests, slow);
        let at = |share| format!("{:.1} ms", tally.quantile(share).as_secs_f64() * 1_000.0);
        let got = tally.answered().get("c").copied().unwrap_or_default();
        let (p50, p90, p99, failed) = (at(0.5), at(0.9), at(0.99), tally.failed());
        #[allow(clippy::cast_precision_loss)]
        let part = got as f64 * 100.0 / tally.0.len() as f64;
        println!("| {balance} | {p50} | {p90} | {p99} | {part:.1} % | {failed} |");
        p99s.push(tally.quantile(0.99));
    }
    if p99s[3] < p99s[0] {
        return ExitCode::SUCCESS;
    }
    println!("NOT AS IT SHOULD BE: least-requests is no better than round-robin");
    ExitCode::FAILURE
}

fn play(balance: &str, shape: Shape, requests: usize, slow: u64) -> Tally {
    let origins = ["a", "b", "c", "d", "e"].map(FaultOrigin::start);
    origins[2].set(Mode::Slow(slow));
    let endpoints: String = origins.iter().map(|origin| format!("    {}\n", origin.addr)).collect();
    let site = format!("site {HOST} {{\n    http allowed\n    else -> app\n}}\n");
    let route = format!("pool app {{\n{endpoints}    balance {balance}\n}}\n\n{site}");
    let sluice = Sluice::setup().workers(2).file("slow.route", route).start();
    let load = Load::start(sluice.http, HOST, shape);
    // Everybody has been asked, and connections are there.
    for origin in &origins {
        load.reaches(&origin.name, wait::PATIENCE).unwrap_or_else(|| panic!("{} is never asked", origin.name));
    }
    let begin = load.now();
    load.goes_on(requests);
    load.stop().since(begin)
}
