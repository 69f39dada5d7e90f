//! `retry`: what is sent once more, where to, and how often.

use super::support::{Origin, PATIENCE, Reply, Rig, plan, pool, proxied, proxy, read_request, refusing, site};
use dsl::tree::ir::{Pool, Retry, RetryOn};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Instant;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const DOWN: &str = "HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\ndown";

/// Two more tries, after anything that may be listed.
fn retry() -> Retry {
    let statuses = vec![502, 503];
    Retry {
        times: 2,
        on: RetryOn { connect: true, reset: true, refused: true, timeout: true, statuses },
        within_ms: Some(10_000),
        each_ms: None,
        budget: 20,
        body_bytes: 0,
        any_method: false,
    }
}

fn retrying(endpoints: &[SocketAddr], change: impl FnOnce(&mut Retry)) -> Pool {
    let mut pool = pool(endpoints);
    let mut said = retry();
    change(&mut said);
    pool.retry = Some(said);
    pool
}

fn rig(pool: Pool) -> Rig {
    Rig::new(vec![site(vec![("/*", plan(proxy()))], vec![pool])])
}

fn post(path: &str, method: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_status_goes_to_the_other_endpoint_and_its_connection_is_kept() {
    let (down, up) = (Origin::answering(DOWN), Origin::answering(OK));
    let rig = rig(retrying(&[down.address, up.address], |_| {}));
    for _ in 0..8 {
        assert_eq!(rig.get("/").text(), "ok");
    }
    assert!(down.heads().len() >= 3, "it is still asked");
    assert_eq!(down.connections.load(Ordering::SeqCst), 1, "its answers were read to their ends");
}

#[test]
fn the_same_endpoint_is_asked_again_where_there_is_no_other() {
    let origin = Origin::new(|stream, n| stream.write_all(if n < 2 { DOWN } else { OK }.as_bytes()).is_ok());
    let rig = rig(retrying(&[origin.address], |_| {}));
    assert_eq!(rig.get("/").text(), "ok");
    assert_eq!(origin.heads().len(), 3);
}

#[test]
fn what_is_left_in_the_end_is_passed_on() {
    let origin = Origin::answering("HTTP/1.1 503 No\r\nX-Why: me\r\nContent-Length: 4\r\n\r\ndown");
    let rig = rig(retrying(&[origin.address], |_| {}));
    let reply = rig.get("/");
    assert_eq!((reply.status, reply.text()), (503, "down"));
    assert_eq!(reply.header("x-why"), Some("me"));
    assert_eq!(origin.heads().len(), 3);
}

#[test]
fn only_idempotent_requests_are_sent_again() {
    let origin = Origin::answering(DOWN);
    let rig = rig(retrying(&[origin.address], |retry| retry.body_bytes = 100));
    assert_eq!(rig.ask(&post("/", "POST", "x")).status, 503);
    assert_eq!(origin.heads().len(), 1);
    assert_eq!(rig.ask(&post("/", "PUT", "x")).status, 503);
    assert_eq!(origin.heads().len(), 4);
}

#[test]
fn any_method_is_sent_again_where_the_route_says_so() {
    let origin = Origin::answering(DOWN);
    let own = pool(&[origin.address]);
    let mut any = plan(proxy());
    any.settings.retry = Some(Retry { any_method: true, body_bytes: 100, times: 1, ..retry() });
    let rig = Rig::new(vec![site(vec![("/*", any)], vec![own])]);
    assert_eq!(rig.ask(&post("/", "POST", "x")).status, 503);
    assert_eq!(origin.heads().len(), 2);
}

#[test]
fn bodies_are_sent_again_up_to_the_bound() {
    let origin = Origin::new(|stream, n| stream.write_all(if n % 2 == 0 { DOWN } else { OK }.as_bytes()).is_ok());
    let rig = rig(retrying(&[origin.address], |retry| retry.body_bytes = 10));
    assert_eq!(rig.ask(&post("/", "PUT", "0123456789")).text(), "ok");
    let chunked = "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n\
                   4\r\nabcd\r\n4\r\nefgh\r\n0\r\nx-t: 1\r\n\r\n";
    assert_eq!(rig.ask(chunked).text(), "ok");
    let seen: Vec<_> = origin.seen.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
    assert_eq!(seen[0], b"0123456789");
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[2], seen[3], "with its trailers");
    assert!(seen[2].starts_with(b"abcdefgh\0"), "{:?}", seen[2]);
    // One byte more, said beforehand or not.
    assert_eq!(rig.ask(&post("/", "PUT", "0123456789a")).status, 503);
    assert_eq!(origin.heads().len(), 5);
    let _ = rig.get("/");
    let long = "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n";
    assert_eq!(rig.ask(long).status, 503);
}

