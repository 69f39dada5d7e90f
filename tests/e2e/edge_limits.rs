//! Limits of requests, from outside: two workers, a reload in the middle.

use sluice_tests::sluice::Sluice;
use std::thread;
use std::time::Instant;

fn route(body: &str) -> String {
    format!(
        "site a.test {{\n    http allowed\n    limit 100/s burst 200 per client.ip\n    \
         else -> respond 200 \"{body}\"\n}}\n"
    )
}

/// So many requests on each of so many connections, as fast as they are answered; how many passed.
fn flood(sluice: &Sluice, connections: usize, each: usize) -> usize {
    thread::scope(|scope| {
        let client = || {
            let mut wire = sluice.wire();
            let pass = |_: &usize| {
                wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
                let reply = wire.reply();
                if reply.status == 429 {
                    assert!(reply.header("retry-after").is_some() && reply.header("ratelimit").is_some());
                }
                reply.status == 200
            };
            (0..each).filter(pass).count()
        };
        let clients: Vec<_> = (0..connections).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    })
}

#[test]
fn two_workers_admit_what_one_limit_says_and_a_reload_changes_nothing() {
    let sluice = Sluice::setup().workers(2).file("a.route", route("before")).start();
    let begun = Instant::now();
    let mut passed = flood(&sluice, 8, 60);
    sluice.write("a.route", route("after"));
    sluice.says("that it was reloaded", |line| line.contains("a.route"));
    passed += flood(&sluice, 8, 60);
    // The burst, and one each ten milliseconds; never more, however fast it was asked.
    let most = 200 + begun.elapsed().as_millis() as usize / 10 + 1;
    assert!((200..=most).contains(&passed), "200 <= {passed} <= {most}");
}
