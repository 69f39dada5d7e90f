//! What a route file refuses is counted by the rule that did: at the endpoint that Prometheus asks.

use sluice_tests::observed::Metrics;
use sluice_tests::ports;
use sluice_tests::sluice::Sluice;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};

const NAME: &str = "sluice_http_refused_by_rule_total";

fn with(route: &str) -> (Sluice, SocketAddr) {
    let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    let lines = format!("    metrics {metrics}");
    (Sluice::setup().workers(2).gateway(&lines).file("a.route", route).start(), metrics)
}

/// The rules that have refused, and how often: `name line`.
fn counted(metrics: SocketAddr) -> Vec<(String, u64)> {
    let metrics = Metrics::of(metrics);
    let samples = metrics.samples(NAME, &[]).into_iter();
    let mut counted: Vec<_> = samples
        .map(|(labels, n)| {
            let keys: Vec<&str> = labels.keys().map(String::as_str).collect();
            assert_eq!(keys, ["at", "rule"], "nothing of a request is a label");
            let line = labels["at"].rsplit(':').next().unwrap_or_default();
            (format!("{} {line}", labels["rule"]), n as u64)
        })
        .collect();
    counted.sort();
    counted
}

const RULES: &str = r#"import std/auth

site a.test {
    http allowed
    header limit 8KB
    /admin/* {
        use auth.only-from([10.0.0.0/8])
        -> respond 200 "in"
    }
    /api/* {
        require header.x-key is "k" else deny 401
        limit 1/h per query.who if missing client.ip as calls
        -> respond 200 "in"
    }
    /gone -> deny 410
    else -> respond 200 "hello"
}
"#;

#[test]
fn refusals_are_counted_by_the_rule_that_refused() {
    let (sluice, metrics) = with(RULES);
    let get = |target: &str, headers: &str| {
        sluice.wire().send(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n")).reply().status
    };
    assert_eq!(counted(metrics), [], "nothing was refused yet");
    assert_eq!(get("/", ""), 200);
    for n in 0..3 {
        assert_eq!(get(&format!("/admin/{n}"), ""), 403);
    }
    for n in 0..20 {
        // What clients make up tells no two apart.
        assert_eq!(get(&format!("/api/{n}?q={n}"), &format!("X-Key: {n}\r\nUser-Agent: {n}\r\n")), 401);
    }
    assert_eq!(get("/api/x?who=ann", "X-Key: k\r\n"), 200);
    assert_eq!(get("/api/x?who=ann", "X-Key: k\r\n"), 429);
    assert_eq!(get("/gone", ""), 410);
    let wanted = [("auth.only-from 7", 3), ("calls 12", 1), ("deny 15", 1), ("require 11", 20)];
    let wanted = wanted.map(|(rule, n)| (rule.to_owned(), n));
    assert_eq!(counted(metrics), wanted);
    // Another file, another line break in this one: counts go on for what keeps name and place.
    sluice.write("b.route", "site b.test {\n    http allowed\n    else -> deny 418\n}\n");
    sluice.serves("b.test", "/", |reply| reply.status == 418);
    let more = counted(metrics);
    assert!(wanted.iter().all(|rule| more.contains(rule)), "{more:?}");
}

#[test]
fn attack_metrics_without_bound() {
    // More rules than are told apart.
    const RULES: usize = 1_050;
    let mut route = String::from("site a.test {\n    http allowed\n");
    for n in 0..RULES {
        let _ = writeln!(route, "    /r{n} -> deny 403");
    }
    let (sluice, metrics) = with(&(route + "    else -> respond 200 \"hello\"\n}\n"));
    let mut wire = sluice.wire();
    for n in (0..RULES).chain(0..10) {
        assert_eq!(wire.send(format!("GET /r{n} HTTP/1.1\r\nHost: a.test\r\n\r\n")).reply().status, 403);
    }
    let counted = counted(metrics);
    assert_eq!(counted.len(), 1_001, "a thousand, and one for the rest");
    assert_eq!(counted.iter().map(|(_, n)| n).sum::<u64>(), RULES as u64 + 10, "none is lost");
    let others: Vec<_> = counted.iter().filter(|(rule, _)| rule.starts_with("others")).collect();
    assert_eq!(others, [&("others ".to_owned(), 50)]);
    // The busiest are told.
    let twice = counted.iter().filter(|(rule, n)| rule.starts_with("deny ") && *n == 2).count();
    assert_eq!(twice, 10);
}