#[test]
fn a_connection_that_breaks_is_a_reset() {
    let origin = Origin::new(|stream, n| n >= 2 && stream.write_all(OK.as_bytes()).is_ok());
    let ours = rig(retrying(&[origin.address], |_| {}));
    assert_eq!(ours.get("/").text(), "ok");
    assert_eq!(origin.heads().len(), 3);
    // Where it is not listed, it is not tried again.
    let origin = Origin::new(|_, _| false);
    let ours = rig(retrying(&[origin.address], |retry| retry.on.reset = false));
    assert_eq!(ours.get("/").status, 502);
    assert_eq!(origin.heads().len(), 1);
}

#[test]
fn what_is_no_answer_is_tried_again_like_a_reset() {
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(300_000));
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    for garbage in ["NONSENSE\r\n\r\n", "HTTP/1.1 200 OK\r\nX: y", both, &huge] {
        let text = garbage.to_owned();
        let bad = Origin::new(move |stream, _| {
            let _ = stream.write_all(text.as_bytes());
            false
        });
        let good = Origin::answering(OK);
        let both = [bad.address, good.address];
        let ours = rig(retrying(&both, |_| {}));
        for _ in 0..2 {
            assert_eq!(ours.get("/").text(), "ok", "{:?}", &garbage[..16]);
        }
        let plain = Rig::new(vec![proxied(bad.address)]);
        assert_eq!(plain.get("/").status, 502, "{:?}", &garbage[..16]);
    }
}

#[test]
fn a_try_that_takes_too_long_frees_its_connection_and_another_is_made() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let slow = Origin::raw(move |mut stream, _| {
        let _ = read_request(&mut stream);
        // Ends when the gateway closes it.
        assert!(read_request(&mut stream).is_none());
        tell.lock().unwrap().send(()).unwrap();
    });
    let fast = Origin::answering(OK);
    let rig = rig(retrying(&[slow.address, fast.address], |retry| retry.each_ms = Some(100)));
    for _ in 0..2 {
        assert_eq!(rig.get("/").text(), "ok");
    }
    told.recv_timeout(PATIENCE).expect("the connection of the slow try is closed");
}

#[test]
fn all_tries_together_end_in_time() {
    let slow = Origin::raw(|mut stream, _| while read_request(&mut stream).is_some() {});
    let begun = Instant::now();
    let rig = rig(retrying(&[slow.address], |retry| {
        (retry.times, retry.each_ms, retry.within_ms) = (100, Some(150), Some(500));
    }));
    assert_eq!(rig.get("/").status, 504);
    assert!(begun.elapsed() < PATIENCE / 4);
    assert!(slow.connections.load(Ordering::SeqCst) >= 2);
}

#[test]
fn the_budget_bounds_what_an_outage_is_multiplied_by() {
    let origin = Origin::answering(DOWN);
    let rig = rig(retrying(&[origin.address], |retry| {
        (retry.times, retry.budget, retry.within_ms) = (1, 20, None);
    }));
    let mut stream = rig.connect();
    for _ in 0..200 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        assert_eq!(Reply::read(&mut stream).status, 503);
    }
    let asked = origin.heads().len();
    assert!((210..=240).contains(&asked), "{asked}");
}

#[test]
fn retry_after_keeps_retries_away_and_is_passed_on() {
    let busy = Origin::answering("HTTP/1.1 503 No\r\nRetry-After: 20\r\nContent-Length: 4\r\n\r\nbusy");
    let ours = rig(retrying(&[busy.address], |_| {}));
    let reply = ours.get("/");
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("20")));
    assert_eq!(busy.heads().len(), 1, "it asked to be left alone");
    // Another endpoint is asked, of course.
    let free = Origin::answering(OK);
    let ours = rig(retrying(&[busy.address, free.address], |_| {}));
    for _ in 0..4 {
        assert_eq!(ours.get("/").text(), "ok");
    }
}

#[test]
fn connections_that_do_not_come_about_are_tried_again_where_nobody_is_left() {
    let rig = rig(retrying(&[refusing(), refusing()], |_| {}));
    let begun = Instant::now();
    assert_eq!(rig.get("/").status, 502);
    assert!(begun.elapsed() < PATIENCE / 4);
}
