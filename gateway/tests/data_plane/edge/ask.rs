//! `ask`: another service decides.

use super::*;
use crate::support::{Origin, PATIENCE, Reply, fixed, pool, read_to_end, refusing};
use dsl::tree::ir::{Ask, PoolIdx};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::channel;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const YES: &str = "HTTP/1.1 200 OK\r\nX-User: ann\r\nX-Groups: a\r\nX-Groups: b\r\nContent-Length: 2\r\n\r\nhi";

/// Whether clients may pass is asked of the second pool.
fn ask() -> Ask {
    Ask {
        pool: PoolIdx(1),
        method: "GET".into(),
        at: fixed("/verify"),
        within_ms: 20_000,
        copy: vec!["x-user".into(), "x-groups".into()],
        failed: None,
        keep: None,
    }
}

fn rig(ask: Ask, steps: Vec<Step>, origin: &Origin, service: SocketAddr) -> Rig {
    let calls = vec![call(CallKind::Ask(ask), "ask(control, GET /verify)")];
    let mut control = pool(&[service]);
    control.name = "control".into();
    Rig::new(vec![guarded(calls, steps, vec![pool(&[origin.address]), control])])
}

#[test]
fn a_yes_lets_pass_and_its_headers_are_copied() {
    let (origin, service) = (Origin::answering(OK), Origin::answering(YES));
    let rig = rig(ask(), vec![require(0)], &origin, service.address);
    let request = "POST /a%2Db/../c?q=1 HTTP/1.1\r\nHost: a.test\r\nX-User: root\r\nX_User: root\r\nX-Groups: root\r\n\
                   X-Original-URI: /public\r\nX_Original_Uri: /public\r\nX-Forwarded-Uri: /public\r\n\
                   Cookie: sid=1\r\nContent-Type: text/plain\r\nRange: bytes=0-1\r\nIf-None-Match: *\r\n\
                   Connection: x-hop\r\nX-Hop: 1\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(rig.ask(request).status, 200);
    let (asked, body) = service.seen.lock().unwrap()[0].clone();
    let asked = asked.to_ascii_lowercase();
    assert!(asked.starts_with("get /verify http/1.1\r\n"), "{asked}");
    for said in [
        "host: a.test",
        "cookie: sid=1",
        "x-original-uri: /c?q=1",
        "x-original-method: post",
        "x-forwarded-uri: /c?q=1",
        "x-forwarded-method: post",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: a.test",
        "x-forwarded-proto: http",
    ] {
        assert_eq!(asked.matches(&format!("\r\n{said}\r\n")).count(), 1, "{said} in {asked}");
    }
    for kept in ["content-", "range", "if-none-match", "x-hop", "x_original", "transfer-encoding", "/public", "root"] {
        assert!(!asked.contains(kept), "{kept} in {asked}");
    }
    assert!(body.is_empty());
    let (head, body) = origin.seen.lock().unwrap()[0].clone();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /c?q=1 http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nx-user: ann\r\n"), "{head}");
    assert!(head.contains("\r\nx-groups: a\r\n") && head.contains("\r\nx-groups: b\r\n"), "{head}");
    assert!(!head.contains("root"), "{head}");
    assert_eq!(body, b"body");
}

#[test]
fn it_is_asked_once_and_only_when_it_is_reached() {
    let (origin, service) = (Origin::answering(OK), Origin::answering(YES));
    // Two policies read it, behind one that most do not pass.
    let first = Step::Require {
        cond: Cond::Test(Field::Header("x-token".into()), Test::Present),
        otherwise: Answer::Deny { status: 403 },
        loc: Loc::default(),
    };
    let steps = vec![
        first,
        require(0),
        set("x-who", encoded(Field::Claim(CallIdx(0), "x-user".into()), Encode::Header)),
        require(0),
    ];
    let rig = rig(ask(), steps, &origin, service.address);
    assert_eq!(status(&rig, "/", ""), 403);
    assert_eq!(service.heads().len(), 0);
    assert_eq!(status(&rig, "/", "X-Token: 1\r\n"), 200);
    assert_eq!(service.heads().len(), 1);
    assert!(origin.heads()[0].contains("x-who: ann\r\n"), "{}", origin.heads()[0]);
}

#[test]
fn what_is_not_asked_does_not_let_its_headers_in() {
    let (origin, service) = (Origin::answering(OK), Origin::answering(YES));
    let staff = Cond::Test(Field::Header("x-token".into()), Test::Present);
    let either = Cond::Or(vec![staff, yes(0)]);
    let step = Step::Require { cond: either, otherwise: Answer::Deny { status: 403 }, loc: Loc::default() };
    let rig = rig(ask(), vec![step], &origin, service.address);
    assert_eq!(status(&rig, "/", "X-Token: 1\r\nX-User: root\r\nX_user: root\r\n"), 200);
    assert_eq!(service.heads().len(), 0);
    assert!(!origin.heads()[0].contains("root"), "{}", origin.heads()[0]);
}

