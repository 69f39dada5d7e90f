//! `limit`: rates, places and bytes.

use super::*;
use crate::support::{Origin, PATIENCE, Reply, connect, fixed, pool, read_head};
use dsl::tree::ir::{ByAnswer, Limit, LimitBound, LimitKey};
use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

pub(super) fn limit(bound: LimitBound) -> Limit {
    let key = LimitKey { source: "header.x-key".into(), value: header("x-key"), address: false, otherwise: None };
    Limit {
        bound,
        cost: None,
        answer: ByAnswer::No,
        key: vec![key],
        name: "api".into(),
        tell: false,
        shadow: false,
        when: Cond::Const(true),
        loc: Loc::default(),
    }
}

/// So many at a stroke, and one more in an hour: tests do not wait.
pub(super) const fn few(burst: u32) -> LimitBound {
    LimitBound::Rate { count: 1, per_ms: 3_600_000, burst }
}

pub(super) fn limited(limits: Vec<Limit>) -> ir::Site {
    let steps = limits.into_iter().map(|limit| Step::Limit(Arc::new(limit))).collect();
    let respond = Answer::Respond { status: 200, body: fixed("hello"), content_type: "text/plain".into() };
    site(vec![("/*", after(steps, respond))], Vec::new())
}

pub(super) fn of(rig: &Rig, key: &str) -> u16 {
    status(rig, "/", &format!("X-Key: {key}\r\n"))
}

#[test]
fn a_burst_then_429_with_when_to_come_back() {
    let bound = LimitBound::Rate { count: 2, per_ms: 3_600_000, burst: 3 };
    let rig = Rig::new(vec![limited(vec![limit(bound)])]);
    assert_eq!([(); 5].map(|()| of(&rig, "a")), [200, 200, 200, 429, 429]);
    assert_eq!(of(&rig, "b"), 200, "another key");
    let refused = rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\n\r\n");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1_700..=1_800).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"api\";q=2;w=3600"));
    assert_eq!(refused.header("ratelimit"), Some(&*format!("\"api\";r=0;t={wait}")));
    assert_eq!(refused.text(), "429: too many requests\n");
    let counted = rig.counted();
    assert_eq!((counted[0].admitted, counted[0].refused, counted[0].shadowed), (4, 3, 0));
}

#[test]
fn a_limits_place_in_a_file_is_nobodys_business() {
    let named = Limit { name: "sites/secret.route:7".into(), ..limit(few(1)) };
    let rig = Rig::new(vec![limited(vec![named])]);
    of(&rig, "a");
    let refused = rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\n\r\n");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"limit\";q=1;w=3600"));
}

#[test]
fn costs_are_taken_whole_or_not_at_all() {
    let costly = Limit { cost: Some(header("x-cost")), ..limit(few(10)) };
    let rig = Rig::new(vec![limited(vec![costly])]);
    let ask = |cost: &str| status(&rig, "/", &format!("X-Key: a\r\nX-Cost: {cost}\r\n"));
    assert_eq!(["4", "4", "4", "2", "0", "1"].map(ask), [200, 200, 429, 200, 200, 429]);
    assert_eq!(["11", "-1", "1e3", "99999999999999999999"].map(ask), [429; 4]);
}

#[test]
fn a_shadow_counts_and_refuses_nobody() {
    let shadow = Limit { shadow: true, ..limit(few(1)) };
    let places = Limit { shadow: true, name: "places".into(), ..limit(LimitBound::AtOnce(0)) };
    let rig = Rig::new(vec![limited(vec![shadow, places])]);
    assert_eq!([(); 3].map(|()| of(&rig, "a")), [200; 3]);
    let counted: Vec<_> =
        rig.counted().iter().map(|c| (c.name.to_string(), c.admitted, c.refused, c.shadowed)).collect();
    assert_eq!(counted, [("api".into(), 1, 0, 2), ("places".into(), 0, 0, 3)]);
}

