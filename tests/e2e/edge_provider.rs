//! Tokens that a provider signs: made by other libraries, forged, and what becomes of them when the provider's keys
//! cannot be had.

use serde_json::{Value, json};
use sluice_tests::origin::{Conn, Origin, Seen};
use sluice_tests::peer;
use sluice_tests::sluice::{Setup, Sluice, workspace};
use sluice_tests::wait;
use sluice_tests::wire::Reply;
use std::time::{Duration, Instant};

const SECRET: &str = "a key of these tests that has 32 bytes or more";

/// A provider on this machine: its discovery document, and a set of keys.
fn provider(keys: Value) -> Origin {
    Origin::start(move |seen, conn| publish(seen, conn, &keys))
}

fn publish(seen: &Seen, conn: &mut Conn, keys: &Value) -> std::io::Result<()> {
    let host = seen.header("host").unwrap_or_default();
    let body = match &*seen.target {
        "/.well-known/openid-configuration" => {
            json!({ "issuer": format!("http://{host}"), "jwks_uri": format!("http://{host}/jwks") })
        }
        "/jwks" => json!({ "keys": keys }),
        _ => return conn.respond("404 Not Found", "", ""),
    };
    conn.respond("200 OK", "Content-Type: application/json\r\nCache-Control: max-age=300\r\n", body.to_string())
}

/// A provider that publishes the keys of PyJWT, what PyJWT made, an origin, and the site before it.
fn world() -> (Origin, Value, Origin, Sluice) {
    let of = provider(json!([]));
    let python = by_pyjwt(&issuer(&of));
    let keys = python["keys"].clone();
    of.change(move |seen, conn| publish(seen, conn, &keys));
    let origin = Origin::echo();
    let sluice = setup(&issuer(&of), &origin).start();
    (of, python, origin, sluice)
}

fn issuer(of: &Origin) -> String {
    format!("http://{}", of.addr())
}

fn by_pyjwt(issuer: &str) -> Value {
    let program = workspace().join("tests/e2e/programs/provider_tokens.py");
    serde_json::from_str(&peer::succeed(peer::python().arg(program).args([issuer, "api"]))).unwrap()
}

fn by_jose(issuer: &str) -> Value {
    let mut node = peer::node("provider_tokens.mjs");
    serde_json::from_str(&peer::succeed(node.arg(peer::node_modules()).args([issuer, "api", SECRET]))).unwrap()
}

fn texts(of: &Value) -> Vec<(String, String)> {
    of.as_object().unwrap().iter().map(|(name, text)| (name.clone(), text.as_str().unwrap().to_owned())).collect()
}

/// A site whose tokens are of this provider; `X-User` tells the origin who it is.
fn setup(issuer: &str, origin: &Origin) -> Setup {
    let route = format!(
        "provider corp {{\n    issuer \"{issuer}\"\n}}\n\npool web = {}\n\nsite a.test {{\n    http allowed\n    \
         let who = jwt(header.x-token, key: corp, aud: \"api\")\n    require who else deny 401\n    \
         set request header x-user = who.sub\n    else -> web\n}}\n",
        origin.addr()
    );
    Sluice::setup().file("a.route", route)
}

fn ask(sluice: &Sluice, token: &str) -> Reply {
    let mut wire = sluice.wire();
    wire.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Token: {token}\r\nX-User: root\r\n\r\n"));
    wire.reply()
}

/// How often the set of keys was asked for.
fn fetches(of: &Origin) -> usize {
    of.requests().iter().filter(|seen| seen.target == "/jwks").count()
}

