//! Tokens of another library, sessions, signed links and services that are asked, from outside.

use serde_json::Value;
use sluice_tests::origin::Origin;
use sluice_tests::peer;
use sluice_tests::sluice::{Sluice, workspace};
use sluice_tests::tls::Offer;
use sluice_tests::wire::Reply;

fn get(sluice: &Sluice, path: &str, host: &str, headers: &str) -> Reply {
    let mut wire = sluice.wire();
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"));
    wire.reply()
}

#[test]
fn tokens_of_pyjwt_hold_and_forged_ones_do_not() {
    let program = workspace().join("tests/e2e/programs/tokens.py");
    let made = peer::succeed(peer::python().arg(program).arg("a.test"));
    let tokens: Value = serde_json::from_str(&made).unwrap();
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let of = |name: &str| -> Vec<(&String, &str)> {
        tokens[name].as_object().unwrap().iter().map(|(kind, token)| (kind, token.as_str().unwrap())).collect()
    };
    let (valid, forged) = (of("valid"), of("forged"));
    let origin = Origin::echo();
    let route = format!(
        "pool web = {}\n\nsite a.test {{\n    http allowed\n    \
         let who = jwt(header.x-token, key: [secret.shared, secret.public], iss: \"issuer\", aud: host)\n    \
         require who else deny 401\n    set request header x-user = who.sub\n    else -> web\n}}\n",
        origin.addr()
    );
    let sluice = Sluice::setup()
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/shared", text("secret") + "\n")
        .file("../secrets/public", text("public"))
        .file("a.route", route)
        .start();
    let status = |token: &str| get(&sluice, "/", "a.test", &format!("X-Token: {token}\r\nX-User: root\r\n")).status;
    for (kind, token) in &valid {
        assert_eq!(status(token), 200, "{kind}: {token}");
    }
    let heads = origin.requests();
    assert_eq!(heads.len(), valid.len());
    assert!(heads.iter().all(|seen| seen.all("x-user") == ["ann"]), "{heads:?}");
    assert!(forged.len() >= 30);
    for (attack, token) in &forged {
        assert_eq!(status(token), 401, "{attack}: {token}");
    }
    assert_eq!(origin.requests().len(), valid.len(), "no forged one came through");
    assert!(!sluice.console_text().contains(&text("secret")));
}

#[test]
fn a_session_opens_the_admin_area_and_ends() {
    let origin = Origin::echo();
    let route = format!(
        "import std/auth\n\npool web = {}\n\nsite a.test {{\n    http allowed\n    /admin/* {{\n        \
         use auth.session(\"sid\", key: secret.session, login: /login)\n        -> web\n    }}\n    \
         /login/{{name}} {{\n        start session(\"sid\", key: secret.session, sub: name, for: 1h)\n        \
         -> redirect 303 /admin\n    }}\n    /logout {{\n        end session(\"sid\")\n        \
         -> respond 200 \"out\"\n    }}\n}}\n",
        origin.addr()
    );
    let sluice = Sluice::setup()
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/session", "a key of the tests that has thirty-two bytes\n")
        .file("a.route", route)
        .start();
    // Tricks with the path lead to the same wall.
    for path in ["/admin", "/admin/users", "/x/../admin/users", "/%61dmin/users", "//admin/users", "/./admin"] {
        let refused = get(&sluice, path, "a.test", "");
        assert_eq!(refused.status, 303, "{path}");
        assert!(
            refused.header("location").unwrap().starts_with("/login?next="),
            "{path}: {:?}",
            refused.header("location")
        );
    }
    let login = get(&sluice, "/login/ann", "a.test", "");
    let cookie = login.header("set-cookie").unwrap().to_owned();
    assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(get(&sluice, "/admin/users", "a.test", &format!("Cookie: {pair}\r\nX-User: root\r\n")).status, 200);
    assert_eq!(origin.only().all("x-user"), ["ann"]);
    let tossed = format!("Cookie: {pair}; sid=tossed\r\n");
    assert_eq!(get(&sluice, "/admin/users", "a.test", &tossed).status, 400);
    let ended = get(&sluice, "/logout", "a.test", "");
    assert_eq!(ended.header("set-cookie"), Some("sid=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"));
}

