//! `tls on-demand` from outside: who is asked about which names, and who is not.

use sluice_tests::Origin;
use sluice_tests::sluice::Sluice;
use sluice_tests::tls::{self, Offer};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Handshakes of the scan.
const SCANNED: usize = 10_000;
/// Unknown names that a network may ask for in a minute.
const A_MINUTE: usize = 30;

/// A control service that knows some tenants.
fn control(known: &'static [&'static str]) -> Origin {
    Origin::start(move |seen, conn| {
        let tenant = seen.target.strip_prefix("/tenants/").unwrap_or_default();
        conn.respond(if known.contains(&tenant) { "200 OK" } else { "404 Not Found" }, "", "")
    })
}

/// Tenants of `example.test`, however deep, about whom a service is asked.
fn tenants(control: SocketAddr, limit: &str) -> String {
    format!(
        "pool control = {control}\n\nsite **.example.test {{\n    tls on-demand {{\n        \
         allow when ask(control, GET /tenants/{{host}})\n        limit {limit}\n    }}\n    \
         else -> respond 200 \"hello {{host}}\"\n}}\n"
    )
}

/// A handshake of a client at an address of its own.
fn from(sluice: &Sluice, source: [u8; 4], name: &str) -> std::io::Result<()> {
    tls::connect_from(IpAddr::from(source), sluice.https, &sluice.root(), &Offer::h1(name)).map(|_| ())
}

/// The alert that a handshake ended with.
#[track_caller]
fn is_refused(result: std::io::Result<()>) {
    let error = result.expect_err("nobody's name").to_string();
    assert!(error.contains("UnrecognisedName"), "{error}");
}

/// Who was asked about, each once.
fn asked(control: &Origin) -> BTreeSet<String> {
    control.requests().iter().map(|seen| seen.target.trim_start_matches("/tenants/").to_owned()).collect()
}

