//! Attacks by headers on what an origin is told of who asks, each test named after one. The origin folds the
//! names of headers as CGI does (RFC 3875 section 4.1.18): it is the one that is easiest to deceive.

use sluice_tests::h2raw::{Fate, RawH2};
use sluice_tests::origin::Seen;
use sluice_tests::{Origin, Sluice};

/// `x-user` is filled below `/admin` from a token; the rest of the site is open.
fn gateway(origin: &Origin) -> Sluice {
    let route = format!(
        "pool web = {}\n\nsite a.test {{\n    http allowed\n    /admin/* {{\n        \
         let who = jwt(cookie.sid, key: secret.session, iss: \"sluice\", aud: host)\n        \
         require who else deny 401\n        set request header x-user = who.sub\n        -> web\n    }}\n    \
         /login {{\n        start session(\"sid\", key: secret.session, sub: \"ann\", for: 1h)\n        \
         -> respond 200\n    }}\n    else -> web\n}}\n",
        origin.addr()
    );
    Sluice::setup()
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/session", "a key of the tests that has thirty-two bytes\n")
        .file("a.route", route)
        .start()
}

/// What a program behind CGI finds under a name.
fn as_cgi(seen: &Seen, name: &str) -> Vec<String> {
    let variable = |name: &str| -> String {
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
    };
    let wanted = variable(name);
    seen.headers.iter().filter(|(name, _)| variable(name) == wanted).map(|(_, value)| value.clone()).collect()
}

/// Every spelling that some origin reads as `x-user`.
const SPELLINGS: &[&str] = &["X-User", "x-user", "X_User", "X-USER", "x_user", "X.User", "x!user", "X~User", "x^user"];

#[test]
fn header_spoofing_where_no_policy_runs() {
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    for spelling in SPELLINGS {
        let mut wire = sluice.wire();
        wire.send(format!("GET /open HTTP/1.1\r\nHost: a.test\r\n{spelling}: root\r\n\r\n"));
        assert_eq!(wire.reply().status, 200, "{spelling}");
        let seen = origin.requests().pop().unwrap();
        assert_eq!(as_cgi(&seen, "x-user"), [""; 0], "{spelling}: {:?}", seen.headers);
    }
}

#[test]
fn header_spoofing_beside_a_session() {
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let login = sluice.get("a.test", "/login");
    let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    for spelling in SPELLINGS {
        let mut wire = sluice.wire();
        let twice = format!("{spelling}: root\r\n{spelling}: admin\r\n");
        wire.send(format!("GET /admin/x HTTP/1.1\r\nHost: a.test\r\n{twice}Cookie: {cookie}\r\n{twice}\r\n"));
        assert_eq!(wire.reply().status, 200, "{spelling}");
        let seen = origin.requests().pop().unwrap();
        assert_eq!(as_cgi(&seen, "x-user"), ["ann"], "{spelling}: {:?}", seen.headers);
    }
}

#[test]
fn header_spoofing_over_http2() {
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let mut raw = RawH2::connect(sluice.http);
    let good = [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/open")];
    let fields: Vec<(&str, &str)> = good.into_iter().chain([("x-user", "root"), ("x_user", "root")]).collect();
    raw.request(1, &fields);
    assert_eq!(raw.fate(1), Fate::Answered(200));
    assert_eq!(as_cgi(&origin.only(), "x-user"), [""; 0]);
}

#[test]
fn hop_by_hop_removal_of_an_identity() {
    // `Connection: x-user` asks a proxy to take the header out: what the gateway wrote there stays.
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let login = sluice.get("a.test", "/login");
    let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let mut wire = sluice.wire();
    let request = format!(
        "GET /admin/x HTTP/1.1\r\nHost: a.test\r\nCookie: {cookie}\r\nX-User: root\r\n\
         Connection: x-user, X-User, x_user\r\n\r\n"
    );
    wire.send(request);
    assert_eq!(wire.reply().status, 200);
    let seen = origin.only();
    assert_eq!(as_cgi(&seen, "x-user"), ["ann"], "{:?}", seen.headers);
}

#[test]
fn identity_in_a_trailer() {
    // What was taken from the head does not come in behind the body.
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let mut wire = sluice.wire();
    wire.send(
        "POST /open HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: x-user\r\n\r\n\
         4\r\nbody\r\n0\r\nX-User: root\r\nX_User: root\r\n\r\n",
    );
    let status = wire.reply_to("POST").status;
    let said: Vec<String> = origin.requests().iter().flat_map(|seen| seen.trailers.clone()).map(|(n, _)| n).collect();
    assert!(said.is_empty(), "{status}: {said:?}");
}
