//! Certificates of a real authority: each challenge over real sockets, and what serves while things fail.

use sluice_tests::acme::{self, Acme};
use sluice_tests::tls::{self, Offer};
use sluice_tests::{Origin, sluice, wait};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const NAME: &str = "a.sluice-tests.net";

/// The answer of the site itself, over its certificate.
#[track_caller]
fn answers(acme: &Acme, name: &str) {
    let mut wire = acme.handshake(name).unwrap().wire;
    wire.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"));
    assert_eq!(wire.reply().text(), name);
}

#[test]
fn a_name_is_proved_in_the_handshake() {
    // Nobody listens where the authority looks for 80.
    let closed = sluice_tests::ports::free();
    let acme = acme::setup().pebble(|pebble| pebble.http(closed)).line("challenges [tls-alpn]").site(NAME).start();
    acme.serves(NAME);
    answers(&acme, NAME);
    assert_eq!(acme.orders(), 1);
    acme.keeps(NAME);
    // Challenges of nobody are refused, and those of names that have one no more, too.
    for name in ["nobody.sluice-tests.net", NAME] {
        let offer = Offer { alpn: &["acme-tls/1"], ..Offer::h1(name) };
        let error = tls::connect(acme.sluice.https, &acme.root(), &offer).map(|_| ()).expect_err(name).to_string();
        assert!(error.to_lowercase().contains("alert"), "{error}");
    }
    // A name that no authority serves, beside it.
    acme.sluice.write("local.route", sluice::says("a.test", "local"));
    acme.sluice.serves("a.test", "/", |reply| reply.status == 200);
    tls::connect(acme.sluice.https, &acme.internal(), &Offer::h1("a.test")).unwrap();
    assert_eq!(acme.orders(), 1);
}

#[test]
fn a_name_is_proved_on_the_clear_port_which_redirects_otherwise() {
    let closed = sluice_tests::ports::free();
    let acme = acme::setup().pebble(|pebble| pebble.tls(closed)).line("challenges [http]").site(NAME).start();
    acme.serves(NAME);
    let reply = acme.sluice.get(NAME, "/.well-known/acme-challenge/token");
    assert_eq!(reply.status, 308, "nothing is under way: a request like any other");
}

/// What an authority is told is the site's own business where no order is under way.
#[test]
fn an_origin_with_a_client_of_its_own_keeps_its_challenges() {
    let origin = Origin::echo();
    let acme = acme::setup().file("a.route", sluice::proxy(NAME, origin.addr())).start();
    acme.serves(NAME);
    assert_eq!(acme.sluice.get(NAME, "/.well-known/acme-challenge/theirs").status, 200);
    assert_eq!(origin.only().target, "/.well-known/acme-challenge/theirs");
}

#[test]
fn a_challenge_for_a_passthrough_is_its_upstreams() {
    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let route = format!("pool vault = {}\n\npassthrough {NAME} -> vault\n", upstream.local_addr().unwrap());
    let sluice = sluice::Sluice::setup().file("a.route", route).file("b.route", sluice::says("b.test", "b")).start();
    let (https, root) = (sluice.https, sluice.root());
    let client = std::thread::spawn(move || {
        let offer = Offer { alpn: &["acme-tls/1"], ..Offer::h1(NAME) };
        tls::connect(https, &root, &offer).map(|_| ())
    });
    let (mut carried, _) = upstream.accept().unwrap();
    carried.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    let mut hello = vec![0; 16 * 1024];
    let length = carried.read(&mut hello).unwrap();
    assert!(hello[..length].windows(10).any(|bytes| bytes == b"acme-tls/1"), "the hello comes as it was sent");
    drop(carried);
    assert!(client.join().unwrap().is_err());
}

#[test]
fn where_one_challenge_fails_the_other_is_tried() {
    // Nobody listens where the authority looks for 443.
    let closed = sluice_tests::ports::free();
    let acme = acme::setup().pebble(|pebble| pebble.tls(closed)).site(NAME).start();
    acme.serves(NAME);
    assert_eq!(acme.orders(), 2, "one for each challenge");
}

