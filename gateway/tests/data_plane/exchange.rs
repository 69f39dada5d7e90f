//! Requests and answers through the gateway, over HTTP/1.

use super::support::{Origin, Reply, Rig, fixed, hello, plan, pool, proxied, proxy, read_head, refusing, site};
use dsl::syntax::ast::{HeaderOp, Side};
use dsl::syntax::span::Loc;
use dsl::tree::ir::{self, Answer, Cond, Field, HeaderEdit, Step, Test};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_request_goes_to_the_origin_and_its_answer_comes_back() {
    let origin =
        Origin::answering("HTTP/1.1 201 Created\r\nServer: o\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 4\r\n\r\nbody");
    let rig = Rig::new(vec![proxied(origin.address)]);
    let reply = rig.ask("POST /a/b?c=d&e HTTP/1.1\r\nHost: A.test:80\r\nX-B: y\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!((reply.status, reply.text()), (201, "body"));
    assert_eq!(reply.header("server"), Some("o"));
    assert_eq!(reply.head.matches("x-a:").count(), 2);
    assert!(reply.header("date").is_some());
    let (head, body) = origin.seen.lock().unwrap().remove(0);
    assert!(head.starts_with("POST /a/b?c=d&e HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: A.test:80\r\n") && head.contains("x-b: y\r\n"), "{head}");
    assert_eq!(body, b"abc");
}

#[test]
fn the_canonical_path_goes_upstream_and_the_query_as_it_is() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    rig.get("//a/./b/../%7Ec%c3%bc/?x=%7e//../y");
    rig.ask("GET http://a.test?q HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let heads = origin.heads();
    assert!(heads[0].starts_with("GET /a/~c%C3%BC/?x=%7e//../y HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[1].starts_with("GET /?q HTTP/1.1\r\n"), "{}", heads[1]);
}

#[test]
fn connections_are_kept_on_both_sides() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut stream = rig.connect();
    for _ in 0..50 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        assert_eq!(Reply::read(&mut stream).text(), "ok");
    }
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::new(|stream, n| {
        let body = n.to_string();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).is_ok()
    });
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut stream = rig.connect();
    let one = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nabcd";
    stream.write_all(one.repeat(30).as_bytes()).unwrap();
    for n in 0..30 {
        assert_eq!(Reply::read(&mut stream).text(), n.to_string());
    }
}

#[test]
fn chunked_bodies_stream_both_ways_with_trailers() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let rig = Rig::new(vec![proxied(origin.address)]);
    let reply = rig.ask("POST / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-In\r\n\r\n2\r\nxy\r\n0\r\nX-In: 1\r\n\r\n");
    assert_eq!(reply.body, b"abcdefg\0x-sum: 7");
    let (head, body) = origin.seen.lock().unwrap().remove(0);
    assert!(head.contains("te: trailers\r\n") && head.contains("trailer: X-In\r\n"), "{head}");
    assert_eq!(body, b"xy\0x-in: 1");
}

#[test]
fn large_bodies_pass_unchanged() {
    let origin = Origin::new(|stream, _| {
        let body = vec![b'z'; 3_000_000];
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).is_ok()
            && stream.write_all(&body).is_ok()
    });
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut stream = rig.connect();
    let up = vec![b'u'; 2_000_000];
    write!(stream, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n", up.len()).unwrap();
    stream.write_all(&up).unwrap();
    let reply = Reply::read(&mut stream);
    assert_eq!(reply.body.len(), 3_000_000);
    assert_eq!(origin.seen.lock().unwrap()[0].1, up);
}

#[test]
fn expect_100_is_answered_when_the_body_is_wanted() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut stream = rig.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n").unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 100 "));
    stream.write_all(b"abc").unwrap();
    assert_eq!(Reply::read(&mut stream).text(), "ok");
    assert!(!origin.heads()[0].contains("expect"));
}

