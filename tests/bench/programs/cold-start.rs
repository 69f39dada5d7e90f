//! `tests/bench/cold-start`: many files, from the start of the process to the first answer.

use sluice_tests::sluice::{Sluice, get};
use sluice_tests::wait;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// A site of ten routes.
fn site(i: usize, version: usize) -> String {
    let mut text = format!("pool app{i} = 127.0.0.1:{}\n\nsite s{i}.test {{\n    http allowed\n", 20_000 + i % 10_000);
    for r in 0..8 {
        let _ = writeln!(text, "    /r{r}/{{id}}/x{r} -> app{i}");
    }
    let _ = writeln!(text, "    /version -> respond 200 \"{version}\"\n    else -> app{i}\n}}");
    text
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|a| a.parse().expect("a number"));
    let files = numbers.next().unwrap_or(10_000);
    let changes = numbers.next().unwrap_or(50);
    let mut setup = Sluice::setup();
    for i in 0..files {
        // As people keep them: a few hundred to a directory.
        setup = setup.file(&format!("d{}/s{i}.route", i / 250), site(i, 0));
    }
    let begin = Instant::now();
    let mut sluice = setup.start();
    println!("{files} files of ten routes");
    let last = format!("s{}.test", files - 1);
    assert_eq!(get(sluice.http, &last, "/version").expect("an answer").text(), "0");
    println!("cold start, empty data directory: {:.2} s to the first answer", begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    sluice.restart();
    assert_eq!(get(sluice.http, &last, "/version").expect("an answer").text(), "0");
    println!("second start: {:.2} s", begin.elapsed().as_secs_f64());
    println!("memory: {:.1} MiB", sluice.rss() as f64 / f64::from(1 << 20));

    let mut took: Vec<Duration> = (1..=changes)
        .map(|n| {
            let i = n * 197 % files;
            let (host, version) = (format!("s{i}.test"), n.to_string());
            sluice.write(&format!("d{}/s{i}.route", i / 250), site(i, n));
            let begin = Instant::now();
            let seen = wait::within(wait::PATIENCE, || {
                let reply = get(sluice.http, &host, "/version")?;
                (reply.text() == version).then(|| begin.elapsed())
            });
            seen.unwrap_or_else(|| panic!("change {n} is not served:\n{}", sluice.console_text()))
        })
        .collect();
    took.sort();
    let at = |p: usize| took[(took.len() * p / 100).min(took.len() - 1)].as_secs_f64() * 1e3;
    println!(
        "one changed file, from its close to an answer that shows it: median {:.1} ms, p99 {:.1} ms (asked every 5 ms)",
        at(50),
        at(99)
    );
    println!("memory after {changes} changes: {:.1} MiB", sluice.rss() as f64 / f64::from(1 << 20));
}