/// Tokens as `start session(…, idle: …)` writes them, at every stage of a session's life.
#[test]
fn a_session_goes_on_while_it_is_used_and_ends_when_it_is_idle() {
    let key = "a key of the tests that has thirty-two bytes";
    let script = "import jwt, json, sys, time\n\
        now = int(time.time())\n\
        times = {'fresh': (600, 3600), 'half': (200, 3600), 'idle': (-1, 3600), 'near': (200, 400), 'last': (200, 200)}\n\
        say = lambda left, end: {'iss': 'sluice', 'aud': 'a.test', 'sub': 'ann', 'iat': now - 1000,\n\
            'exp': now + left, 'end': now + end, 'idle': 600}\n\
        sign = lambda claims: jwt.encode(claims, sys.argv[1], algorithm='HS256')\n\
        print(json.dumps({name: sign(say(*at)) for name, at in times.items()}))";
    let made = peer::succeed(peer::python().args(["-c", script, key]));
    let tokens: Value = serde_json::from_str(&made).unwrap();
    let origin = Origin::echo();
    let route = format!(
        "import std/auth\n\npool web = {}\n\nsite a.test {{\n    http allowed\n    /login {{\n        \
         start session(\"__Host-sid\", key: secret.session, sub: \"ann\", for: 8h, idle: 15m)\n        \
         -> redirect 303 /\n    }}\n    /app/* {{\n        \
         use auth.session(\"__Host-sid\", key: secret.session, login: /login)\n        -> web\n    }}\n}}\n",
        origin.addr()
    );
    let sluice = Sluice::setup()
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/session", format!("a new key of the tests, which signs from now on\n{key}\n"))
        .file("a.route", route)
        .start();
    let visit = |token: &str| get(&sluice, "/app/x", "a.test", &format!("Cookie: __Host-sid={token}\r\n"));
    let seconds = |reply: &Reply| -> Option<u64> {
        let cookie = reply.header("set-cookie")?;
        assert!(cookie.starts_with("__Host-sid=ey"), "{cookie}");
        assert!(cookie.contains("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age="), "{cookie}");
        cookie.rsplit_once('=')?.1.parse().ok()
    };
    let of = |name: &str| {
        let reply = visit(tokens[name].as_str().unwrap());
        (reply.status, seconds(&reply))
    };
    assert_eq!(of("fresh"), (200, None), "nothing to do yet");
    assert_eq!(of("half"), (200, Some(600)), "more than half of it is over");
    assert_eq!(of("idle"), (303, None), "nobody used it in time");
    let (status, left) = of("near");
    assert!(
        status == 200 && left.is_some_and(|left| (398..=400).contains(&left)),
        "to its end and no further: {left:?}"
    );
    assert_eq!(of("last"), (200, None), "the end does not move");
    // What is issued again is signed with the first key, and holds.
    let again = visit(tokens["half"].as_str().unwrap());
    let token = again.header("set-cookie").unwrap().split([';', '=']).nth(1).unwrap();
    assert_eq!(visit(token).status, 200);
    let login = get(&sluice, "/login", "a.test", "");
    assert_eq!(seconds(&login), Some(900), "a session that ends when it is idle begins so");
}

#[test]
fn another_service_decides_and_names_who_it_is() {
    let service = Origin::start(|seen, conn| match seen.header("authorization") {
        Some("yes") => conn.respond("200 OK", "X-User: ann\r\n", ""),
        Some("broken") => conn.respond("500 Internal Server Error", "", ""),
        Some("away") => conn.respond("302 Found", "Location: /login\r\n", ""),
        _ => conn.respond("403 Forbidden", "", ""),
    });
    let origin = Origin::echo();
    let route = format!(
        "import std/auth\n\npool web = {}\npool control = {}\n\nsite a.test {{\n    http allowed\n    \
         use auth.forward(control)\n    else -> web\n}}\n",
        origin.addr(),
        service.addr()
    );
    let sluice = Sluice::with(route);
    let spoofed = "X-User: root\r\nX_User: root\r\nX-Groups: root\r\n";
    let asked = |who: &str| get(&sluice, "/a?b=c", "a.test", &format!("Authorization: {who}\r\n{spoofed}")).status;
    assert_eq!(["yes", "no", "broken", "away"].map(asked), [200, 403, 503, 302]);
    let seen = origin.only();
    assert_eq!((seen.all("x-user"), seen.all("x-groups"), seen.all("x_user")), (vec!["ann"], vec![], vec![]));
    let question = service.first();
    assert_eq!((&*question.method, &*question.target), ("GET", "/verify"));
    assert_eq!(question.header("x-forwarded-uri"), Some("/a?b=c"));
    assert_eq!(question.header("x-original-method"), Some("GET"));
    assert!(question.all("x-user").is_empty());
}

#[test]
fn a_name_gets_a_certificate_when_another_service_allows_it() {
    let service = Origin::start(|seen, conn| {
        let status = if seen.target == "/tenants/ann" { "200 OK" } else { "404 Not Found" };
        conn.respond(status, "", "")
    });
    let route = format!(
        "pool control = {}\n\nsite {{tenant}}.example.test {{\n    tls on-demand {{\n        \
         allow when ask(control, GET /tenants/{{tenant}})\n        limit 20/h\n    }}\n    \
         else -> respond 200 \"hello {{tenant}}\"\n}}\n",
        service.addr()
    );
    let sluice = Sluice::with(route);
    let mut wire = sluice.secure("ann.example.test");
    wire.send("GET / HTTP/1.1\r\nHost: ann.example.test\r\n\r\n");
    assert_eq!(wire.reply().text(), "hello ann");
    let refused = sluice.handshake(&Offer::h1("bob.example.test"));
    assert!(refused.is_err(), "nobody's name");
    assert_eq!(service.requests().len(), 2);
}
