//! `limit` and `hedge` of pools: who waits, who is refused, and who is asked twice.

use super::support::{Origin, PATIENCE, Reply, Rig, plan, pool, proxy, read_request, site};
use dsl::tree::ir::{Hedge, Pool, PoolLimit};
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

fn rig(pool: Pool) -> Rig {
    Rig::new(vec![site(vec![("/*", plan(proxy()))], vec![pool])])
}

/// An origin that tells of each request, and answers it when it is told to.
fn told() -> (Origin, Receiver<()>, Sender<()>) {
    let (arrived, arrivals) = channel();
    let (go, wait) = channel();
    let (arrived, wait) = (Mutex::new(arrived), Arc::new(Mutex::new(wait)));
    let origin = Origin::new(move |stream, _| {
        arrived.lock().unwrap().send(()).unwrap();
        let _: Result<(), _> = wait.lock().unwrap().recv();
        stream.write_all(OK).is_ok()
    });
    (origin, arrivals, go)
}

#[test]
fn a_full_pool_is_503_and_says_when_to_come_again() {
    let (origin, arrivals, go) = told();
    let mut limited = pool(&[origin.address]);
    limited.limit = PoolLimit { requests: Some(1), connections: None, queue: None };
    let rig = rig(limited);
    let mut first = rig.connect();
    first.write_all(GET).unwrap();
    arrivals.recv_timeout(PATIENCE).unwrap();
    let refused = rig.get("/");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(rig.notices.try_recv().is_err(), "no fault of the origin");
    go.send(()).unwrap();
    assert_eq!(Reply::read(&mut first).text(), "ok");
    // There is room again.
    go.send(()).unwrap();
    assert_eq!(rig.get("/").text(), "ok");
}

#[test]
fn requests_wait_in_the_queue_and_no_longer_than_it_says() {
    let (origin, arrivals, go) = told();
    let mut limited = pool(&[origin.address]);
    limited.limit = PoolLimit { requests: Some(1), connections: None, queue: Some((1, 60_000)) };
    let rig = rig(limited);
    let mut first = rig.connect();
    first.write_all(GET).unwrap();
    arrivals.recv_timeout(PATIENCE).unwrap();
    let mut second = rig.connect();
    second.write_all(GET).unwrap();
    // The second one waits once a third is refused.
    while rig.get("/").status != 503 {}
    assert!(arrivals.try_recv().is_err(), "one at a time");
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!(Reply::read(&mut first).text(), "ok");
    assert_eq!(Reply::read(&mut second).text(), "ok");

    let (origin, arrivals, _go) = told();
    let mut limited = pool(&[origin.address]);
    limited.limit = PoolLimit { requests: Some(1), connections: None, queue: Some((10, 50)) };
    let rig = Rig::new(vec![site(vec![("/*", plan(proxy()))], vec![limited])]);
    let mut first = rig.connect();
    first.write_all(GET).unwrap();
    arrivals.recv_timeout(PATIENCE).unwrap();
    assert_eq!(rig.get("/").status, 503);
}

#[test]
fn an_idle_connection_is_closed_to_make_room_for_one_to_another_endpoint() {
    let origins = [(); 2].map(|()| Origin::new(|stream, _| stream.write_all(OK).is_ok()));
    let mut limited = pool(&origins.each_ref().map(|origin| origin.address));
    limited.limit = PoolLimit { requests: None, connections: Some(1), queue: None };
    let rig = rig(limited);
    for _ in 0..6 {
        assert_eq!(rig.get("/").text(), "ok");
    }
    assert!(origins.iter().all(|origin| origin.heads().len() == 3));
}

#[test]
fn connections_are_limited_and_waited_for() {
    for queue in [None, Some((5, 60_000))] {
        let (origin, arrivals, go) = told();
        let mut limited = pool(&[origin.address]);
        limited.limit = PoolLimit { requests: None, connections: Some(1), queue };
        let rig = rig(limited);
        let mut first = rig.connect();
        first.write_all(GET).unwrap();
        arrivals.recv_timeout(PATIENCE).unwrap();
        if queue.is_none() {
            let refused = rig.get("/");
            assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
            assert!(rig.notices.try_recv().is_err(), "no fault of the origin");
            go.send(()).unwrap();
            assert_eq!(Reply::read(&mut first).text(), "ok");
            continue;
        }
        let mut second = rig.connect();
        second.write_all(GET).unwrap();
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!(Reply::read(&mut first).text(), "ok");
        assert_eq!(Reply::read(&mut second).text(), "ok");
    }
}

#[test]
fn a_slow_answer_is_asked_for_elsewhere_and_given_up() {
    let (tell, gone) = channel();
    let tell = Mutex::new(tell);
    let slow = Origin::raw(move |mut stream, _| {
        let _ = read_request(&mut stream);
        assert!(read_request(&mut stream).is_none());
        tell.lock().unwrap().send(()).unwrap();
    });
    let fast = Origin::new(|stream, _| stream.write_all(OK).is_ok());
    let mut hedged = pool(&[slow.address, fast.address]);
    hedged.hedge = Some(Hedge::After(20));
    let rig = rig(hedged);
    for _ in 0..2 {
        assert_eq!(rig.get("/").text(), "ok");
    }
    gone.recv_timeout(PATIENCE).expect("the slow one's connection is closed");
    // What may not be done twice is not.
    let posts = Origin::new(|stream, _| stream.write_all(OK).is_ok());
    let mut hedged = pool(&[posts.address, posts.address]);
    hedged.hedge = Some(Hedge::After(0));
    let rig = Rig::new(vec![site(vec![("/*", plan(proxy()))], vec![hedged])]);
    assert_eq!(rig.ask("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx").text(), "ok");
    assert_eq!(posts.heads().len(), 1);
}

#[test]
fn hedges_are_charged_to_the_budget() {
    let origin = Origin::new(|stream, _| {
        // Longer than `hedge after 0ms`, and no sleep: as long as another connection takes.
        let _ = std::net::TcpStream::connect(stream.local_addr().unwrap());
        stream.write_all(OK).is_ok()
    });
    let other = Origin::new(|stream, _| {
        let _ = std::net::TcpStream::connect(stream.local_addr().unwrap());
        stream.write_all(OK).is_ok()
    });
    let mut hedged = pool(&[origin.address, other.address]);
    hedged.hedge = Some(Hedge::After(0));
    let rig = rig(hedged);
    for _ in 0..100 {
        assert_eq!(rig.get("/").text(), "ok");
    }
    let asked = origin.heads().len() + other.heads().len();
    assert!(asked <= 120, "{asked}");
}

#[test]
fn a_percentile_is_waited_for_once_it_is_known() {
    let quick = Origin::new(|stream, _| stream.write_all(OK).is_ok());
    let sometimes = Origin::new(|stream, n| n < 100 && stream.write_all(OK).is_ok() || read_request(stream).is_some());
    let mut hedged = pool(&[quick.address, sometimes.address]);
    hedged.hedge = Some(Hedge::Percentile(95));
    let rig = rig(hedged);
    // The second origin falls silent; its requests are answered by the first.
    for _ in 0..220 {
        assert_eq!(rig.get("/").text(), "ok");
    }
    assert!(sometimes.heads().len() > 100);
}