#[test]
fn no_means_no_and_everything_else_fails_closed() {
    for (answer, expected) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", 200),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 401),
        ("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", 503),
        ("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", 503),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", 503),
        ("nonsense\r\n\r\n", 503),
    ] {
        let (origin, service) = (Origin::answering(OK), Origin::answering(answer));
        let rig = rig(ask(), vec![require(0)], &origin, service.address);
        assert_eq!(status(&rig, "/", "X-User: root\r\n"), expected, "{answer}");
        assert_eq!(origin.heads().len(), usize::from(expected == 200), "{answer}");
    }
}

#[test]
fn a_service_that_is_down_is_503_unless_the_program_says_what_it_means() {
    for (failed, expected) in [(None, 503), (Some(false), 401), (Some(true), 200)] {
        let origin = Origin::answering(OK);
        let rig = rig(Ask { failed, ..ask() }, vec![require(0)], &origin, refusing());
        assert_eq!(status(&rig, "/", "X-User: root\r\n"), expected);
        assert!(origin.heads().iter().all(|head| !head.contains("root")), "{:?}", origin.heads());
    }
}

#[test]
fn a_service_that_says_nothing_is_not_waited_for() {
    let (hold, held) = channel::<()>();
    let held = Mutex::new(held);
    let service = Origin::new(move |_, _| held.lock().unwrap().recv().is_ok());
    let origin = Origin::answering(OK);
    let rig = rig(Ask { within_ms: 200, ..ask() }, vec![require(0)], &origin, service.address);
    let reply = rig.get("/");
    assert_eq!((reply.status, reply.text()), (503, "503: this cannot be decided now\n"));
    assert!(origin.heads().is_empty());
    drop(hold);
}

#[test]
fn connections_to_the_service_are_used_again() {
    let (origin, service) = (Origin::answering(OK), Origin::answering(YES));
    let rig = rig(ask(), vec![require(0)], &origin, service.address);
    for _ in 0..5 {
        assert_eq!(status(&rig, "/", ""), 200);
    }
    let count = |origin: &Origin| origin.connections.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!((service.heads().len(), count(&service), count(&origin)), (5, 1, 1));
}

#[test]
fn a_request_waits_with_its_body_and_others_go_on() {
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let (arrived, arrivals) = channel();
    let arrived = Mutex::new(arrived);
    let service = Origin::new(move |stream, _| {
        arrived.lock().unwrap().send(()).unwrap();
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        stream.write_all(YES.as_bytes()).is_ok()
    });
    let origin = Origin::answering(OK);
    let rig = rig(ask(), vec![require(0)], &origin, service.address);
    let mut first = rig.connect();
    first.write_all(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n").unwrap();
    arrivals.recv_timeout(PATIENCE).unwrap();
    // Somebody else, on the same worker, waits too and is not held by the first.
    let mut second = rig.connect();
    second.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
    arrivals.recv_timeout(PATIENCE).unwrap();
    assert!(origin.heads().is_empty());
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert!(read_to_end(&mut second).ends_with("ok"));
    first.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(Reply::read(&mut first).text(), "ok");
    assert!(origin.seen.lock().unwrap().iter().any(|(_, body)| body == b"body"));
}

#[test]
fn a_guard_asks_behind_its_blocks_policies() {
    let (origin, service) = (Origin::answering(OK), Origin::answering("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"));
    let open = |step: Vec<Step>| after(step, Answer::NotFound);
    let gate = || Step::Require {
        cond: Cond::Test(Field::Header("x-token".into()), Test::Present),
        otherwise: Answer::Deny { status: 401 },
        loc: Loc::default(),
    };
    let mut pages = site(
        vec![("/*", after(vec![gate()], proxy())), ("/*", after(vec![gate()], Answer::Deny { status: 418 }))],
        vec![pool(&[origin.address]), pool(&[service.address])],
    );
    pages.scopes[0].entries[0].guard = yes(0);
    pages.plans[0] = open(vec![gate()]);
    pages.calls = vec![call(CallKind::Ask(ask()), "ask(control, GET /verify)")];
    let rig = Rig::new(vec![pages]);
    assert_eq!(status(&rig, "/", ""), 401);
    assert_eq!(service.heads().len(), 0, "who does not pass the block's policies causes no question");
    assert_eq!(status(&rig, "/", "X-Token: 1\r\n"), 418, "a no goes on to the next candidate");
    assert_eq!(service.heads().len(), 1);
}