/// How often a handshake ended in this way, by the metrics.
fn counted(sluice: &Sluice, metrics: SocketAddr, reason: &str) -> u64 {
    let text = sluice_tests::sluice::get(metrics, "localhost", "/metrics").expect("metrics").text();
    let begins = format!("sluice_hellos_failed_total{{reason=\"{reason}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&begins));
    line.map_or(0, |count| count.parse().unwrap_or_else(|e| panic!("{count}: {e}\n{}", sluice.console_text())))
}

#[test]
fn a_name_is_asked_about_once() {
    let control = control(&["ann.example.test"]);
    let sluice = Sluice::with(tenants(control.addr(), "20/h"));
    for _ in 0..3 {
        from(&sluice, [127, 0, 0, 1], "ann.example.test").unwrap();
        from(&sluice, [127, 0, 0, 1], "ANN.example.test").unwrap();
        is_refused(from(&sluice, [127, 0, 0, 1], "bob.example.test"));
    }
    let targets: Vec<String> = control.requests().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/tenants/ann.example.test", "/tenants/bob.example.test"]);
    let first = &control.requests()[0];
    assert_eq!(first.header("x-forwarded-for"), Some("127.0.0.1"), "the service learns who asks");
    assert_eq!(first.header("host"), Some("ann.example.test"));
}

#[test]
fn names_that_no_certificate_is_made_for_are_asked_about_by_nobody() {
    let control = control(&[]);
    let sluice = Sluice::with(tenants(control.addr(), "20/h"));
    let many = "a.".repeat(8) + "example.test";
    for name in ["under_score.example.test", "ab--c.example.test", &("a.".to_owned() + &many)] {
        is_refused(from(&sluice, [127, 0, 0, 1], name));
    }
    control.saw_nothing();
    is_refused(from(&sluice, [127, 0, 0, 1], &many));
    assert_eq!(asked(&control), BTreeSet::from([many]));
}

#[test]
fn a_network_that_tries_names_is_refused_unasked_and_others_are_not() {
    let control = control(&["ann.example.test", "eve.example.test"]);
    let sluice = Sluice::with(tenants(control.addr(), "20/h"));
    from(&sluice, [127, 0, 7, 1], "eve.example.test").unwrap();
    // Its neighbours count as it does.
    for i in 0..3 * A_MINUTE {
        let host = u8::try_from(i % 200 + 1).unwrap();
        is_refused(from(&sluice, [127, 0, 7, host], &format!("x{i}.example.test")));
    }
    let scanned = asked(&control).iter().filter(|name| name.starts_with('x')).count();
    assert!((A_MINUTE - 1..2 * A_MINUTE).contains(&scanned), "{scanned}");
    sluice.says("who scans", |line| line.contains("127.0.7.0/24") && line.contains("unknown names"));
    // What is known goes on, for the scanner too; and others are asked about as ever.
    from(&sluice, [127, 0, 7, 1], "eve.example.test").unwrap();
    from(&sluice, [127, 0, 8, 1], "ann.example.test").unwrap();
}

#[test]
fn new_names_are_limited_and_known_ones_are_not() {
    let control = control(&["a.example.test", "b.example.test", "c.example.test"]);
    let sluice = Sluice::with(tenants(control.addr(), "2/d"));
    is_refused(from(&sluice, [127, 0, 0, 1], "nobody.example.test"));
    from(&sluice, [127, 0, 0, 1], "a.example.test").unwrap();
    from(&sluice, [127, 0, 0, 1], "b.example.test").unwrap();
    is_refused(from(&sluice, [127, 0, 0, 1], "c.example.test"));
    sluice.says("that no more are made", |line| line.contains("`limit`"));
    from(&sluice, [127, 0, 0, 1], "a.example.test").unwrap();
}

#[test]
fn a_service_that_fails_is_no_answer_and_is_asked_again() {
    let broken = Origin::start(|_, conn| conn.respond("500 Internal Server Error", "", ""));
    let sluice = Sluice::with(tenants(broken.addr(), "20/h"));
    is_refused(from(&sluice, [127, 0, 0, 1], "ann.example.test"));
    broken.change(|_, conn| conn.respond("204 No Content", "", ""));
    from(&sluice, [127, 0, 0, 1], "ann.example.test").unwrap();
}

/// A bot that goes through names: nearly nobody is asked, nothing grows, and who is known is served.
#[test]
fn ten_thousand_names_are_a_few_questions_and_bounded_memory() {
    let control = control(&["ann.example.test"]);
    let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, sluice_tests::ports::free()));
    let setup = Sluice::setup().gateway(&format!("    metrics {metrics}"));
    let sluice = setup.file("a.route", tenants(control.addr(), "20/h")).start();
    from(&sluice, [127, 0, 9, 1], "ann.example.test").unwrap();
    let config = tls::config(&sluice.root(), &Offer::h1("ann.example.test"));
    let scan = |names: std::ops::Range<usize>| {
        let next = AtomicUsize::new(names.start);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        if i >= names.end {
                            return;
                        }
                        let name = format!("x{i:08x}.example.test");
                        let refused =
                            tls::shake(IpAddr::from([127, 0, 9, 9]), sluice.https, Arc::clone(&config), &name);
                        is_refused(refused.map(|_| ()));
                    }
                });
            }
        });
    };
    // What the first of them cost was there to be used.
    scan(0..SCANNED / 5);
    let before = sluice.rss();
    scan(SCANNED / 5..SCANNED);
    let grown = sluice.rss().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more for {SCANNED} names");
    let asked = asked(&control).len();
    // So many at a stroke, and as the minutes go by so many again.
    assert!(asked < SCANNED / 20, "{asked} names were asked about");
    let (refused, denied) = (counted(&sluice, metrics, "too-many-names"), counted(&sluice, metrics, "not-allowed"));
    assert_eq!(refused + denied, SCANNED as u64);
    assert_eq!(denied, asked as u64 - 1);
    from(&sluice, [127, 0, 9, 1], "ann.example.test").unwrap();
}
