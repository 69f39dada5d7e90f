//! Attacks on who a request is taken for, by cookies, tokens and hosts, each test named after one, against the
//! running program.

use sluice_tests::client::H2;
use sluice_tests::h2raw::{Fate, RawH2};
use sluice_tests::{Origin, Sluice};

/// `/admin` needs the session of a cookie that `/login/NAME` issues, `/token` a header's token; both tell the origin.
fn gateway(origin: &Origin) -> Sluice {
    let session = |name: &str, below: &str, read: &str| {
        format!(
            "    {below}/* {{\n        let who = jwt({read}, key: secret.session, iss: \"sluice\", aud: host)\n        \
             require who else deny 401\n        set request header x-user = who.sub\n        -> web\n    }}\n    \
             /login{below}/{{name}} {{\n        start session(\"{name}\", key: secret.session, sub: name, for: 1h)\n        \
             -> respond 200\n    }}\n"
        )
    };
    let site = |host: &str| {
        format!(
            "site {host} {{\n    http allowed\n{}{}    /token/* {{\n        let who = jwt(header.authorization, key: \
             secret.session, iss: \"sluice\", aud: host)\n        require who else deny 401\n        \
             set request header x-user = who.sub\n        -> web\n    }}\n    else -> web\n}}\n\n",
            session("sid", "/admin", "cookie.sid"),
            session("__Host-sid", "/host", "cookie[\"__Host-sid\"]"),
        )
    };
    let route = format!("pool web = {}\n\n{}{}", origin.addr(), site("a.test"), site("b.test"));
    Sluice::setup()
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/session", "a key of the tests that has thirty-two bytes\n")
        .file("a.route", route)
        .start()
}

/// The token that a login issues.
fn token(sluice: &Sluice, host: &str, below: &str, name: &str) -> String {
    let reply = sluice.get(host, &format!("/login{below}/{name}"));
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    cookie.split_once('=').unwrap().1.to_owned()
}

fn status(sluice: &Sluice, host: &str, path: &str, headers: &str) -> u16 {
    let mut wire = sluice.wire();
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"));
    wire.try_reply("GET").map_or(0, |reply| reply.status)
}

#[test]
fn duplicate_cookies() {
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let (ann, eve) = (token(&sluice, "a.test", "/admin", "ann"), token(&sluice, "a.test", "/admin", "eve"));
    for cookies in [
        format!("Cookie: sid={ann}; sid={eve}\r\n"),
        format!("Cookie: sid={eve}; sid={ann}\r\n"),
        format!("Cookie: sid={ann}\r\nCookie: sid={eve}\r\n"),
        format!("Cookie: sid={ann}; sid=\r\n"),
        format!("Cookie: sid=; sid={ann}\r\n"),
        format!("Cookie: sid={ann};sid={eve}\r\n"),
        format!("Cookie: sid={ann}; sid =x\r\n"),
        format!("Cookie: a=b; sid={ann}; c=d; sid={eve}; e=f\r\n"),
    ] {
        assert_eq!(status(&sluice, "a.test", "/admin/x", &cookies), 400, "{cookies}");
    }
    origin.saw_nothing();
    // Said twice alike it is one.
    assert_eq!(status(&sluice, "a.test", "/admin/x", &format!("Cookie: sid={ann}; sid={ann}\r\n")), 200);
    assert_eq!(origin.only().all("x-user"), ["ann"]);
}

