//! `limit … on [401]`, `cost 10 on [500..599]`, `tell`: what an answer counts, and what it tells.

use super::limits::{few, limit, limited, of};
use super::*;
use crate::support::{Origin, PATIENCE, Reply, connect, pool};
use dsl::tree::ir::{ByAnswer, Limit, LimitBound};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

fn on(statuses: &[u16], limit: Limit) -> Limit {
    Limit { answer: ByAnswer::Only(statuses.into()), ..limit }
}

fn before(limits: Vec<Limit>, origin: &Origin) -> Rig {
    let steps = limits.into_iter().map(|limit| Step::Limit(Arc::new(limit))).collect();
    Rig::new(vec![guarded(Vec::new(), steps, vec![pool(&[origin.address])])])
}

/// An origin that answers with this status, and what came to it.
struct Answering {
    origin: Origin,
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
}

fn origin() -> Answering {
    let (status, asked) = (Arc::new(AtomicU16::new(401)), Arc::new(AtomicUsize::new(0)));
    let (say, count) = (Arc::clone(&status), Arc::clone(&asked));
    let origin = Origin::new(move |stream, _| {
        count.fetch_add(1, Ordering::SeqCst);
        let status = say.load(Ordering::SeqCst);
        stream.write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes()).is_ok()
    });
    Answering { origin, status, asked }
}

impl Answering {
    /// A request whose answer from here has this status.
    fn reply(&self, rig: &Rig, status: u16) -> Reply {
        self.status.store(status, Ordering::SeqCst);
        rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\n\r\n")
    }

    fn answers(&self, rig: &Rig, status: u16) -> u16 {
        self.reply(rig, status).status
    }
}

#[test]
fn only_such_answers_count_and_then_nobody_gets_behind_it() {
    let origin = origin();
    let rig = before(vec![on(&[401, 403], limit(few(3)))], &origin.origin);
    for _ in 0..20 {
        assert_eq!(origin.answers(&rig, 200), 200);
    }
    assert_eq!([401, 404, 403, 500, 401].map(|status| origin.answers(&rig, status)), [401, 404, 403, 500, 401]);
    assert_eq!([200, 401, 404].map(|status| origin.answers(&rig, status)), [429; 3]);
    assert_eq!(origin.asked.load(Ordering::SeqCst), 25, "what was refused did not come to the origin");
    origin.status.store(200, Ordering::SeqCst);
    assert_eq!(of(&rig, "b"), 200, "another key");
    let counted = rig.counted();
    assert_eq!((counted[0].admitted, counted[0].refused), (26, 3));
}

/// Whoever sends a thousand guesses at once gets no more of them through than one after the other.
#[test]
fn attack_guesses_that_are_under_way_together_do_not_slip_past() {
    let origin = origin();
    let rig = before(vec![on(&[401], limit(few(10)))], &origin.origin);
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let address = rig.http;
            thread::spawn(move || {
                let mut stream = connect(address);
                let guess = |_| {
                    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\n\r\n").unwrap();
                    usize::from(Reply::read(&mut stream).status == 401)
                };
                (0..40).map(guess).sum::<usize>()
            })
        })
        .collect();
    let told: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert_eq!((told, origin.asked.load(Ordering::SeqCst)), (10, 10));
}

/// Nor does whoever does not wait for the answers.
#[test]
fn attack_guesses_whose_answers_nobody_waits_for_count() {
    let (came, arrived) = channel();
    let came = Mutex::new(came);
    let origin = Origin::new(move |stream, _| {
        came.lock().unwrap().send(()).unwrap();
        // It answers nothing until the gateway gives up.
        let _ = std::io::Read::read(stream, &mut [0; 1]);
        false
    });
    let rig = before(vec![on(&[401], limit(few(3)))], &origin);
    for _ in 0..3 {
        let mut stream = rig.connect();
        stream.write_all(b"GET /guess HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\n\r\n").unwrap();
        arrived.recv_timeout(PATIENCE).unwrap();
    }
    // Held while it is under way, and counted once it is given up: at no time is there a fourth.
    for _ in 0..20 {
        assert_eq!(of(&rig, "a"), 429);
    }
    assert!(arrived.try_recv().is_err(), "none of them came to the origin");
}