#[test]
fn expect_100_is_not_answered_when_the_body_is_not_wanted() {
    let mut deny = plan(Answer::Deny { status: 403 });
    deny.settings.body_limit = None;
    let rig = Rig::new(vec![site(vec![("/*", deny)], Vec::new())]);
    let answer =
        rig.until_closed(b"POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer:?}");
}

#[test]
fn head_has_the_length_and_no_body() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let mut rig_site = proxied(origin.address);
    rig_site.hosts = vec![(super::support::host("b.test"), Loc::default())];
    let rig = Rig::new(vec![rig_site, hello()]);
    let mut stream = rig.connect();
    for (name, len) in [("b.test", "5"), ("a.test", "5"), ("b.test", "5")] {
        write!(stream, "HEAD / HTTP/1.1\r\nHost: {name}\r\n\r\n").unwrap();
        let head = read_head(&mut stream).to_ascii_lowercase();
        assert!(head.contains(&format!("content-length: {len}\r\n")), "{head}");
    }
}

#[test]
fn answers_without_content_keep_the_connection() {
    let origin = Origin::new(|stream, n| {
        let status =
            if n % 2 == 0 { "204 No Content\r\n" } else { "304 Not Modified\r\nContent-Length: 9\r\nETag: \"x\"\r\n" };
        write!(stream, "HTTP/1.1 {status}\r\n").is_ok()
    });
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut stream = rig.connect();
    for n in 0..6 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with(if n % 2 == 0 { "HTTP/1.1 204" } else { "HTTP/1.1 304" }), "{head}");
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    }
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn http_1_0_clients_get_no_chunks() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let rig = Rig::new(vec![proxied(origin.address)]);
    let answer = rig.until_closed(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer:?}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer:?}");
    assert!(!answer.to_ascii_lowercase().contains("chunked"), "{answer:?}");
}

#[test]
fn an_early_answer_passes_while_the_client_still_uploads() {
    let origin = Origin::raw(|mut stream, _| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig").unwrap();
        let _ = stream.read(&mut [0; 1024]);
    });
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut stream = rig.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nabc").unwrap();
    let reply = Reply::read(&mut stream);
    assert_eq!((reply.status, reply.text()), (413, "big"));
}

