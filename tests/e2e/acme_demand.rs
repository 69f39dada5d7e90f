//! `tls on-demand` with a real authority: the first visitor waits, and whoever makes up names orders nothing.

use sluice_tests::acme::{self, Acme, Prepared};
use sluice_tests::origin::Origin;
use sluice_tests::tls::{self, Offer};
use sluice_tests::wait;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Handshakes of the scan.
const SCANNED: usize = 10_000;
/// What hello, question, order and handshake may take together.
const DEADLINE: Duration = Duration::from_secs(10);

fn control() -> Origin {
    Origin::start(|seen, conn| {
        let known = ["/tenants/ann", "/tenants/bob"].contains(&&*seen.target);
        conn.respond(if known { "200 OK" } else { "404 Not Found" }, "", "")
    })
}

fn tenants(control: SocketAddr) -> Prepared {
    acme::setup().file(
        "tenants.route",
        format!(
            "pool control = {control}\n\nsite {{tenant}}.app.sluice-tests.net {{\n    tls on-demand {{\n        \
             allow when ask(control, GET /tenants/{{tenant}})\n        limit 20/h\n    }}\n    \
             else -> respond 200 \"hello {{tenant}}\"\n}}\n"
        ),
    )
}

/// Who asks first waits, others join it, and it is one order.
#[test]
fn the_first_visitors_wait_for_one_order() {
    let control = control();
    let acme = tenants(control.addr()).sluice(|sluice| sluice.workers(2)).start();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let visitors: Vec<_> = (0..8).map(|_| scope.spawn(|| acme.handshake("ann.app.sluice-tests.net"))).collect();
        for visitor in visitors {
            let mut secured = visitor.join().unwrap().unwrap_or_else(|e| panic!("{e}\n{}", acme.said()));
            secured.wire.send("GET / HTTP/1.1\r\nHost: ann.app.sluice-tests.net\r\n\r\n");
            assert_eq!(secured.wire.reply().text(), "hello ann");
        }
    });
    assert!(begin.elapsed() < DEADLINE, "{:?}", begin.elapsed());
    assert_eq!((acme.orders(), control.requests().len()), (1, 1));
}

#[test]
fn nobodys_name_is_refused_at_once_and_not_ordered() {
    let control = control();
    let acme = tenants(control.addr()).start();
    for _ in 0..20 {
        let begin = Instant::now();
        let error = acme.handshake("nobody.app.sluice-tests.net").map(|_| ()).expect_err("nobody").to_string();
        assert!(error.contains("UnrecognisedName"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }
    assert_eq!((acme.orders(), control.requests().len()), (0, 1));
}

/// A name that was allowed is kept, over a restart too, and whoever asks for it waits for nobody: not for the service,
/// which is away, and not for the authority.
#[test]
fn a_kept_name_needs_nobody_after_a_restart() {
    let control = control();
    let mut acme = tenants(control.addr()).start();
    let first = acme.handshake("ann.app.sluice-tests.net").unwrap().shown.swap_remove(0);
    acme.keeps("ann.app.sluice-tests.net");
    control.change(|_, conn| conn.respond("500 Internal Server Error", "", ""));
    acme.pebble.stop();
    acme.sluice.restart();
    let again = acme.handshake("ann.app.sluice-tests.net").unwrap().shown.swap_remove(0);
    assert_eq!(first, again);
    // A new one cannot be asked about.
    assert!(acme.handshake("bob.app.sluice-tests.net").is_err());
}

/// It was a tenant, and is none any more: that is found out beside the first handshake.
#[test]
fn a_kept_name_that_is_not_allowed_any_more_ends() {
    let control = control();
    let mut acme = tenants(control.addr()).start();
    drop(acme.handshake("ann.app.sluice-tests.net").unwrap());
    acme.keeps("ann.app.sluice-tests.net");
    control.change(|_, conn| conn.respond("404 Not Found", "", ""));
    acme.sluice.restart();
    let refused = wait::until("the name is refused", || acme.handshake("ann.app.sluice-tests.net").err());
    // What is found out in the middle of a handshake ends it there.
    let refused = refused.to_string();
    assert!(refused.contains("UnrecognisedName") || refused.contains("AccessDenied"), "{refused}");
    assert_eq!(control.requests().len(), 2, "asked when it came up, and once after the restart");
    assert_eq!(acme.orders(), 1);
}

/// The authority cannot prove the name: the first visitor hears of it, those after it at once, and it is one order.
#[test]
fn a_handshake_is_no_order() {
    let control = control();
    let closed = sluice_tests::ports::free();
    let acme = tenants(control.addr()).pebble(|pebble| pebble.tls(closed).http(closed)).start();
    let error = acme.handshake("ann.app.sluice-tests.net").map(|_| ()).expect_err("not proved").to_string();
    assert!(error.contains("InternalError"), "{error}");
    let orders = acme.orders();
    for _ in 0..50 {
        let begin = Instant::now();
        assert!(acme.handshake("ann.app.sluice-tests.net").is_err());
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }
    assert_eq!(acme.orders(), orders, "{}", acme.said());
    acme.sluice.says("who has no certificate", |line| line.contains("ann.app.sluice-tests.net"));
}

/// A bot goes through names: nothing is ordered, nearly nobody is asked, nothing grows.
#[test]
fn ten_thousand_names_order_nothing() {
    let control = control();
    let acme = tenants(control.addr()).start();
    drop(acme.handshake("ann.app.sluice-tests.net").unwrap());
    scan(&acme, 0..SCANNED / 5);
    let before = acme.sluice.rss();
    scan(&acme, SCANNED / 5..SCANNED);
    let grown = acme.sluice.rss().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more for {SCANNED} names");
    assert_eq!(acme.orders(), 1, "ann's");
    let asked = control.requests().len();
    assert!(asked < SCANNED / 20, "{asked} names were asked about");
    drop(acme.handshake("ann.app.sluice-tests.net").unwrap());
}

fn scan(acme: &Acme, names: std::ops::Range<usize>) {
    let config = tls::config(&acme.root(), &Offer::h1("ann.app.sluice-tests.net"));
    let next = AtomicUsize::new(names.start);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= names.end {
                        return;
                    }
                    let name = format!("x{i:08x}.app.sluice-tests.net");
                    let source = IpAddr::from([127, 0, 9, 9]);
                    let refused = tls::shake(source, acme.sluice.https, Arc::clone(&config), &name);
                    let error = refused.map(|_| ()).expect_err("nobody's name").to_string();
                    assert!(error.contains("UnrecognisedName"), "{error}");
                }
            });
        }
    });
}
