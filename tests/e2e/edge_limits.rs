//! Limits of requests, from outside: two workers, a reload in the middle, guesses, costs, keys.

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

/// Statuses of requests one after the other, each with these headers.
fn statuses(sluice: &Sluice, method: &str, path: &str, headers: &[&str]) -> Vec<u16> {
    let mut wire = sluice.wire();
    let mut ask = |headers: &&str| {
        wire.send(format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n{headers}\r\n"));
        wire.reply().status
    };
    headers.iter().map(&mut ask).collect()
}

#[test]
fn attack_a_login_is_guessed_by_many_connections_at_once() {
    let route = |said: &str| {
        format!(
            "site a.test {{\n    http allowed\n    /login {{\n        limit 1/h burst 10 per client.ip on [401, 403]\n        \
             require header.x-password is secret.password else deny 401\n        -> respond 200 \"{said}\"\n    }}\n    \
             else -> respond 200 \"out\"\n}}\n"
        )
    };
    let sluice = Sluice::setup()
        .workers(2)
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/password", "correct horse battery staple of a login\n")
        .file("a.route", route("in"))
        .start();
    let right = "X-Password: correct horse battery staple of a login\r\n";
    assert_eq!(
        statuses(&sluice, "GET", "/login", &[right; 30]),
        [200; 30],
        "who knows it may come as often as he likes"
    );
    let guess = |_: usize| statuses(&sluice, "GET", "/login", &["X-Password: guess\r\n"; 20]);
    let told: Vec<u16> = thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|n| scope.spawn(move || guess(n))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(told.iter().filter(|status| **status == 401).count(), 10);
    assert!(told.iter().all(|status| [401, 429].contains(status)));
    // A reload gives nobody his guesses back, and the right one is not tried any more either.
    sluice.write("a.route", route("still in"));
    sluice.says("that it was reloaded", |line| line.contains("a.route"));
    assert_eq!(statuses(&sluice, "GET", "/login", &["X-Password: guess\r\n", right]), [429, 429]);
    assert_eq!(statuses(&sluice, "GET", "/", &[right]), [200], "and nothing else is concerned");
}

#[test]
fn requests_cost_what_their_method_size_and_answer_say() {
    let route = "site a.test {\n    http allowed\n    /cost {\n        \
                 limit 1/h burst 10 cost 4 when method is POST, 0 when method is OPTIONS, 3 on [404] per header.x-key if missing deny 400 as cost tell\n        \
                 when header.x-lost -> respond 404\n        else -> respond 200 \"in\"\n    }\n    /size {\n        \
                 limit 1/h burst 100 cost request.size if missing 1 per header.x-key if missing deny 400\n        -> respond 200 \"in\"\n    }\n    \
                 else -> respond 200 \"out\"\n}\n";
    let sluice = Sluice::setup().file("a.route", route).start();
    let of =
        |key: &str, method: &str, n: usize| statuses(&sluice, method, "/cost", &vec![&*format!("X-Key: {key}\r\n"); n]);
    // What may cost three is let in as long as three are left.
    assert_eq!(of("get", "GET", 10), [200, 200, 200, 200, 200, 200, 200, 200, 429, 429]);
    assert_eq!(of("post", "POST", 3), [200, 200, 429]);
    assert_eq!(of("options", "OPTIONS", 30), [200; 30]);
    let lost = ["X-Key: lost\r\nX-Lost: 1\r\n"; 5];
    assert_eq!(statuses(&sluice, "GET", "/cost", &lost), [404, 404, 404, 429, 429]);
    let mut wire = sluice.wire();
    wire.send("GET /cost HTTP/1.1\r\nHost: a.test\r\nX-Key: told\r\n\r\n");
    let reply = wire.reply();
    assert_eq!(reply.header("ratelimit-policy"), Some("\"cost\";q=1;w=3600"));
    assert_eq!(reply.header("ratelimit"), Some("\"cost\";r=9;t=3600"));
    wire.send(format!(
        "POST /size HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\nContent-Length: 99\r\n\r\n{}",
        "x".repeat(99)
    ));
    assert_eq!(wire.reply().status, 200);
    // The gateway read nothing of the body, and closed.
    let mut wire = sluice.wire();
    wire.send("POST /size HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\nContent-Length: 2\r\n\r\nxx");
    assert_eq!(wire.reply().status, 429);
}

#[test]
fn keys_are_tuples_claims_and_whatever_else_a_request_has() {
    let route = "site a.test {\n    http allowed\n    /pair {\n        \
                 limit 1/h burst 1 per [client.ip, header.x-key] if missing \"none\"\n        -> respond 200 \"in\"\n    }\n    \
                 /source {\n        limit 1/h burst 1 per header.x-key if missing client.ip\n        -> respond 200 \"in\"\n    }\n    \
                 /capture/{name} {\n        limit 1/h burst 1 per name\n        -> respond 200 \"in\"\n    }\n    \
                 /hash {\n        limit 1/h burst 1 per hash(header.x-key) if missing deny 401\n        -> respond 200 \"in\"\n    }\n    \
                 /cookie {\n        limit 1/h burst 1 per cookie.sid if missing deny 401\n        -> respond 200 \"in\"\n    }\n    \
                 else -> respond 200 \"out\"\n}\n";
    let sluice = Sluice::setup().file("a.route", route).start();
    let get = |path: &str, headers: &[&str]| statuses(&sluice, "GET", path, headers);
    let (a, b, none) = ("X-Key: a\r\n", "X-Key: b\r\n", "");
    assert_eq!(get("/pair", &[a, b, none, a, b, none]), [200, 200, 200, 429, 429, 429]);
    // The text of a header is never the bucket of an address.
    assert_eq!(get("/source", &["X-Key: 127.0.0.1\r\n", none, none]), [200, 200, 429]);
    assert_eq!(get("/capture/x", &[none, none]), [200, 429]);
    assert_eq!(get("/capture/y", &[none]), [200]);
    assert_eq!(
        get("/cookie", &["Cookie: sid=1\r\n", "Cookie: sid=1\r\n", "Cookie: sid=2\r\n", none]),
        [200, 429, 200, 401]
    );
    assert_eq!(get("/hash", &[a, a, b, none]), [200, 429, 200, 401]);
}