#[test]
fn a_body_over_the_limit_is_413() {
    let origin = Origin::answering(OK);
    let mut limited = plan(proxy());
    limited.settings.body_limit = Some(10);
    let rig = Rig::new(vec![site(vec![("/*", limited)], vec![pool(&[origin.address])])]);
    let known = rig.until_closed(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\nhello world");
    assert!(known.starts_with("HTTP/1.1 413 "), "{known:?}");
    assert_eq!(origin.connections.load(Ordering::SeqCst), 0);
    let unknown = rig.until_closed(
        b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
    );
    assert!(unknown.starts_with("HTTP/1.1 413 "), "{unknown:?}");
    assert_eq!(origin.heads().len(), 0);
    let fits = rig.ask("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhelloworld");
    assert_eq!(fits.status, 200);
}

#[test]
fn policies_edit_headers_and_require() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nX-Origin: 1\r\nContent-Length: 2\r\n\r\nok");
    let edit = |op, side, name: &str, value: &str| {
        let (name, value, when) = (name.into(), fixed(value), Cond::Const(true));
        Step::Header(Arc::new(HeaderEdit { op, side, name, value, when, loc: Loc::default() }))
    };
    let mut guarded = plan(proxy());
    guarded.steps = vec![
        edit(HeaderOp::Set, Side::Response, "x-gate", "yes"),
        Step::Require {
            cond: Cond::Test(Field::Header("x-key".into()), Test::OneOf(vec!["k".into()])),
            otherwise: Answer::Deny { status: 401 },
            loc: Loc::default(),
        },
        edit(HeaderOp::Set, Side::Request, "x-user", "u"),
        edit(HeaderOp::Remove, Side::Request, "x-key", ""),
        edit(HeaderOp::Remove, Side::Response, "x-origin", ""),
        edit(HeaderOp::Add, Side::Response, "x-gate", "late"),
    ];
    let rig = Rig::new(vec![site(vec![("/*", guarded)], vec![pool(&[origin.address])])]);
    let refused = rig.get("/");
    assert_eq!((refused.status, refused.header("x-gate")), (401, Some("yes")));
    let reply = rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: k\r\nX_User: forged\r\n\r\n");
    assert_eq!((reply.status, reply.header("x-origin")), (200, None));
    assert_eq!(reply.head.matches("x-gate").count(), 2);
    let head = origin.heads().remove(0);
    assert!(head.contains("x-user: u\r\n") && !head.contains("x-key") && !head.contains("forged"), "{head}");
    let twice = rig.until_closed(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: k\r\nX-Key: j\r\n\r\n");
    assert!(twice.starts_with("HTTP/1.1 400 "), "{twice:?}");
}

#[test]
fn new_paths_and_hosts_are_sent() {
    let origin = Origin::answering(OK);
    let at = |text: &str, host: Option<&str>| {
        plan(Answer::Proxy { to: ir::Destination::Pool(ir::PoolIdx(0)), at: Some(fixed(text)), host: host.map(fixed) })
    };
    let routes = vec![("/one", at("/new", Some("inner.test"))), ("/two", at("/new?x=1", None))];
    let rig = Rig::new(vec![site(routes, vec![pool(&[origin.address])])]);
    rig.get("/one?q");
    rig.get("/two?q");
    let heads = origin.heads();
    assert!(
        heads[0].starts_with("GET /new?q HTTP/1.1\r\n") && heads[0].contains("host: inner.test\r\n"),
        "{}",
        heads[0]
    );
    assert!(heads[0].contains("x-forwarded-host: a.test\r\n"), "{}", heads[0]);
    assert!(heads[1].starts_with("GET /new?x=1 HTTP/1.1\r\n"), "{}", heads[1]);
}

#[test]
fn unknown_hosts_and_broken_files_are_named() {
    let rig = Rig::new(vec![hello()]);
    let unknown = rig.ask("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n");
    assert_eq!((unknown.status, unknown.text()), (404, "404: no site here answers for host \"b.test\"\n"));
    let broken = rig.ask("GET / HTTP/1.1\r\nHost: broken.test\r\n\r\n");
    assert_eq!(broken.status, 503);
    assert!(broken.text().contains("broken.test"));
    let nowhere = Rig::new(vec![site(vec![("/x", plan(Answer::Deny { status: 403 }))], Vec::new())]);
    assert_eq!(nowhere.get("/y").status, 404);
}

#[test]
fn the_default_site_takes_unknown_hosts() {
    let mut default = hello();
    default.settings.default = true;
    let rig = Rig::new(vec![default]);
    assert_eq!(rig.ask("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n").text(), "hello");
    assert!(rig.until_closed(b"GET / HTTP/1.0\r\n\r\n").ends_with("hello"));
}

#[test]
fn tls_sites_redirect_on_clear_ports() {
    let mut closed = hello();
    closed.settings.http_allowed = false;
    let rig = Rig::new(vec![closed]);
    let reply = rig.get("/a//b?c=d");
    assert_eq!(reply.status, 308);
    let location = format!("https://a.test:{}/a/b?c=d", rig.https.port());
    assert_eq!(reply.header("location"), Some(&*location));
}

#[test]
fn redirects_keep_the_query_unless_they_have_one() {
    let to = |text: &str| plan(Answer::Redirect { status: 302, to: fixed(text), keep_query: true });
    let rig = Rig::new(vec![site(vec![("/a", to("https://b.test/x")), ("/b", to("/x?y"))], Vec::new())]);
    assert_eq!(rig.get("/a?q=1").header("location"), Some("https://b.test/x?q=1"));
    assert_eq!(rig.get("/b?q=1").header("location"), Some("/x?y"));
}

#[test]
fn shares_are_kept() {
    let (one, two) = (Origin::answering(OK), Origin::answering(OK));
    let split = plan(Answer::Proxy {
        to: ir::Destination::Split {
            shares: vec![(7_500, ir::PoolIdx(0)), (2_500, ir::PoolIdx(1))],
            by: None,
            salt: 1,
        },
        at: None,
        host: None,
    });
    let mut second = pool(&[two.address]);
    second.name = "two".into();
    let rig = Rig::new(vec![site(vec![("/*", split)], vec![pool(&[one.address]), second])]);
    let mut stream = rig.connect();
    for _ in 0..400 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        Reply::read(&mut stream);
    }
    let second = two.heads().len();
    assert!((50..150).contains(&second), "{second} of 400");
}

