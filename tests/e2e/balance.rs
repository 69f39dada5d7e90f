//! Who of a pool answers a request: by what it says of itself, by a cookie, by how the others answered.

use sluice_tests::observed::Metrics;
use sluice_tests::wire::Reply;
use sluice_tests::{Origin, Sluice, ports, wait};
use std::collections::BTreeSet;

/// A gateway of two workers before three origins that say their names, with settings for their pool.
fn three(pool: &str, gateway: &str) -> (Sluice, [Origin; 3]) {
    let origins = ["a", "b", "c"].map(Origin::fixed);
    let endpoints: String = origins.iter().map(|origin| format!("    {}\n", origin.addr())).collect();
    let site = "site a.test {\n    http allowed\n    else -> app\n}\n";
    let route = format!("pool app {{\n{endpoints}{pool}}}\n\n{site}");
    (Sluice::setup().workers(2).gateway(gateway).file("a.route", route).start(), origins)
}

/// An answer on a new connection, which may come to either worker.
#[track_caller]
fn ask(sluice: &Sluice, headers: &str) -> Reply {
    let mut wire = sluice.wire();
    wire.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n"));
    wire.reply()
}

#[track_caller]
fn names(sluice: &Sluice, headers: &str, times: usize) -> BTreeSet<String> {
    (0..times).map(|_| ask(sluice, headers).text()).collect()
}

#[test]
fn a_request_goes_where_its_key_says() {
    for balance in ["hash", "maglev"] {
        let (sluice, _origins) = three(&format!("    balance {balance} header.x-user if missing client.ip\n"), "");
        let mut used = BTreeSet::new();
        for user in 0..40 {
            let its = names(&sluice, &format!("X-User: user-{user}\r\n"), 3);
            assert_eq!(its.len(), 1, "{balance}: user-{user} is at {its:?}");
            used.extend(its);
        }
        assert_eq!(used.len(), 3, "{balance}: {used:?}");
        assert_eq!(names(&sluice, "", 6).len(), 1, "{balance}: without the header the address is the key");
        // Who says two things is not taken for either.
        assert_eq!(ask(&sluice, "X-User: ann\r\nX-User: bob\r\n").status, 400);
        assert_eq!(ask(&sluice, "X-User: ann\r\nX-User: ann\r\n").status, 200);
    }
}

/// The cookie that an answer sets.
fn set(reply: &Reply) -> Option<(String, String)> {
    let (cookie, attributes) = reply.header("set-cookie")?.split_once("; ")?;
    Some((cookie.to_owned(), attributes.to_owned()))
}

#[test]
fn a_visitor_stays_over_a_restart_and_moves_when_it_must() {
    let (mut sluice, origins) = three(
        "    balance random\n    sticky cookie \"route\" for 12h\n    check GET /up every 100ms rise 1 fall 1\n",
        "",
    );
    let first = ask(&sluice, "");
    let (cookie, attributes) = set(&first).expect("a cookie");
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax; Max-Age=43200");
    let brings = format!("Cookie: theme=dark; {cookie}\r\nCookie: lang=en\r\n");
    let stays = |sluice: &Sluice| {
        for _ in 0..12 {
            let reply = ask(sluice, &brings);
            assert_eq!((reply.text(), set(&reply)), (first.text(), None));
        }
    };
    stays(&sluice);
    sluice.restart();
    stays(&sluice);
    let [a, b, c] = &origins;
    let (its, others) = match &*first.text() {
        "a" => (a, [b, c]),
        "b" => (b, [a, c]),
        _ => (c, [a, b]),
    };
    // The origin hears nothing of it.
    let seen = its.requests();
    let visits: Vec<_> = seen.iter().filter(|seen| seen.target == "/" && !seen.all("cookie").is_empty()).collect();
    assert!(visits.len() >= 24 && visits.iter().all(|seen| !seen.all("cookie").join(";").contains("route=")));
    assert!(visits.iter().all(|seen| seen.all("cookie").join("; ") == "theme=dark; lang=en"), "{visits:?}");
    assert!(others.iter().all(|other| other.requests().iter().all(|seen| seen.all("cookie").is_empty())));
    // What was changed is no cookie: one is set anew.
    let forged = ask(&sluice, &format!("Cookie: {}x\r\n", &cookie[..cookie.len() - 1]));
    assert!(set(&forged).is_some());
    assert!(set(&ask(&sluice, &format!("Cookie: {cookie}; {cookie}\r\n"))).is_some(), "of two neither counts");
    // Its endpoint goes down.
    its.change(|seen, conn| {
        conn.body(seen)?;
        conn.respond("500 Internal Server Error", "", "no")
    });
    let (moved, other) = wait::until("the visitor is moved", || {
        let reply = ask(&sluice, &brings);
        set(&reply).map(|(cookie, _)| (cookie, reply.text()))
    });
    assert_ne!(other, first.text());
    assert_eq!(names(&sluice, &format!("Cookie: {moved}\r\n"), 12), BTreeSet::from([other]));
    assert!(!sluice.console_text().contains(&cookie["route=".len()..]), "it is in no log");
}

#[test]
fn who_answers_badly_is_ejected_and_returns() {
    let metrics = ports::free();
    let pool = "    eject after 3 failures for 500ms up to 50%\n";
    let (sluice, origins) = three(pool, &format!("metrics 127.0.0.1:{metrics}"));
    let busy = |origin: &Origin, status: &'static str| {
        origin.change(move |seen, conn| {
            conn.body(seen)?;
            conn.respond(status, "", "b")
        });
    };
    assert_eq!(names(&sluice, "", 12).len(), 3);
    busy(&origins[1], "503 Service Unavailable");
    let bad = (0..60).filter(|_| ask(&sluice, "").status == 503).count();
    // Three of each suspension; sixty requests take less than two of them, or the machine stands still.
    assert!(bad >= 3, "{bad}");
    let at = origins[1].addr();
    let ejected = format!("endpoint {at} of pool app is ejected for 1 s: 3 failures in a row, the last: answered 503");
    sluice.says("it is ejected", |line| line.contains(&ejected));
    busy(&origins[1], "200 OK");
    sluice.says("it returns", |line| line.contains(&format!("endpoint {at} of pool app gets requests again")));
    wait::until("it is asked again", || names(&sluice, "", 12).contains("b").then_some(()));
    busy(&origins[1], "502 Bad Gateway");
    wait::until("the metrics say so", || {
        let _ = ask(&sluice, "");
        let all = Metrics::of(([127, 0, 0, 1], metrics).into());
        let labels = [("pool", "app"), ("endpoint", &*at.to_string())];
        (all.sum("sluice_endpoint_ejected", &labels) > 0.5 && all.sum("sluice_endpoint_up", &labels) > 0.5)
            .then_some(())
    });
}