/// DNS points elsewhere; then it does not.
#[test]
fn a_validation_that_fails_is_said_and_one_that_works_later_serves() {
    let nowhere = "127.0.0.2";
    let mut acme = acme::setup().site(NAME).site("b.sluice-tests.net").down().start();
    acme.pebble.tell("add-a", &format!("{{\"host\": \"{NAME}.\", \"addresses\": [\"{nowhere}\"]}}"));
    acme.again();
    // Another name does not wait for it.
    acme.serves("b.sluice-tests.net");
    acme.sluice.says("that the validation failed", |line| line.contains(&format!("no certificate of {NAME}")));
    let begin = Instant::now();
    let error = acme.handshake(NAME).map(|_| ()).expect_err("no certificate").to_string();
    assert!(error.contains("InternalError"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(2), "it is no use waiting: {:?}", begin.elapsed());
    let sites = acme.sluice.sites();
    let told = acme.certs(&[sites.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains(NAME) && told.contains("b.sluice-tests.net"), "{told}");
    acme.pebble.tell("clear-a", &format!("{{\"host\": \"{NAME}.\"}}"));
    let renewed = acme.certs(&["renew", NAME]);
    assert!(renewed.status.success(), "{renewed:?}");
    acme.serves(NAME);
}

#[test]
fn an_authority_that_is_down_at_the_start_is_asked_again() {
    let mut acme = acme::setup().site(NAME).down().start();
    acme.sluice.says("that the authority does not answer", |line| {
        line.contains("authority") || line.contains("no certificate of")
    });
    let refused = tls::connect(acme.sluice.https, &acme.internal(), &Offer::h1(NAME));
    assert!(refused.is_err(), "no certificate of the internal CA in its place");
    acme.again();
    acme.serves_within(Duration::from_secs(60), NAME);
    answers(&acme, NAME);
    assert_eq!(acme.orders(), 1, "nothing counted while it was down");
}

/// Handshakes go on all the time while the certificate is changed for the next: none fails, and the new one is shown.
#[test]
fn a_renewal_under_traffic_fails_no_handshake() {
    let acme = acme::setup().sluice(|sluice| sluice.workers(2)).site(NAME).start();
    let first = acme.serves(NAME);
    let (stop, shaken) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut failed = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        match acme.handshake(NAME) {
                            Ok(_) => drop(shaken.fetch_add(1, Ordering::Relaxed)),
                            Err(e) => failed.push(e.to_string()),
                        }
                    }
                    failed
                })
            })
            .collect();
        let mut seen = vec![first.clone()];
        for _ in 0..3 {
            let renewed = acme.certs(&["renew", NAME]);
            assert!(renewed.status.success(), "{renewed:?}");
            let next = wait::until("another certificate is shown", || {
                let shown = acme.handshake(NAME).ok()?.shown.swap_remove(0);
                (!seen.contains(&shown)).then_some(shown)
            });
            seen.push(next);
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            assert_eq!(client.join().unwrap(), Vec::<String>::new());
        }
    });
    assert!(shaken.load(Ordering::Relaxed) > 20, "{shaken:?}");
    assert_eq!(acme.orders(), 4);
}

/// Certificates that live for half a minute renew by themselves.
#[test]
fn a_certificate_renews_by_itself() {
    let acme = acme::setup().pebble(|pebble| pebble.life(24)).site(NAME).start();
    let first = acme.serves(NAME);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(24) {
        let shown = acme.handshake(NAME).expect("never without one").shown.swap_remove(0);
        if shown != first {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    panic!("it ended and was not renewed\n{}", acme.said());
}

/// Nonces that are turned away, as pebble does by default, are no failed orders.
#[test]
fn rejected_nonces_are_tried_again_at_once() {
    let mut acme = acme::setup().pebble(|pebble| pebble.rejecting_nonces(5));
    for n in 0..6 {
        acme = acme.site(&format!("n{n}.sluice-tests.net"));
    }
    let acme = acme.start();
    for n in 0..6 {
        acme.serves(&format!("n{n}.sluice-tests.net"));
    }
}

#[test]
fn what_was_issued_is_served_after_a_restart_without_an_order() {
    let mut acme = acme::setup().site(NAME).start();
    let first = acme.serves(NAME);
    acme.keeps(NAME);
    acme.pebble.stop();
    acme.sluice.restart();
    let again = acme.serves(NAME);
    assert_eq!(first, again);
}

/// What is kept is read when it is asked for: also for clients that name nobody.
#[test]
fn who_names_nobody_is_shown_a_kept_certificate_of_the_default_site() {
    let default = format!("site {NAME} {{\n    default\n    else -> respond 200 \"{NAME}\"\n}}\n");
    let mut acme = acme::setup().file("a.route", default).start();
    acme.serves(NAME);
    acme.keeps(NAME);
    acme.sluice.restart();
    let offer = Offer { sni: false, ..Offer::h1(NAME) };
    let mut wire = tls::connect(acme.sluice.https, &acme.root(), &offer).unwrap().wire;
    wire.send(format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n"));
    assert_eq!(wire.reply().text(), NAME);
}

/// On the clear port, TLS or garbage at the challenge's path is what it always was.
#[test]
fn nothing_else_below_the_path_of_challenges_is_answered() {
    let acme = acme::setup().site(NAME).start();
    for target in
        ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/%2e%2e", "/.well-known/acme-challenge/../x"]
    {
        let mut wire = acme.sluice.wire();
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"));
        let status = wire.reply().status;
        assert!(status == 308 || status == 400, "{target}: {status}");
    }
}