#[test]
fn attack_forged_tokens_of_a_provider_and_true_ones_of_pyjwt_and_jose() {
    let of = provider(json!([]));
    let issuer = issuer(&of);
    let (python, node) = (by_pyjwt(&issuer), by_jose(&issuer));
    let all: Vec<Value> = [&python, &node].iter().flat_map(|made| made["keys"].as_array().unwrap().clone()).collect();
    of.change(move |seen, conn| publish(seen, conn, &json!(all)));
    let origin = Origin::echo();
    let shared = "site b.test {\n    http allowed\n    let who = jwt(header.x-token, key: secret.shared, aud: \"api\")\n    \
                  require who else deny 401\n    when who.level >= 3 -> respond 200 \"high\"\n    else -> respond 200 \"low\"\n}\n";
    let sluice = setup(&issuer, &origin)
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/shared", format!("{SECRET}\n"))
        .file("b.route", shared)
        .start();
    let valid: Vec<_> = [texts(&python["valid"]), texts(&node["valid"])].concat();
    for (kind, token) in &valid {
        // Twice: the second time it is known.
        assert_eq!([ask(&sluice, token).status, ask(&sluice, token).status], [200, 200], "{kind}: {token}");
    }
    let heads = origin.requests();
    assert_eq!(heads.len(), 2 * valid.len());
    assert!(heads.iter().all(|seen| seen.all("x-user") == ["ann"]), "{heads:?}");
    let forged = texts(&python["forged"]);
    assert!(forged.len() >= 100, "{}", forged.len());
    for (attack, token) in &forged {
        let status = ask(&sluice, token).status;
        // A token that is longer than a head may be gets no further than that.
        assert!(status == 401 || status == 431, "{attack}: {status}: {token}");
    }
    assert_eq!(origin.requests().len(), 2 * valid.len(), "no forged one came through");
    let mut wire = sluice.wire();
    let token = node["shared"].as_str().unwrap();
    wire.send(format!("GET / HTTP/1.1\r\nHost: b.test\r\nX-Token: {token}\r\n\r\n"));
    assert_eq!(wire.reply().text(), "high", "HS256 by jose; a number compares as one");
    let told = sluice.console_text();
    for why in ["oct", "corp"] {
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn attack_a_token_that_was_known_and_is_over() {
    let (_of, python, _origin, sluice) = world();
    let token = python["valid"]["ES256 by PyJWT"].as_str().unwrap();
    assert_eq!(ask(&sluice, token).status, 200);
    let token = python["expires"].as_str().unwrap();
    wait::until("a token to be over that was verified before", || (ask(&sluice, token).status == 401).then_some(()));
}

#[test]
fn keys_turn_without_a_restart_and_one_that_is_gone_is_gone() {
    let (of, python, _origin, sluice) = world();
    let old = python["valid"]["ES256 by PyJWT"].as_str().unwrap();
    assert_eq!([ask(&sluice, old).status, ask(&sluice, old).status], [200, 200]);
    let next = json!([python["next"]["jwk"]]);
    of.change(move |seen, conn| publish(seen, conn, &next));
    let new = python["next"]["token"].as_str().unwrap();
    // Ten seconds lie between two questions.
    let turned = wait::within(Duration::from_secs(20), || (ask(&sluice, new).status == 200).then_some(()));
    assert!(turned.is_some(), "{}", sluice.console_text());
    assert_eq!(ask(&sluice, old).status, 401, "its key is gone, though the token was known");
    assert_eq!(fetches(&of), 2, "asked at the start and once for the new key");
}

#[test]
fn keys_without_names_turn_too() {
    let (of, python, _origin, sluice) = world();
    let known = python["valid"]["ES256 by PyJWT"].as_str().unwrap();
    assert_eq!(ask(&sluice, known).status, 200);
    let publishes = |which: usize| {
        let keys = json!([python["unnamed"][which]["jwk"]]);
        of.change(move |seen, conn| publish(seen, conn, &keys));
        let token = python["unnamed"][which]["token"].as_str().unwrap();
        let turned = wait::within(Duration::from_secs(20), || (ask(&sluice, token).status == 200).then_some(()));
        assert!(turned.is_some(), "{which}: {}", sluice.console_text());
        token
    };
    let old = publishes(0);
    publishes(1);
    assert_eq!(fetches(&of), 3, "asked at the start and once for each that turned");
    assert_eq!(ask(&sluice, old).status, 401, "its key is gone, though the token was known");
}

#[test]
fn attack_a_flood_of_unknown_keys_reaches_the_provider_once_in_ten_seconds() {
    let (of, python, _origin, sluice) = world();
    let known = python["valid"]["EdDSA by PyJWT"].as_str().unwrap();
    assert_eq!(ask(&sluice, known).status, 200);
    let head = |n: u32| match n % 2 {
        0 => base64url(format!(r#"{{"alg":"ES256","kid":"flood-{n}"}}"#).as_bytes()),
        // Which key it is may be anybody's guess.
        _ => base64url(br#"{"alg":"ES256"}"#),
    };
    let (body, begin) = (known.split('.').nth(1).unwrap(), Instant::now());
    let signature = "A".repeat(86);
    let mut wire = sluice.wire();
    for n in 0..2_000 {
        let token = format!("{}.{body}.{signature}", head(n));
        wire.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Token: {token}\r\n\r\n"));
        assert_eq!(wire.reply().status, 401);
    }
    let allowed = 1 + begin.elapsed().as_secs() as usize / 10 + 1;
    assert!(fetches(&of) <= allowed, "{} in {:?}", fetches(&of), begin.elapsed());
    assert_eq!(ask(&sluice, known).status, 200);
}

fn base64url(bytes: &[u8]) -> String {
    dsl::tree::base64::encode_bare(bytes).replace('+', "-").replace('/', "_")
}

/// What becomes of requests when the keys cannot be had.
fn without_keys(of: impl Fn(&Seen, &mut Conn) -> std::io::Result<()> + Send + Sync + 'static, says: &str) {
    let of = Origin::start(of);
    let origin = Origin::echo();
    let sluice = setup(&issuer(&of), &origin).start();
    sluice.says("what is wrong with the provider", |line| line.contains("provider corp") && line.contains(says));
    let token = format!("{}.e30.{}", base64url(br#"{"alg":"ES256","kid":"a"}"#), "A".repeat(86));
    let begin = Instant::now();
    assert_eq!(ask(&sluice, &token).status, 503, "{says}");
    assert!(begin.elapsed() < Duration::from_secs(8), "{says}: {:?}", begin.elapsed());
    origin.saw_nothing();
    // Another site has nothing to do with it.
    assert!(sluice.console_text().contains("its tokens are answered 503"));
}

/// The same, where the discovery document is in order and the keys are not.
fn with_keys(keys: impl Fn(&mut Conn) -> std::io::Result<()> + Send + Sync + 'static, says: &str) {
    let of = move |seen: &Seen, conn: &mut Conn| match &*seen.target {
        "/jwks" => keys(conn),
        _ => publish(seen, conn, &json!([])),
    };
    without_keys(of, says);
}

fn said(kind: &str, text: impl Into<Vec<u8>>) -> impl Fn(&mut Conn) -> std::io::Result<()> {
    let (kind, text) = (format!("Content-Type: {kind}\r\n"), text.into());
    move |conn| conn.respond("200 OK", &kind, text.clone())
}

#[test]
fn attack_the_keys_are_huge() {
    let much = format!("{{\"keys\":[{}\"x\"]}}", "\"x\",".repeat(20_000));
    with_keys(said("application/json", much), "more than 65536 bytes");
}

#[test]
fn attack_the_keys_never_come() {
    with_keys(|conn| conn.hold(), "no answer within 5 s");
}

#[test]
fn attack_the_keys_are_a_page() {
    with_keys(said("text/html", "<html>log in first</html>"), "is no JSON");
}

#[test]
fn attack_the_keys_are_no_keys() {
    with_keys(said("application/json", "{\"keys\":[],\"keys\":[{}]}"), "a name twice");
}

#[test]
fn attack_the_keys_are_elsewhere() {
    let elsewhere = provider(json!([]));
    let to = format!("Location: http://{}/jwks\r\n", elsewhere.addr());
    with_keys(move |conn| conn.respond("302 Found", &to, ""), "redirects are not followed");
    elsewhere.saw_nothing();
}

#[test]
fn attack_the_discovery_document_is_of_somebody_else() {
    without_keys(
        |_, conn| {
            let text = r#"{"issuer":"https://login.example.com","jwks_uri":"https://login.example.com/jwks"}"#;
            conn.respond("200 OK", "Content-Type: application/json\r\n", text)
        },
        "its `issuer` is not",
    );
}

#[test]
fn attack_the_discovery_document_sends_for_keys_in_clear() {
    without_keys(
        |seen, conn| {
            let host = seen.header("host").unwrap_or_default();
            let text = format!(r#"{{"issuer":"http://{host}","jwks_uri":"http://192.0.2.1/jwks"}}"#);
            conn.respond("200 OK", "Content-Type: application/json\r\n", text)
        },
        "this machine only",
    );
}

#[test]
fn keys_that_are_known_go_on_while_the_provider_is_down() {
    let (of, python, _origin, sluice) = world();
    let known = python["valid"]["RS256 by PyJWT"].as_str().unwrap();
    assert_eq!(ask(&sluice, known).status, 200);
    of.change(|_, conn| conn.respond("503 Service Unavailable", "", ""));
    let new = python["next"]["token"].as_str().unwrap();
    let says = |line: &str| line.contains("it answers 503; the keys that are known go on");
    let told = wait::within(Duration::from_secs(20), || {
        assert_eq!(ask(&sluice, new).status, 401);
        sluice.console().iter().any(|line| says(line)).then_some(())
    });
    assert!(told.is_some(), "{}", sluice.console_text());
    assert_eq!(ask(&sluice, known).status, 200, "known keys go on");
    let keys = json!([python["next"]["jwk"]]);
    of.change(move |seen, conn| publish(seen, conn, &keys));
    let back = wait::within(Duration::from_secs(20), || (ask(&sluice, new).status == 200).then_some(()));
    assert!(back.is_some(), "{}", sluice.console_text());
    sluice.says("that it is over", |line| line.contains("the keys of provider corp are had again"));
}
