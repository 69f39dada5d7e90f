//! One of three origins fails while a load is on them: what clients see of it. The long form, with larger
//! loads, is `tests/bench/faults`; it prints what these assert.

use sluice_tests::faults::Mode;
use sluice_tests::faults::load::Shape;
use sluice_tests::faults::scenes::{BUDGET, CHECK_EVERY, Fault, Report, Size, play};
use std::time::Duration;

/// Small enough to run beside other tests.
const SHORT: Size = Size {
    load: Shape { clients: 8, pause: Duration::from_millis(8), patience: Duration::from_secs(15) },
    requests: 300,
    workers: 2,
};

/// Plays a scene of which clients must see nothing but that some answers came later.
#[track_caller]
fn nothing_is_lost(fault: Fault) -> Report {
    let report = play(fault, SHORT);
    println!("{report}");
    assert_eq!(report.tally.failed(), 0, "{report}\n{}", last(&report));
    // The check comes back within its interval, and a suspension of two seconds may outlast it.
    let recovered = report.recovered.expect("the origin is asked again");
    assert!(recovered < Duration::from_secs(2) + 2 * CHECK_EVERY, "{report}");
    if let Some(times) = report.amplification() {
        assert!(times <= 1.0 + BUDGET + 0.1, "{report}");
    }
    report
}

/// The last lines of the log, for a test that fails.
fn last(report: &Report) -> String {
    let from = report.console.len().saturating_sub(20);
    report.console[from..].join("\n")
}

#[test]
fn one_of_three_is_killed_in_the_middle_of_answers() {
    nothing_is_lost(Fault::KilledMidAnswer);
}

#[test]
fn one_of_three_is_a_black_hole() {
    let report = nothing_is_lost(Fault::Is(Mode::BlackHole));
    // Nobody waits longer than for one try, one more on a connection that does not come about, and an answer.
    assert!(report.tally.quantile(1.0) < Duration::from_secs(3), "{report}");
}

#[test]
fn one_of_three_says_nothing() {
    let report = nothing_is_lost(Fault::Is(Mode::Silent));
    assert!(report.tally.quantile(1.0) < Duration::from_secs(3), "{report}");
}

#[test]
fn one_of_three_takes_five_seconds() {
    let report = nothing_is_lost(Fault::Is(Mode::Slow(5000)));
    assert!(report.tally.quantile(1.0) < Duration::from_secs(3), "{report}");
}

#[test]
fn one_of_three_restarts_in_a_loop() {
    nothing_is_lost(Fault::Restarts(4));
}

#[test]
fn one_of_three_answers_503_half_the_time() {
    nothing_is_lost(Fault::Is(Mode::Half503));
}

#[test]
fn one_of_three_answers_503_always() {
    nothing_is_lost(Fault::Is(Mode::All503));
}

#[test]
fn one_of_three_sends_garbage() {
    nothing_is_lost(Fault::Is(Mode::Garbage));
}

#[test]
fn one_of_three_sends_half_of_each_answer() {
    nothing_is_lost(Fault::Is(Mode::HalfAnswer));
}

#[test]
fn one_of_three_sends_half_of_each_head() {
    nothing_is_lost(Fault::Is(Mode::HalfHead));
}

#[test]
fn one_of_three_closes_idle_connections_at_the_worst_moment() {
    nothing_is_lost(Fault::Is(Mode::ClosesIdle));
}

/// An outage is not multiplied: the budget bounds what origins see beyond what clients send.
#[test]
fn all_three_answer_503() {
    let report = play(Fault::All503, SHORT);
    println!("{report}");
    let during = report.tally.since(report.begin);
    let failures = during.failures();
    assert_eq!(failures.keys().collect::<Vec<_>>(), ["503"], "{report}");
    let (seen, sent) = (report.seen.unwrap(), u64::try_from(report.sent).unwrap());
    // A fifth of what was sent in the last ten seconds, and ten; what was under way when it was counted.
    let retries = u64::try_from(report.tally.0.len()).unwrap() / 5 + 10;
    let under_way = u64::try_from(SHORT.load.clients).unwrap();
    assert!(seen <= sent + retries + under_way, "{report}: {seen} for {sent}");
    assert!(report.recovered.expect("it is asked again") < 2 * CHECK_EVERY + Duration::from_secs(2), "{report}");
}
