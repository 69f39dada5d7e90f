//! Origins that misbehave, and what the client and the console see of it.

use super::support::{
    Origin, PATIENCE, Reply, Rig, fixed, plan, pool, proxied, proxy, read_head, read_request, refusing, site,
};
use dsl::syntax::span::Loc;
use dsl::tree::ir::{Answer, Catch, Check, Destination, PoolIdx, Probe};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::atomic::Ordering;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_refused_connection_is_502_and_told_once() {
    let address = refusing();
    let rig = Rig::new(vec![proxied(address)]);
    for _ in 0..5 {
        let reply = rig.get("/");
        assert_eq!(reply.status, 502);
        assert!(!reply.text().contains(&address.port().to_string()), "leaks the origin");
    }
    assert_eq!(rig.notice(), format!("origin {address} of pool api: connection refused"));
    assert!(rig.notices.try_recv().is_err(), "told once");
}

#[test]
fn a_recovered_origin_is_told() {
    let address = refusing();
    let rig = Rig::new(vec![proxied(address)]);
    assert_eq!(rig.get("/").status, 502);
    assert!(rig.notice().contains("refused"));
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            while read_request(&mut stream).is_some() {
                stream.write_all(OK.as_bytes()).unwrap();
            }
        }
    });
    // Told after a calm time, at the first answer after it.
    loop {
        assert_eq!(rig.get("/").status, 200);
        if let Ok(notice) = rig.notices.recv_timeout(std::time::Duration::from_millis(50)) {
            assert_eq!(notice.to_string(), format!("origin {address} of pool api answers again"));
            return;
        }
    }
}

#[test]
fn endpoints_that_are_down_are_not_asked() {
    let (dead, origin) = (refusing(), Origin::answering(OK));
    let mut checked = pool(&[dead, origin.address]);
    checked.check = Some(Check {
        probe: Probe::Http { method: "GET".into(), path: "/".into(), expect: (200, 299), body: None },
        port: None,
        every_ms: 20,
        within_ms: 2_000,
        rise: 1,
        fall: 2,
    });
    checked.endpoints[1].backup = true;
    let rig = Rig::new(vec![site(vec![("/*", plan(proxy()))], vec![checked.clone()])]);
    let down = |address| format!("endpoint {address} of pool api is down: connection refused (2 checks in a row)");
    assert_eq!(rig.notice(), down(dead));
    assert_eq!(rig.get("/").status, 200, "the backup");
    // Nobody found out by asking it.
    assert!(rig.notices.try_recv().is_err());
    let other = refusing();
    checked.endpoints[1].port = other.port();
    rig.publish(vec![site(vec![("/*", plan(proxy()))], vec![checked])]);
    assert_eq!(rig.notice(), down(other));
    let reply = rig.get("/");
    assert_eq!((reply.status, reply.text()), (503, "503: no origin is up\n"));
}

#[test]
fn no_answer_in_time_is_504() {
    let origin = Origin::raw(|mut stream, _| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut slow = plan(proxy());
    slow.settings.timeout_ms = Some(200);
    let rig = Rig::new(vec![site(vec![("/*", slow)], vec![pool(&[origin.address])])]);
    assert_eq!(rig.get("/").status, 504);
    assert!(rig.notice().contains("no answer within 200 ms"));
}

#[test]
fn an_origin_that_closes_without_an_answer_is_502() {
    let origin = Origin::new(|_, _| false);
    let rig = Rig::new(vec![proxied(origin.address)]);
    assert_eq!(rig.get("/").status, 502);
    assert!(rig.notice().contains("without an answer"));
}

#[test]
fn nonsense_from_an_origin_is_502() {
    let origin = Origin::answering("NONSENSE\r\n\r\n");
    let rig = Rig::new(vec![proxied(origin.address)]);
    assert_eq!(rig.get("/").status, 502);
}

fn cut(answer: &'static str, version: &str) -> String {
    let origin = Origin::new(move |stream, _| {
        stream.write_all(answer.as_bytes()).unwrap();
        false
    });
    let rig = Rig::new(vec![proxied(origin.address)]);
    let answer = rig.until_closed(format!("GET / HTTP/{version}\r\nHost: a.test\r\n\r\n").as_bytes());
    assert!(rig.notice().contains("in the middle of an answer"));
    answer
}

#[test]
fn an_origin_that_dies_mid_body_cuts_the_client() {
    let length = cut("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "1.1");
    assert!(length.contains("content-length: 10") && !length.contains("abc\r\n"), "{length:?}");
    let chunked = cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "1.1");
    assert!(!chunked.contains("\r\n0\r\n"), "no last chunk: {chunked:?}");
}

#[test]
fn an_origin_that_dies_mid_body_resets_a_client_that_has_no_other_sign() {
    // To an HTTP/1.0 client the end of the connection is the end of the body.
    let old = cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "1.0");
    assert!(old.contains("ConnectionReset"), "{old:?}");
}

