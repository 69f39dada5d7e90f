//! `mirror`: copies of requests for another pool, which the original never notices.

use super::support::{Origin, PATIENCE, Rig, plan, pool, proxy, refusing, site};
use dsl::tree::ir::{Mirror, Plan, PoolIdx};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::time::Instant;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn mirrored(share: u32, body_bytes: u64) -> Plan {
    let mut plan = plan(proxy());
    plan.settings.mirror = Some(Mirror { share, pool: PoolIdx(1), body_bytes });
    plan
}

fn rig(plan: Plan, live: SocketAddr, shadow: SocketAddr) -> Rig {
    let mut pools = vec![pool(&[live]), pool(&[shadow])];
    pools[1].name = "shadow".into();
    Rig::new(vec![site(vec![("/*", plan)], pools)])
}

fn until(what: &str, mut look: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !look() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn copies_arrive_with_their_bodies_and_say_that_they_are_copies() {
    let live = Origin::new(|stream, _| stream.write_all(OK).is_ok());
    let shadow = Origin::new(|stream, _| stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").is_ok());
    let rig = rig(mirrored(10_000, 8), live.address, shadow.address);
    assert_eq!(rig.ask("GET /a?b HTTP/1.1\r\nHost: a.test\r\nX-Sluice-Mirror: me\r\n\r\n").text(), "ok");
    assert_eq!(rig.ask("POST /c HTTP/1.1\r\nHost: a.test\r\nContent-Length: 8\r\n\r\n12345678").text(), "ok");
    let chunked =
        "POST /d HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(rig.ask(chunked).text(), "ok");
    // Too long, said beforehand or not: not copied.
    assert_eq!(rig.ask("POST /e HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\n123456789").text(), "ok");
    assert_eq!(rig.get("/f").text(), "ok");
    until("the last copy", || shadow.heads().iter().any(|head| head.starts_with("GET /f")));
    until("all copies", || shadow.heads().len() == 4);
    let mut seen: Vec<_> = shadow.seen.lock().unwrap().clone();
    seen.sort_by_key(|(head, _)| head.split(' ').nth(1).unwrap_or_default().to_owned());
    assert!(seen[0].0.starts_with("GET /a?b HTTP/1.1\r\n"), "{}", seen[0].0);
    assert_eq!(
        seen.iter().map(|(_, body)| body.as_slice()).collect::<Vec<_>>(),
        [&b""[..], b"12345678", b"abcde", b""]
    );
    assert!(seen.iter().all(|(head, _)| head.contains("x-sluice-mirror: 1\r\n")));
    assert!(live.heads().iter().all(|head| !head.contains("x-sluice-mirror")), "clients cannot say it");
}

#[test]
fn a_shadow_that_fails_or_hangs_is_not_noticed() {
    let live = Origin::new(|stream, _| stream.write_all(OK).is_ok());
    let ours = rig(mirrored(10_000, 8), live.address, refusing());
    for _ in 0..5 {
        assert_eq!(ours.get("/").text(), "ok");
    }
    let (hold, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let silent = Origin::raw(move |stream, _| {
        let _ = wait.lock().unwrap().recv();
        drop(stream);
    });
    let ours = rig(mirrored(10_000, 8), live.address, silent.address);
    let mut stream = ours.connect();
    // More than may be under way at once.
    for _ in 0..200 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        assert_eq!(super::support::Reply::read(&mut stream).text(), "ok");
    }
    drop(hold);
}

#[test]
fn a_share_is_a_share() {
    let live = Origin::new(|stream, _| stream.write_all(OK).is_ok());
    let shadow = Origin::new(|stream, _| stream.write_all(OK).is_ok());
    let rig = rig(mirrored(0, 8), live.address, shadow.address);
    for _ in 0..20 {
        assert_eq!(rig.get("/").text(), "ok");
    }
    assert_eq!(shadow.heads().len(), 0);
}
