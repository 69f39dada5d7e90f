//! The faults at length: `faults [--requests N] [--clients N] [SCENE …]`. Prints a line for each scene, ends
//! with an error when a request was lost that need not be, or an outage was multiplied.

use sluice_tests::faults::load::Shape;
use sluice_tests::faults::scenes::{BUDGET, CHECK_EVERY, Fault, Report, SCENES, Size, play};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut size = Size {
        load: Shape { clients: 32, pause: Duration::from_millis(5), patience: Duration::from_secs(20) },
        requests: 10_000,
        workers: 2,
    };
    let mut wanted = Vec::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|n| n.parse().ok()).expect("a number follows");
        match word.as_str() {
            "--requests" => size.requests = number(),
            "--clients" => size.load.clients = number(),
            other => wanted.push(other.to_owned()),
        }
    }
    let chosen =
        |fault: &Fault| wanted.is_empty() || wanted.iter().any(|word| fault.to_string().contains(word.as_str()));
    println!(
        "{} clients, {} requests before, during and after each fault; the pool is checked every {CHECK_EVERY:?}",
        size.load.clients, size.requests
    );
    let mut wrong = 0;
    for fault in SCENES.into_iter().filter(chosen) {
        let report = play(fault, size);
        println!("{report}");
        if let Err(why) = judge(&report, size) {
            println!("    NOT AS IT SHOULD BE: {why}");
            wrong += 1;
        }
    }
    if wrong > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What must hold of a scene.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn judge(report: &Report, size: Size) -> Result<(), String> {
    if report.fault != Fault::All503 && report.tally.failed() > 0 {
        return Err(format!("{} requests were lost while healthy origins were left", report.tally.failed()));
    }
    // The floor of a budget is ten in ten seconds; what was under way while it was counted is in neither sum.
    let seconds = (report.mended - report.begin).as_secs_f64();
    let allowed = report.sent as f64 * (1.0 + BUDGET) + seconds + 10.0 + size.load.clients as f64;
    // Before the fault there were requests as well, and a share of them may be repeated now.
    let allowed = allowed + size.requests as f64 * BUDGET;
    if report.seen.is_some_and(|seen| seen as f64 > allowed) {
        return Err(format!("origins saw {:?} requests of {}", report.seen, report.sent));
    }
    match report.recovered {
        None => Err("the origin was not asked again".into()),
        Some(_) => Ok(()),
    }
}