#[test]
fn endpoints_take_turns_and_stand_in_for_each_other() {
    let (one, two) = (Origin::answering(OK), Origin::answering(OK));
    let endpoints = [one.address, refusing(), two.address];
    let rig = Rig::new(vec![site(vec![("/*", plan(proxy()))], vec![pool(&endpoints)])]);
    for _ in 0..30 {
        assert_eq!(rig.get("/").status, 200);
    }
    assert!(one.heads().len() >= 10 && two.heads().len() >= 10);
    assert!(rig.notice().contains("connection refused"));
    assert!(rig.notices.try_recv().is_err(), "told once");
}

#[test]
fn drain_finishes_what_is_in_flight() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::new(move |stream, _| {
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(OK.as_bytes()).is_ok()
    });
    let mut rig = Rig::new(vec![proxied(origin.address)]);
    let (mut busy, mut idle) = (rig.connect(), rig.connect());
    busy.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    while origin.connections.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    let handle = rig.handle.take().unwrap();
    handle.drain(super::support::PATIENCE);
    // The idle connection ends at once.
    assert_eq!(idle.read(&mut [0; 16]).unwrap(), 0);
    go.send(()).unwrap();
    let answer = super::support::read_to_end(&mut busy);
    assert!(answer.ends_with("ok") && answer.contains("connection: close"), "{answer:?}");
    handle.join();
    assert!(std::net::TcpStream::connect(rig.http).is_err());
}

#[test]
fn a_reload_closes_nothing() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut stream = rig.connect();
    let mut ask = || {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        Reply::read(&mut stream).text().to_owned()
    };
    assert_eq!(ask(), "ok");
    let mut elsewhere = proxied(origin.address);
    elsewhere.hosts = vec![(super::support::host("b.test"), Loc::default())];
    rig.publish(vec![hello(), elsewhere]);
    assert_eq!(ask(), "hello");
    // The pool was served all the time, written the same: its idle connections are there.
    rig.publish(vec![proxied(origin.address)]);
    assert_eq!(ask(), "ok");
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1);
    rig.publish(Vec::new());
    assert!(ask().starts_with("404: "));
}

#[test]
fn http_1_0_needs_no_host_and_the_origin_gets_one() {
    let origin = Origin::answering(OK);
    let mut default = proxied(origin.address);
    default.settings.default = true;
    let rig = Rig::new(vec![default]);
    assert!(rig.until_closed(b"GET / HTTP/1.0\r\n\r\n").ends_with("ok"));
    assert!(rig.until_closed(b"GET http://a.test/x HTTP/1.0\r\n\r\n").ends_with("ok"));
    let heads = origin.heads();
    assert!(heads[0].contains(&format!("host: {}\r\n", rig.http)), "{}", heads[0]);
    assert!(heads[1].starts_with("GET /x HTTP/1.1\r\n") && heads[1].contains("host: a.test\r\n"), "{}", heads[1]);
}

#[test]
fn http_1_0_clients_may_keep_their_connection() {
    let rig = Rig::new(vec![hello()]);
    let mut stream = rig.connect();
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n").unwrap();
        assert_eq!(Reply::read(&mut stream).text(), "hello");
    }
}