#[test]
fn cookie_tossing_from_a_parent_domain() {
    // A sibling sets `sid` for the parent domain: browsers send both. Neither is believed.
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let (ann, eve) = (token(&sluice, "a.test", "/host", "ann"), token(&sluice, "a.test", "/host", "eve"));
    for name in ["__host-sid", "__HOST-sid", "__Host-SID", "__Secure-sid", "_Host-sid", " sid", "sid", "__Host-sid "] {
        let cookies = format!("Cookie: {name}={eve}\r\n");
        // The last is the name itself, once the spaces that no browser sends are taken away.
        let wanted = if name.trim() == "__Host-sid" { 200 } else { 401 };
        assert_eq!(status(&sluice, "a.test", "/host/x", &cookies), wanted, "{name}");
        let beside = format!("Cookie: {name}={eve}; __Host-sid={ann}\r\n");
        let wanted = if name.trim() == "__Host-sid" { 400 } else { 200 };
        assert_eq!(status(&sluice, "a.test", "/host/x", &beside), wanted, "{name} beside");
    }
    for seen in origin.requests().iter().skip(1) {
        assert!(seen.all("x-user") == ["ann"] || seen.all("x-user") == ["eve"], "{:?}", seen.headers);
    }
    // The attributes that keep a tossed one out in browsers.
    let issued = sluice.get("a.test", "/login/host/ann");
    let cookie = issued.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("__Host-sid=") && cookie.contains("; Path=/; Secure; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    assert!(!cookie.to_ascii_lowercase().contains("domain"), "{cookie}");
}

#[test]
fn names_of_cookies_that_only_look_alike() {
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let ann = token(&sluice, "a.test", "/admin", "ann");
    for cookies in [
        format!("Cookie: Sid={ann}\r\n"),
        format!("Cookie: \"sid\"={ann}\r\n"),
        format!("Cookie: sid\u{a0}={ann}\r\n"),
        format!("Cookie: $sid={ann}\r\n"),
        format!("Cookie: xsid={ann}\r\n"),
        format!("Cookie: sid[0]={ann}\r\n"),
        format!("Cookie: sid.x={ann}\r\n"),
        format!("Cookie: s%69d={ann}\r\n"),
        format!("Cookie: sid={ann}x\r\n"),
        format!("Cookie: a=\"; sid={ann}\"\r\n"),
        format!("Cookie: a=b, sid={ann}\r\n"),
        "Cookie: sid\r\n".to_owned(),
        "Cookie: sid=\r\n".to_owned(),
        "Cookie: ;;;=;sid\r\n".to_owned(),
        "Cookie: sid=eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.\r\n".to_owned(),
    ] {
        let status = status(&sluice, "a.test", "/admin/x", &cookies);
        assert!([400, 401].contains(&status), "{cookies}: {status}");
    }
    origin.saw_nothing();
}

#[test]
fn oversize_tokens() {
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let ann = token(&sluice, "a.test", "/admin", "ann");
    let (head, rest) = ann.split_once('.').unwrap();
    for text in [
        "a".repeat(8 * 1024),
        format!("{head}.{}.{}", "A".repeat(7_000), "B".repeat(43)),
        format!("{}.{rest}", "A".repeat(8_000)),
        format!("{ann}{}", "A".repeat(6_000)),
        ".".repeat(6_000),
        format!("{head}.{}", "a.".repeat(3_000)),
    ] {
        let by_cookie = status(&sluice, "a.test", "/admin/x", &format!("Cookie: sid={text}\r\n"));
        assert!([401, 431].contains(&by_cookie), "{} bytes: {by_cookie}", text.len());
        let by_header = status(&sluice, "a.test", "/token/x", &format!("Authorization: {text}\r\n"));
        assert!([401, 431].contains(&by_header), "{} bytes: {by_header}", text.len());
    }
    // Beyond what a head may have, it is not looked at at all.
    let huge = status(&sluice, "a.test", "/admin/x", &format!("Cookie: sid={}\r\n", "a".repeat(200_000)));
    assert!([0, 400, 431].contains(&huge), "{huge}");
    origin.saw_nothing();
    assert_eq!(status(&sluice, "a.test", "/admin/x", &format!("Cookie: sid={ann}\r\n")), 200);
}

#[test]
fn two_authorizations() {
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let (ann, eve) = (token(&sluice, "a.test", "/admin", "ann"), token(&sluice, "a.test", "/admin", "eve"));
    for headers in [
        format!("Authorization: {ann}\r\nAuthorization: {eve}\r\n"),
        format!("Authorization: {ann}\r\nauthorization: \r\n"),
        format!("Authorization: x\r\nAUTHORIZATION: {ann}\r\n"),
    ] {
        assert_eq!(status(&sluice, "a.test", "/token/x", &headers), 400, "{headers}");
    }
    let joined = format!("Authorization: {ann}, {eve}\r\n");
    assert_eq!(status(&sluice, "a.test", "/token/x", &joined), 401);
    origin.saw_nothing();
}

#[test]
fn http2_cookie_crumbs() {
    // RFC 9113 section 8.2.3: a Cookie may be sent in pieces, and they are one.
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let (ann, eve) = (token(&sluice, "a.test", "/admin", "ann"), token(&sluice, "a.test", "/admin", "eve"));
    let (ann, eve) = (format!("sid={ann}"), format!("sid={eve}"));
    let head = [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/admin/x")];
    let fate = |crumbs: &[&str]| {
        let mut raw = RawH2::connect(sluice.http);
        let fields: Vec<(&str, &str)> = head.into_iter().chain(crumbs.iter().map(|crumb| ("cookie", *crumb))).collect();
        raw.request(1, &fields);
        raw.fate(1)
    };
    assert_eq!(fate(&["a=b", &ann, "c=d"]), Fate::Answered(200));
    assert_eq!(origin.only().all("x-user"), ["ann"]);
    assert_eq!(fate(&[&ann, &eve]), Fate::Answered(400));
    assert_eq!(fate(&["a=b; ", &eve, &ann]), Fate::Answered(400));
    assert_eq!(fate(&["sid", "=x"]), Fate::Answered(401));
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn another_hosts_session() {
    // What one host issued opens no other, whatever stands in Host.
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let ann = token(&sluice, "a.test", "/admin", "ann");
    let cookie = format!("Cookie: sid={ann}\r\n");
    assert_eq!(status(&sluice, "b.test", "/admin/x", &cookie), 401);
    for host in
        ["b.test:a.test", "a.test@b.test", "a.test,b.test", "a.test b.test", "b.test\r\nHost: a.test", "", "a.test/"]
    {
        let status = status(&sluice, host, "/admin/x", &cookie);
        assert!([0, 400, 404, 421].contains(&status), "{host}: {status}");
    }
    for headers in [
        "X-Forwarded-Host: a.test\r\n",
        "X-Host: a.test\r\n",
        "Forwarded: host=a.test\r\n",
        "X-Original-Host: a.test\r\n",
    ] {
        assert_eq!(status(&sluice, "b.test", "/admin/x", &format!("{cookie}{headers}")), 401, "{headers}");
    }
    origin.saw_nothing();
    let mut h2: H2 = sluice.h2();
    let request = http::Request::get("http://b.test/admin/x").header("cookie", format!("sid={ann}"));
    let answer = h2.ask(request.body(sluice_tests::client::empty()).unwrap());
    assert_eq!(answer.status, 401);
    origin.saw_nothing();
}

#[test]
fn who_refused_is_logged_without_what_was_sent() {
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let secret = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2VjcmV0";
    assert_eq!(status(&sluice, "a.test", "/admin/x?key=hidden", &format!("Cookie: sid={secret}\r\n")), 401);
    let line = sluice.record("that a request was refused", |line| line["request"] == "refused");
    assert_eq!((&line["status"], &line["rule"], &line["path"]), (&401.into(), &"require".into(), &"/admin/x".into()));
    let at = line["at"].as_str().unwrap();
    assert!(at.ends_with("a.route:7"), "{at}");
    assert_eq!(status(&sluice, "a.test", "/admin/x", &format!("Cookie: sid={secret}; sid=other\r\n")), 400);
    let line = sluice.record("that it said two things", |line| line["status"] == 400);
    assert!(line["reason"].as_str().unwrap().contains("cookie.sid"), "{line}");
    let said = sluice.console_text();
    assert!(!said.contains("c2VjcmV0") && !said.contains("hidden"), "{said}");
}