#[test]
fn an_origin_that_falls_silent_mid_body_is_cut() {
    let origin = Origin::raw(|mut stream, _| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut quick = plan(proxy());
    quick.settings.idle_ms = Some(200);
    let rig = Rig::new(vec![site(vec![("/*", quick)], vec![pool(&[origin.address])])]);
    let answer = rig.until_closed(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(answer.contains("content-length: 10"), "{answer:?}");
    assert!(rig.notice().contains("fell silent"));
}

#[test]
fn a_dead_idle_connection_is_replaced() {
    // Each connection answers one request, and takes a second one without answering it.
    let origin = Origin::raw(|mut stream, _| {
        if read_request(&mut stream).is_some() {
            stream.write_all(OK.as_bytes()).unwrap();
            let _ = read_request(&mut stream);
        }
    });
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut stream = rig.connect();
    for _ in 0..5 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        assert_eq!(Reply::read(&mut stream).text(), "ok");
    }
    assert_eq!(origin.connections.load(Ordering::SeqCst), 5);
    // What an origin may have acted on is not sent twice.
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx").unwrap();
    assert_eq!(Reply::read(&mut stream).status, 502);
}

#[test]
fn a_client_body_that_stalls_is_408() {
    let origin = Origin::answering(OK);
    let mut quick = plan(proxy());
    quick.settings.idle_ms = Some(200);
    let rig = Rig::new(vec![site(vec![("/*", quick)], vec![pool(&[origin.address])])]);
    let answer = rig.until_closed(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nab");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    assert!(rig.notices.try_recv().is_err(), "no fault of the origin");
}

#[test]
fn a_client_that_leaves_takes_its_request_along() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::raw(move |mut stream, _| {
        read_head(&mut stream);
        tell.lock().unwrap().send("arrived").unwrap();
        let end = stream.read(&mut [0; 16]);
        tell.lock().unwrap().send(if matches!(end, Ok(0) | Err(_)) { "gone" } else { "bytes" }).unwrap();
    });
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut stream = rig.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "arrived");
    stream.shutdown(Shutdown::Both).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "gone");
    assert!(rig.notices.try_recv().is_err(), "no fault of the origin");
}

#[test]
fn catches_replace_failures_and_statuses() {
    let failing = Origin::answering("HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\ndown");
    let spare = Origin::answering(OK);
    let page = |text: &str| Answer::Respond { status: 200, body: fixed(text), content_type: "text/plain".into() };
    let catch = |statuses: &[u16], answer: Answer| Catch { statuses: statuses.to_vec(), answer, loc: Loc::default() };
    let to = |n| Answer::Proxy { to: Destination::Pool(PoolIdx(n)), at: None, host: None };
    let mut caught = plan(to(0));
    caught.catches = vec![catch(&[500], page("inner")), catch(&[503], page("outer"))];
    let mut refused = plan(to(1));
    refused.catches = vec![catch(&[502], to(2))];
    let mut own = plan(Answer::Deny { status: 503 });
    own.catches = vec![catch(&[503], page("never"))];
    let mut pools = vec![pool(&[failing.address]), pool(&[refusing()]), pool(&[spare.address])];
    for (n, pool) in pools.iter_mut().enumerate() {
        pool.name = format!("p{n}").into();
    }
    let mut elsewhere = plan(to(0));
    elsewhere.catches = vec![catch(&[503], to(2))];
    let routes = vec![("/a", caught), ("/b", refused), ("/c", own), ("/d", elsewhere)];
    let rig = Rig::new(vec![site(routes, pools)]);
    assert_eq!(rig.get("/a").text(), "outer");
    assert_eq!(rig.get("/b?q").text(), "ok");
    assert!(spare.heads()[0].starts_with("GET /b?q HTTP/1.1\r\n"));
    assert_eq!(rig.get("/c").status, 503);
    // A body that nobody has taken goes to the other pool; one that was consumed cannot: its answer stands.
    let posted = rig.ask("POST /b HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(posted.text(), "ok");
    assert_eq!(spare.seen.lock().unwrap().last().unwrap().1, b"x");
    let posted = rig.ask("POST /d HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!((posted.status, posted.text()), (503, "down"));
}