#[test]
fn what_the_gateway_itself_refuses_counts_too() {
    let refuse = Answer::Deny { status: 401 };
    let guard = Step::Require { cond: Cond::Const(false), otherwise: refuse.clone(), loc: Loc::default() };
    let steps = vec![Step::Limit(Arc::new(on(&[401], limit(few(2))))), guard];
    let rig = Rig::new(vec![site(vec![("/*", after(steps, refuse))], Vec::new())]);
    assert_eq!([(); 4].map(|()| of(&rig, "a")), [401, 401, 429, 429]);
    // What is refused before anybody can say anything of it costs nothing.
    let long = format!("GET /{} HTTP/1.1\r\nHost: a.test\r\nX-Key: c\r\n\r\n", "x".repeat(10));
    for _ in 0..5 {
        assert_eq!(rig.ask(&long.replace(" /", " /%zz")).status, 400);
    }
    assert_eq!([(); 3].map(|()| of(&rig, "c")), [401, 401, 429]);
}

#[test]
fn an_answer_that_costs_more_pays_the_rest_when_it_is_there() {
    let origin = origin();
    let dear = Limit { answer: ByAnswer::Cost([(Arc::from([500]), 5)].into()), ..limit(few(10)) };
    let rig = before(vec![dear], &origin.origin);
    // Five are held against the bucket while a request is under way: with four left nobody gets in.
    assert_eq!([500, 200, 200].map(|status| origin.answers(&rig, status)), [500, 200, 429]);
    let plain = Limit { answer: ByAnswer::Cost([(Arc::from([304]), 0)].into()), ..limit(few(2)) };
    let rig = before(vec![plain], &origin.origin);
    assert_eq!(
        [304, 304, 304, 200, 304, 200, 304].map(|status| origin.answers(&rig, status)),
        [304, 304, 304, 200, 304, 200, 429]
    );
}

#[test]
fn answers_tell_what_is_left_where_a_limit_says_so() {
    let bound = LimitBound::Rate { count: 10, per_ms: 60_000, burst: 4 };
    let told = Limit { tell: true, ..limit(bound) };
    let places = Limit { tell: true, name: "open".into(), ..limit(LimitBound::AtOnce(3)) };
    let quiet = Limit { name: "quiet".into(), ..limit(few(100)) };
    let rig = Rig::new(vec![limited(vec![told, quiet, places])]);
    let ask = || rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\n\r\n");
    let first = ask();
    assert_eq!(first.header("ratelimit-policy"), Some("\"api\";q=10;w=60, \"open\";q=3;qu=\"concurrent-requests\""));
    assert_eq!(first.header("ratelimit"), Some("\"api\";r=3;t=6, \"open\";r=2"));
    assert_eq!(first.header("retry-after"), None);
    assert_eq!(ask().header("ratelimit"), Some("\"api\";r=2;t=12, \"open\";r=2"));
    let _ = (ask(), ask());
    let refused = ask();
    assert_eq!((refused.status, refused.header("ratelimit")), (429, Some("\"api\";r=0;t=6")));
}

#[test]
fn a_refusal_lists_the_limits_that_were_passed_before_it() {
    let told = Limit { tell: true, ..limit(few(5)) };
    let tight = Limit { name: "tight".into(), ..limit(few(1)) };
    let rig = Rig::new(vec![limited(vec![told, tight])]);
    let ask = || rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: a\r\n\r\n");
    assert_eq!(ask().header("ratelimit"), Some("\"api\";r=4;t=3600"));
    let refused = ask();
    let state = refused.header("ratelimit").unwrap();
    assert!(state.starts_with("\"api\";r=3;t=7") && state.contains(", \"tight\";r=0;t=3"), "{state}");
}

#[test]
fn what_counts_by_its_answer_tells_what_is_left_after_it() {
    let origin = origin();
    let rig = before(vec![Limit { tell: true, ..on(&[401], limit(few(3))) }], &origin.origin);
    let left = |status: u16| {
        let reply = origin.reply(&rig, status);
        let state = reply.header("ratelimit").unwrap().to_owned();
        state.split(";t=").next().unwrap().to_owned()
    };
    assert_eq!([200, 401, 200, 401].map(left), ["\"api\";r=3", "\"api\";r=2", "\"api\";r=2", "\"api\";r=1"]);
}
