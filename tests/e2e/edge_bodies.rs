//! Requests that are judged by their bodies, from outside: what an origin gets is what the client sent, byte for
//! byte, and what two readers would read differently gets to nobody.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use hyper::body::Frame;
use sluice_tests::client::{frames, full};
use sluice_tests::origin::Origin;
use sluice_tests::peer;
use sluice_tests::sluice::{Sluice, TempDir};
use sluice_tests::wire::{Reply, Wire};
use std::sync::atomic::{AtomicBool, Ordering};

const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// A site with these lines before an origin that tells requests back.
fn site(lines: &str) -> (Origin, Sluice) {
    let origin = Origin::echo();
    let route =
        format!("pool web = {}\n\nsite a.test {{\n    http allowed\n{lines}\n    else -> web\n}}\n", origin.addr());
    let sluice = Sluice::with(route);
    (origin, sluice)
}

/// Only who says that it is a user may pass.
fn users() -> (Origin, Sluice) {
    site("    inspect 1KB\n    require body.json(\"/user/role\") is \"user\" else deny 403")
}

fn post(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("POST /x HTTP/1.1\r\nHost: a.test\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn chunked(headers: &str, chunks: &[&str]) -> String {
    let mut request = format!("POST /x HTTP/1.1\r\nHost: a.test\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
    for chunk in chunks {
        request.push_str(&format!("{:x};ext=\"a\"\r\n{chunk}\r\n", chunk.len()));
    }
    request + "0\r\n\r\n"
}

fn asked(sluice: &Sluice, request: impl AsRef<[u8]>) -> Reply {
    let mut wire = sluice.wire();
    wire.send(request);
    wire.reply()
}

fn wire_status(wire: &mut Wire, request: impl AsRef<[u8]>) -> u16 {
    wire.send(request);
    wire.reply().status
}

const GOOD: &str = r#"{"user": {"role": "user"}, "n": [1, 2.5e3]}  "#;

#[test]
fn the_origin_gets_the_body_byte_for_byte() {
    let (origin, sluice) = users();
    // On one connection: what was looked into is read to its end.
    let mut wire = sluice.wire();
    for _ in 0..2 {
        assert_eq!(wire_status(&mut wire, post(JSON, GOOD)), 200);
        assert_eq!(wire_status(&mut wire, post(JSON, r#"{"user": {"role": "admin"}}"#)), 403);
        let (first, second) = GOOD.split_at(9);
        assert_eq!(wire_status(&mut wire, chunked(JSON, &[first, second])), 200);
    }
    let seen = origin.requests();
    assert_eq!(seen.len(), 4);
    for (n, seen) in seen.iter().enumerate() {
        assert_eq!((seen.body.as_slice(), seen.complete), (GOOD.as_bytes(), true));
        // Told in the way in which the client told.
        let framing = (seen.header("content-length").is_some(), seen.header("transfer-encoding").is_some());
        assert_eq!(framing, if n % 2 == 0 { (true, false) } else { (false, true) });
    }
}

#[test]
fn the_origin_gets_the_body_byte_for_byte_over_h2() {
    let (origin, sluice) = users();
    let mut h2 = sluice.h2();
    let request =
        |body| Request::post("http://a.test/x").header("content-type", "application/json").body(body).unwrap();
    assert_eq!(h2.ask(request(full(GOOD))).status, 200);
    assert_eq!(h2.ask(request(full(r#"{"user": {"role": "root"}}"#))).status, 403);
    let pieces: Vec<_> = GOOD.bytes().map(|b| Frame::data(Bytes::from(vec![b]))).collect();
    let trailers = HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), HeaderValue::from_static("7"))]);
    let with_trailers = pieces.into_iter().chain([Frame::trailers(trailers)]).collect();
    let mut request = request(frames(with_trailers));
    // hyper sends what is announced.
    request.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
    let answer = h2.ask(request);
    assert_eq!((answer.status.as_u16(), answer.cut), (200, None));
    let seen = origin.requests();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.body == GOOD.as_bytes() && seen.complete), "{seen:?}");
    assert_eq!(seen[1].trailers, [("x-sum".to_owned(), "7".to_owned())]);
}

#[test]
fn a_long_body_streams_on_behind_what_was_looked_at() {
    let (origin, sluice) = site("    inspect 1KB else pass\n    require not (body.text has \"evil\") else deny 403");
    let long = "0123456789abcdef".repeat(20_000);
    let answer = asked(&sluice, post("Content-Type: text/plain\r\n", &long));
    assert_eq!(answer.json()["body_len"], long.len());
    assert_eq!(asked(&sluice, post("Content-Type: text/plain\r\n", format!("evil{long}"))).status, 403);
    // `else pass` means what it says.
    assert_eq!(asked(&sluice, post("Content-Type: text/plain\r\n", format!("{long}evil"))).status, 200);
    let chunk = &long[..4096];
    let answer = asked(&sluice, chunked("Content-Type: text/plain\r\n", &[chunk; 10]));
    assert_eq!(answer.json()["body"].as_str().unwrap(), chunk.repeat(10));
    let seen = origin.requests();
    assert!(seen.iter().all(|seen| seen.complete), "{}", seen.len());
}

#[test]
fn continue_is_said_when_a_body_is_looked_into() {
    let (origin, sluice) = users();
    let mut wire = sluice.wire();
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: a.test\r\n{JSON}Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        GOOD.len()
    );
    wire.send(&head);
    assert_eq!(wire.head().expect("an interim answer").status, 100);
    wire.send(GOOD);
    assert_eq!(wire.reply().status, 200);
    assert_eq!(origin.requests().len(), 1);
    // What the head alone refuses is refused at once, and no body is asked for.
    for (head, status) in
        [(head.replace("application/json", "text/plain"), 415), (head.replace(&GOOD.len().to_string(), "1025"), 413)]
    {
        let mut wire = sluice.wire();
        wire.send(head);
        assert_eq!(wire.reply().status, status);
        assert!(wire.rest().is_empty(), "the connection is closed");
    }
}

#[test]
fn requests_whose_program_reads_no_body_are_not_held() {
    let origin = Origin::echo();
    let route = format!(
        "pool web = {}\n\nsite a.test {{\n    http allowed\n    /checked {{\n        \
         require body.json(\"/a\") is \"b\"\n        -> web\n    }}\n    else -> web\n}}\n",
        origin.addr()
    );
    let sluice = Sluice::with(route);
    let mut wire = sluice.wire();
    wire.send("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nab");
    // The origin has the head, though most of the body is still to come.
    let seen = origin.first();
    assert_eq!(seen.target, "/x");
    wire.send("cde");
    assert_eq!(wire.reply().json()["body"], "abcde");
    // Nor is one without a body waited for.
    assert_eq!(asked(&sluice, "GET /checked HTTP/1.1\r\nHost: a.test\r\n\r\n").status, 403);
}

#[test]
fn a_body_chooses_the_route_behind_the_policies() {
    let origin = Origin::echo();
    let route = format!(
        "pool rpc = {addr}\n\npool web = {addr}\n\nsite a.test {{\n    http allowed\n    /rpc {{\n        \
         require header.x-key is \"k\" else deny 401\n        \
         when body.json(\"/method\") is \"send\" -> rpc at /send\n        else -> web at /other\n    }}\n}}\n",
        addr = origin.addr()
    );
    let sluice = Sluice::with(route);
    let send = |headers: &str, body: &str| {
        asked(&sluice, String::from_utf8(post(&format!("{JSON}{headers}"), body)).unwrap().replace("/x", "/rpc"))
    };
    assert_eq!(send("X-Key: k\r\n", r#"{"method": "send"}"#).json()["target"], "/send");
    assert_eq!(send("X-Key: k\r\n", r#"{"method": "read"}"#).json()["target"], "/other");
    assert_eq!(send("", r#"{"method": "send"}"#).status, 401);
    // Behind the policies of its block: nothing of the body is read for who may not enter.
    assert_eq!(send("", "{not json").status, 401);
    assert_eq!(send("X-Key: k\r\n", "{not json").status, 400);
}

#[test]
fn what_a_body_says_is_a_key_and_a_header() {
    let (origin, sluice) = site(
        "    limit 1/h per body.form(\"user\") if missing \"nobody\"\n    \
         set request header x-who = body.form(\"user\") if missing \"nobody\"",
    );
    assert_eq!(asked(&sluice, post(FORM, "user=ann&x=1")).status, 200);
    assert_eq!(asked(&sluice, post(FORM, "x=2&user=%61nn")).status, 429);
    assert_eq!(asked(&sluice, post(FORM, "user=bob")).status, 200);
    assert_eq!(asked(&sluice, post(FORM, "x=1")).status, 200);
    let who: Vec<String> = origin.requests().iter().map(|seen| seen.header("x-who").unwrap().to_owned()).collect();
    assert_eq!(who, ["ann", "bob", "nobody"]);
    // A line break in it is none in a header.
    assert_eq!(asked(&sluice, post(FORM, "user=eve%0d%0aX-Admin:+1")).status, 400);
}

#[test]
fn retries_send_the_body_again() {
    let asked_before = AtomicBool::new(false);
    let origin = Origin::start(move |seen, conn| {
        conn.body(seen)?;
        let status = if asked_before.swap(true, Ordering::SeqCst) { "200 OK" } else { "502 Bad Gateway" };
        conn.respond(status, "", "")
    });
    let route = format!(
        "pool web {{\n    {}\n    retry 1 on [502] body 64KB any method\n}}\n\nsite a.test {{\n    http allowed\n    \
         require body.json(\"/a\") is \"b\"\n    else -> web\n}}\n",
        origin.addr()
    );
    let sluice = Sluice::with(route);
    assert_eq!(asked(&sluice, post(JSON, r#"{"a": "b"}"#)).status, 200);
    let seen = origin.requests();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.body == br#"{"a": "b"}"# && seen.complete), "{seen:?}");
}

#[test]
fn body_limits_hold_for_what_is_looked_into() {
    let (origin, sluice) = site("    body limit 100B\n    require not (body.text has \"evil\")");
    let text = "Content-Type: text/plain\r\n";
    assert_eq!(asked(&sluice, post(text, "x".repeat(100))).status, 200);
    // By its length, before any of it is read.
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Type: text/plain\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(wire.reply().status, 413);
    // And while it comes.
    assert_eq!(asked(&sluice, chunked(text, &["x".repeat(60).as_str(), "x".repeat(60).as_str()])).status, 413);
    let mut h2 = sluice.h2();
    let pieces = (0..5).map(|_| Frame::data(Bytes::from(vec![b'x'; 30]))).collect();
    let request = Request::post("http://a.test/").header("content-type", "text/plain").body(frames(pieces)).unwrap();
    assert_eq!(h2.ask(request).status, 413);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn body_limits_hold_over_h2_where_nothing_is_looked_into() {
    let (origin, sluice) = site("    body limit 100B");
    let mut h2 = sluice.h2();
    let post = |body| Request::post("http://a.test/").body(body).unwrap();
    assert_eq!(h2.ask(post(full(vec![b'x'; 100]))).status, 200);
    assert_eq!(h2.ask(post(full(vec![b'x'; 101]))).status, 413);
    let pieces = (0..5).map(|_| Frame::data(Bytes::from(vec![b'x'; 30]))).collect();
    assert_eq!(h2.ask(post(frames(pieces))).status, 413);
    assert_eq!(h2.ask(post(full("x"))).status, 200, "the connection goes on");
    let seen = origin.requests();
    assert!(seen.iter().filter(|seen| seen.complete).all(|seen| seen.body_len <= 100), "{seen:?}");
}

/// What curl sends with these arguments, and the status that it gets.
fn curl(sluice: &Sluice, version: &str, args: &[&str]) -> String {
    let mut curl = peer::command("curl", "curl");
    curl.args(["-sS", "--noproxy", "*", version, "-o", "/dev/null", "-w", "%{http_code}", "--connect-to"]);
    curl.arg(format!("a.test:80:{}", sluice.http)).args(args).arg("http://a.test/x");
    peer::succeed(&mut curl)
}

#[test]
fn forms_and_json_of_curl() {
    let (origin, sluice) = site(
        "    inspect 128KB\n    when header.content-type starts with \"application/json\" {\n        \
         require body.json(\"/user/role\") is \"user\"\n        -> web\n    }\n    \
         when header.content-type starts with \"multipart/\" {\n        \
         require body.form(\"role\") is \"us er&\" and body.file(\"doc\") is \"notes.txt\"\n        -> web\n    }\n    \
         when header.content-type starts with \"application/x-www\" {\n        \
         require body.form(\"role\") is \"us er&\"\n        -> web\n    }",
    );
    let dir = TempDir::new();
    let doc = dir.path().join("notes.txt");
    std::fs::write(&doc, "x".repeat(50_000)).unwrap();
    let file = format!("doc=@{}", doc.display());
    let json = dir.path().join("body.json");
    std::fs::write(&json, format!("{{\"pad\": \"{}\", \"user\": {{\"role\": \"user\"}}}}", "x".repeat(60_000)))
        .unwrap();
    let data = format!("@{}", json.display());
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let asked = |args: &[&str]| curl(&sluice, version, args);
        assert_eq!(asked(&["--data-urlencode", "role=us er&", "-d", "x=1"]), "200");
        assert_eq!(asked(&["--data-urlencode", "role=us er", "-d", "x=1"]), "403");
        assert_eq!(asked(&["-F", "role=us er&", "-F", &file]), "200");
        assert_eq!(asked(&["-F", "role=us er&", "-F", &file, "-F", "role=root"]), "400");
        assert_eq!(asked(&["-F", "role=us er&", "-F", &format!("{file};filename=x")]), "403");
        assert_eq!(asked(&["-H", "Content-Type: application/json", "--data-binary", &data]), "200");
        // In chunks, and with an answer to `Expect` awaited.
        let chunked = ["-H", "Content-Type: application/json", "-H", "Expect: 100-continue", "--data-binary", &data];
        assert_eq!(asked(&[&chunked[..], &["-H", "Transfer-Encoding: chunked"]].concat()), "200");
    }
    let sent = std::fs::read(&json).unwrap();
    let seen = origin.requests();
    assert_eq!(seen.len(), 8);
    assert!(seen.iter().all(|seen| seen.complete));
    assert_eq!(seen.iter().filter(|seen| seen.body_len == sent.len()).count(), 4);
}

/// A request that must get to nobody.
fn refused(origin: &Origin, sluice: &Sluice, request: impl AsRef<[u8]>, status: u16) {
    let request = request.as_ref();
    assert_eq!(asked(sluice, request).status, status, "{}", String::from_utf8_lossy(request));
    assert_eq!(origin.requests().len(), 0, "{}", String::from_utf8_lossy(request));
}

#[test]
fn attack_duplicate_json_name() {
    let (origin, sluice) = users();
    for body in [
        r#"{"user": {"role": "user", "role": "admin"}}"#,
        r#"{"user": {"role": "user"}, "user": {"role": "admin"}}"#,
        r#"{"user": {"role": "user", "r\u006fle": "admin"}}"#,
        r#"{"user": {"role": "user", "Role": "admin"}}"#,
        r#"{"user": {"role": "user"}} {"user": {"role": "admin"}}"#,
        r#"{"user": {"role": "user" /*, "role": "admin" */}}"#,
    ] {
        refused(&origin, &sluice, post(JSON, body), 400);
        refused(&origin, &sluice, chunked(JSON, &[body]), 400);
    }
}

#[test]
fn attack_json_in_another_encoding() {
    let (origin, sluice) = users();
    let utf16 = |body: &str| body.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let marked = |body: &[u8]| [b"\xef\xbb\xbf", body].concat();
    let user = r#"{"user": {"role": "user"}}"#;
    refused(&origin, &sluice, post(JSON, utf16(user)), 400);
    refused(&origin, &sluice, post(JSON, marked(user.as_bytes())), 400);
    refused(&origin, &sluice, post(JSON, b"{\"user\": {\"role\": \"user\", \"x\": \"\xff\"}}"), 400);
    refused(&origin, &sluice, post(JSON, r#"{"user": {"role": "user", "x": "\ud800"}}"#), 400);
    for kind in [
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-16",
        "text/plain",
        "application/json, text/plain",
        "multipart/form-data; boundary=x",
    ] {
        refused(&origin, &sluice, post(&format!("Content-Type: {kind}\r\n"), user), 415);
    }
    refused(&origin, &sluice, post(&format!("{JSON}{JSON}"), user), 415);
    refused(&origin, &sluice, post("", user), 415);
    for coding in ["gzip", "deflate", "identity, br"] {
        refused(&origin, &sluice, post(&format!("{JSON}Content-Encoding: {coding}\r\n"), user), 415);
    }
}

#[test]
fn attack_json_bombs() {
    let (origin, sluice) = site("    require body.json(\"/a\") is \"b\"");
    refused(&origin, &sluice, post(JSON, format!("{{\"x\": {}{}}}", "[".repeat(20_000), "]".repeat(20_000))), 400);
    refused(&origin, &sluice, post(JSON, "[".repeat(60_000)), 400);
    refused(&origin, &sluice, post(JSON, r#"{"a": 1e999999999}"#), 400);
    refused(&origin, &sluice, post(JSON, format!("{{\"a\": {}}}", "9".repeat(50_000))), 400);
}

#[test]
fn attack_padding_beyond_the_prefix() {
    let (origin, sluice) = users();
    let padded = format!("{{{}\"user\": {{\"role\": \"admin\"}}}}", " ".repeat(2_000));
    refused(&origin, &sluice, post(JSON, &padded), 413);
    refused(&origin, &sluice, chunked(JSON, &[&padded]), 413);
    refused(&origin, &sluice, chunked(JSON, &[&padded[..700], &padded[700..]]), 413);
    let mut h2 = sluice.h2();
    let pieces = padded.bytes().map(|b| Frame::data(Bytes::from(vec![b]))).collect();
    let request =
        Request::post("http://a.test/").header("content-type", "application/json").body(frames(pieces)).unwrap();
    assert_eq!(h2.ask(request).status, 413);
    origin.saw_nothing();
}

#[test]
fn attack_form_parameter_pollution() {
    let (origin, sluice) = site("    require body.form(\"role\") is \"user\"");
    for body in [
        "role=user&role=admin",
        "role=user&r%6fle=admin",
        "role=user;role=admin",
        "role=user&role[]=admin",
        "role=user&ROLE=admin",
        "role=user&+role=admin",
        "role=user&role%00=admin",
        "role=user&x=%zz",
        "role=user&x=%ff",
    ] {
        refused(&origin, &sluice, post(FORM, body), 400);
    }
    assert_eq!(asked(&sluice, post(FORM, "role=user&role=user")).status, 200);
}

#[test]
fn attack_multipart_boundary() {
    let (origin, sluice) = site("    require body.form(\"role\") is \"user\"");
    let kind = "Content-Type: multipart/form-data; boundary=X\r\n";
    let part = |value: &str| format!("--X\r\nContent-Disposition: form-data; name=\"role\"\r\n\r\n{value}\r\n");
    let end = "--X--\r\n";
    let user = part("user");
    for body in [
        format!("{user}{}{end}", part("admin")),
        format!("{user}{end}{}{end}", part("admin")),
        format!(
            "{}{end}",
            user.replace("user\r\n", "user\n--X\nContent-Disposition: form-data; name=\"role\"\n\nadmin\r\n")
        ),
        format!("x\r\n{user}{end}"),
        format!("{}{end}", user.replace("; name=\"role\"", "; name=\"role\"; name=\"x\"")),
        format!("{}{end}", user.replace("; name=\"role\"", "; name=\"role\"; filename=\"x\"")),
        user.clone(),
    ] {
        refused(&origin, &sluice, post(kind, body), 400);
    }
    let good = format!("{user}{end}");
    for kind in ["multipart/form-data; boundary=X; boundary=Y", "multipart/form-data", "multipart/mixed; boundary=X"] {
        refused(&origin, &sluice, post(&format!("Content-Type: {kind}\r\n"), &good), 415);
    }
    assert_eq!(asked(&sluice, post(kind, good)).status, 200);
}

#[test]
fn attack_smuggling_behind_a_body_that_is_looked_into() {
    let (origin, sluice) = users();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    for request in [
        format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\n{JSON}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("POST / HTTP/1.1\r\nHost: a.test\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\n5a\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: a.test\r\n{JSON}Transfer-Encoding: chunked\r\n\r\nzz\r\n{GOOD}\r\n0\r\n\r\n"),
    ] {
        let mut wire = sluice.wire();
        wire.send(request).send(smuggled);
        assert_eq!(wire.reply().status, 400);
        assert!(wire.rest().is_empty(), "the connection is closed");
    }
    // A refused body is no request: what follows it is read where it ends.
    let mut wire = sluice.wire();
    wire.send(post(JSON, format!(r#"{{"user": {{"role": "admin", "x": "{}"}}}}"#, smuggled.replace("\r\n", "\\r\\n"))));
    assert_eq!(wire.reply().status, 403);
    origin.saw_nothing();
}

#[test]
fn attack_slow_body_that_is_looked_into() {
    for lines in ["    idle 500ms\n    require body.json(\"/a\") is \"b\"", "    require body.json(\"/a\") is \"b\""] {
        let (origin, sluice) = site(lines);
        let mut wire = sluice.wire();
        wire.send(&post(JSON, r#"{"a": "b"}"#)[..90]);
        assert_eq!(wire.reply().status, 408, "{lines}");
        assert!(wire.rest().is_empty(), "the connection is closed");
        origin.saw_nothing();
    }
}

#[test]
fn attack_many_slow_bodies_fill_no_memory() {
    const MIB: usize = 1 << 20;
    let (origin, sluice) = site("    inspect 1MB\n    require not (body.text has \"evil\")");
    let before = sluice.rss();
    let whole = post("Content-Type: text/plain\r\n", "x".repeat(MIB));
    // All of each but its last byte.
    let mut wires: Vec<Wire> = (0..100)
        .map(|_| {
            let mut wire = sluice.wire();
            // Those that are refused are closed while they send.
            let _ = wire.try_send(&whole[..whole.len() - 1]);
            wire
        })
        .collect();
    let mut refused = 0;
    for wire in &mut wires {
        let _ = wire.try_send(b"x");
        let status = wire.try_reply("POST").map(|reply| reply.status);
        assert!(matches!(status, Some(200 | 408 | 503) | None), "{status:?}");
        refused += usize::from(status != Some(200));
    }
    assert!(refused >= 30, "{refused} of 100 were refused, and no more than 64 fit");
    assert!(sluice.peak_rss() < before + 160 * MIB, "{} {before}", sluice.peak_rss());
    drop(wires);
    // What they held is given back.
    assert_eq!(asked(&sluice, &whole).status, 200);
    assert!(origin.requests().iter().all(|seen| seen.body_len == MIB));
}

#[test]
fn attack_a_client_that_breaks_off_its_body() {
    let (origin, sluice) = users();
    let mut wire = sluice.wire();
    wire.send(&post(JSON, GOOD)[..90]);
    wire.finish();
    assert!(wire.try_reply("POST").is_none_or(|reply| reply.status == 400));
    origin.saw_nothing();
    assert_eq!(asked(&sluice, post(JSON, GOOD)).status, 200);
}

#[test]
fn attack_a_header_in_trailers_behind_a_body_that_is_looked_into() {
    let (origin, sluice) = site("    set request header x-who = body.json(\"/a\") if missing \"nobody\"");
    let trailers = HeaderMap::from_iter([
        (http::HeaderName::from_static("x-who"), HeaderValue::from_static("root")),
        (http::HeaderName::from_static("x-sum"), HeaderValue::from_static("7")),
    ]);
    let body = frames(vec![Frame::data(Bytes::from_static(b"{\"a\": \"ann\"}")), Frame::trailers(trailers)]);
    let request = Request::post("http://a.test/").header("content-type", "application/json");
    let request = request.header("trailer", "x-sum, x-who").body(body).unwrap();
    assert_eq!(sluice.h2().ask(request).status, 200);
    let seen = origin.only();
    assert_eq!(seen.header("x-who"), Some("ann"));
    assert_eq!(seen.trailers, [("x-sum".to_owned(), "7".to_owned())]);
}

#[test]
fn grpc_and_websocket_are_left_alone() {
    let (origin, sluice) = site("    require not (body.text has \"evil\")");
    // Its clients are told in the way that they understand.
    let refused = asked(&sluice, post("Content-Type: application/grpc\r\n", "x"));
    assert!(refused.header("grpc-status").is_some_and(|status| status != "0"), "{refused:?}");
    origin.saw_nothing();
    let handshake = "GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(asked(&sluice, handshake).status, 200, "the origin does not switch");
}
