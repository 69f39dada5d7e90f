//! `tests/bench/slow-clients`: what the gateway holds for each of a crowd of slow clients.

use sluice_tests::slow::{Size, crowd};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|a| a.parse().expect("a number"));
    let clients = numbers.next().unwrap_or(5_000);
    let answer = numbers.next().unwrap_or(100) * 1024;
    let size = Size { clients, answer, pieces: 20, pause: Duration::from_millis(500), workers: 2 };
    let outcome = crowd(size);
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    println!("{clients} clients at once, answers of {} KiB, taken in pieces of 1 KiB every 500 ms", answer / 1024);
    println!("whole answers: {}", outcome.whole);
    if let Some(failure) = &outcome.failure {
        println!("FAILED: {failure}");
    }
    println!(
        "resident: {:.1} MiB before, {:.1} MiB at most, {:.1} MiB after",
        mib(outcome.before),
        mib(outcome.most),
        mib(outcome.after)
    );
    println!("each client: {:.1} KiB", outcome.each(size) as f64 / 1024.0);
    if outcome.whole == clients { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