#[test]
fn buckets_outlive_reloads() {
    let rig = Rig::new(vec![limited(vec![limit(few(2))])]);
    assert_eq!(of(&rig, "a"), 200);
    // Another policy was added before it, and a site beside it.
    let before = Limit { name: "other".into(), ..limit(few(100)) };
    let mut beside = limited(vec![limit(few(2))]);
    beside.hosts[0].0 = crate::support::host("b.test");
    rig.publish(vec![limited(vec![before, limit(few(2))]), beside]);
    assert_eq!([of(&rig, "a"), of(&rig, "a")], [200, 429]);
    // One name is one set of buckets.
    assert_eq!(rig.ask("GET / HTTP/1.1\r\nHost: b.test\r\nX-Key: a\r\n\r\n").status, 429);
    // Another bound is another limit.
    rig.publish(vec![limited(vec![limit(few(5))])]);
    assert_eq!(of(&rig, "a"), 200);
}

#[test]
fn two_workers_admit_exactly_what_one_limit_says() {
    let burst = 200;
    // One more in 100 ms.
    let bound = LimitBound::Rate { count: 10, per_ms: 1_000, burst };
    let rig = Rig::with_secrets(vec![limited(vec![limit(bound)])], &[], 2, |_| {});
    let begun = Instant::now();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let address = rig.http;
            thread::spawn(move || {
                let mut stream = connect(address);
                let ask = |_| {
                    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\n\r\n").unwrap();
                    u32::from(Reply::read(&mut stream).status == 200)
                };
                (0..200).map(ask).sum::<u32>()
            })
        })
        .collect();
    let admitted: u32 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    let most = burst + u32::try_from(begun.elapsed().as_millis()).unwrap() / 100;
    assert!((burst..=most).contains(&admitted), "{burst} <= {admitted} <= {most}");
}

#[test]
fn places_are_given_back_when_the_answer_is_through() {
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let origin = Origin::new(move |stream, _| {
        // The head, and the rest when it is told to.
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").unwrap();
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        stream.write_all(b"k").is_ok()
    });
    let steps = vec![Step::Limit(Arc::new(limit(LimitBound::AtOnce(2))))];
    let rig = Rig::new(vec![guarded(Vec::new(), steps, vec![pool(&[origin.address])])]);
    let begin = || {
        let mut stream = rig.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\n\r\n").unwrap();
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 200"));
        stream
    };
    let (mut first, second) = (begin(), begin());
    let refused = rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\n\r\n");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"api\";q=2;qu=\"concurrent-requests\""));
    // A client that leaves gives its place back too.
    drop(second);
    go.send(()).unwrap();
    go.send(()).unwrap();
    let mut body = [0; 2];
    first.read_exact(&mut body).unwrap();
    assert_eq!(&body, b"ok");
    let mut third = loop {
        // Its end is seen by the worker's next turn.
        let mut stream = rig.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\n\r\n").unwrap();
        let head = read_head(&mut stream);
        if head.starts_with("HTTP/1.1 200") {
            break stream;
        }
    };
    go.send(()).unwrap();
    third.read_exact(&mut body).unwrap();
}

#[test]
fn bytes_are_paced_and_none_is_lost() {
    let file = "x".repeat(300_000);
    let steps = vec![Step::Limit(Arc::new(limit(LimitBound::Bytes(200_000))))];
    let respond = Answer::Respond { status: 200, body: fixed(&file), content_type: "text/plain".into() };
    let rig = Rig::new(vec![site(vec![("/*", after(steps, respond))], Vec::new())]);
    let begun = Instant::now();
    let reply = rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\n\r\n");
    let took = begun.elapsed();
    assert_eq!((reply.status, reply.body.len()), (200, file.len()));
    assert_eq!(reply.header("content-length"), Some("300000"));
    // A second's worth at once; the rest takes half a second, whatever the machine does beside.
    assert!(took.as_millis() >= 400, "{took:?}");
    let other = rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: b\r\nConnection: close\r\n\r\n");
    assert_eq!(other.body.len(), file.len(), "another key");
}
