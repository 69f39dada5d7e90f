//! What `Upgrade` has been abused for: to speak past the gateway, or into somebody else's connection.

use super::support::{Origin, Reply, Rig, plan, pool, proxied, proxy, read_head, site};
use dsl::syntax::span::Loc;
use dsl::tree::ir::{Answer, Cond, Field, Step, Test};
use std::io::Write;
use std::sync::atomic::Ordering;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ASK: &str = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What an origin answers that says 101 whatever it was asked.
const H2C: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const WEBSOCKET: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x04evil";

#[test]
fn h2c_smuggling() {
    let ask = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
        HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    // The origin is not asked for it …
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    assert_eq!(rig.ask(ask).status, 200);
    let head = origin.heads().remove(0).to_ascii_lowercase();
    assert!(!head.contains("upgrade") && !head.contains("http2-settings") && !head.contains("h2c"), "{head}");
    // … nor believed, and what follows is HTTP to the gate.
    let origin = Origin::answering(H2C);
    let rig = Rig::new(vec![proxied(origin.address)]);
    assert_eq!(rig.ask(ask).status, 502);
    let said = rig.until_closed(format!("{ask}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").as_bytes());
    assert!(said.starts_with("HTTP/1.1 502 ") && said.contains("HTTP/1.1 400 "), "{said}");
}

#[test]
fn a_list_of_protocols_is_none() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    for upgrade in ["websocket, h2c", "h2c, websocket", "websocket\r\nUpgrade: h2c", "websocket/13", "TLS/1.0"] {
        let ask = format!("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n");
        assert_eq!(rig.ask(&ask).status, 200, "{upgrade}");
    }
    assert!(origin.heads().iter().all(|head| !head.to_ascii_lowercase().contains("upgrade")));
}

#[test]
fn a_handshake_with_a_body_is_no_handshake() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    let smuggled = "GET /admin HTTP/1.1\r\nHost: a.test\r\n\r\n";
    for (method, length) in [("POST", smuggled.len()), ("GET", smuggled.len())] {
        let ask = format!(
            "{method} / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Content-Length: {length}\r\n\r\n{smuggled}"
        );
        assert_eq!(rig.ask(&ask).status, 200);
        let (head, body) = origin.seen.lock().unwrap().remove(0);
        assert!(!head.to_ascii_lowercase().contains("upgrade"), "{head}");
        assert_eq!(body, smuggled.as_bytes());
    }
    // Chunked, likewise; and it is the body that the gate judges, not a stream of anything.
    let chunked = "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Transfer-Encoding: chunked\r\n\r\nnot a size\r\n";
    assert!(rig.until_closed(chunked.as_bytes()).starts_with("HTTP/1.1 400 "));
}

#[test]
fn an_origin_that_switches_unasked_is_502() {
    for (ask, answer) in [
        ("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", WEBSOCKET),
        ("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n", WEBSOCKET),
        (ASK, H2C),
        (ASK, "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        (ASK, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
    ] {
        let origin = Origin::answering(answer);
        let rig = Rig::new(vec![proxied(origin.address)]);
        let mut client = rig.connect();
        client.write_all(ask.as_bytes()).unwrap();
        let reply = Reply::read(&mut client);
        assert_eq!(reply.status, 502, "{ask:?} {answer:?}");
        assert!(!reply.head.contains("upgrade"), "{}", reply.head);
        // Its connection is nobody's: the next request finds another one.
        client.write_all(ask.as_bytes()).unwrap();
        assert_eq!(Reply::read(&mut client).status, 502);
        assert_eq!(origin.connections.load(Ordering::SeqCst), 2);
    }
}

#[test]
fn a_refused_handshake_opens_no_tunnel() {
    // The trick is a version that the origin refuses and a proxy that does not read the answer: what
    // follows would reach the origin unjudged.
    let denied = {
        let mut plan = plan(proxy());
        let otherwise = Answer::Deny { status: 403 };
        plan.steps = vec![Step::Require { cond: Cond::Const(false), otherwise, loc: Loc::default() }];
        plan
    };
    let origin = Origin::answering("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
    let rig = Rig::new(vec![site(vec![("/open", plan(proxy())), ("/*", denied)], vec![pool(&[origin.address])])]);
    let ask = ASK.replace("GET / ", "GET /open ").replace("Version: 13", "Version: 1337");
    let mut client = rig.connect();
    client.write_all(format!("{ask}GET /internal HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut client).status, 426);
    assert_eq!(Reply::read(&mut client).status, 403);
    assert_eq!(origin.heads().len(), 1);
}

#[test]
fn policies_judge_the_handshake() {
    let mut plan = plan(proxy());
    let secret = Cond::Test(Field::Header("authorization".into()), Test::Present);
    plan.steps = vec![Step::Require { cond: secret, otherwise: Answer::Deny { status: 401 }, loc: Loc::default() }];
    let origin = Origin::answering(WEBSOCKET);
    let rig = Rig::new(vec![site(vec![("/*", plan)], vec![pool(&[origin.address])])]);
    let mut client = rig.connect();
    client.write_all(ASK.as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut client).status, 401);
    assert_eq!(origin.connections.load(Ordering::SeqCst), 0);
    client.write_all(ASK.replace("Host", "Authorization: x\r\nHost").as_bytes()).unwrap();
    let head = read_head(&mut client);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[test]
fn request_splitting_in_a_handshake() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    for value in ["x\r\n folded", "x\nEvil: 1", "x\rEvil: 1", "x\0"] {
        for name in ["Sec-WebSocket-Key", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Upgrade"] {
            let ask = ASK.replace("Sec-WebSocket-Version: 13", &format!("{name}: {value}"));
            assert!(rig.until_closed(ask.as_bytes()).starts_with("HTTP/1.1 400 "), "{name}: {value:?}");
        }
    }
    assert_eq!(origin.connections.load(Ordering::SeqCst), 0);
}
