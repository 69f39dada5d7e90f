//! HTTP/2 to origins: sharing, limits, windows, trailers, and what origins do when they go.

mod given_up;
mod grpc;
pub mod origin;
mod streams;

use crate::support::{Origin, PATIENCE, Reply, Rig, plan, pool, proxy, site};
use bytes::Bytes;
use dsl::tree::ir::{self, Protocol};
use h2::client::SendRequest;
use h2::server::Builder;
use http::Request;
use origin::{GOAWAY, H2Origin, RST_STREAM, frames, say};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.unwrap() })
}

fn speaking(protocol: Protocol, origins: &[SocketAddr]) -> ir::Site {
    let pool = ir::Pool { protocol, ..pool(origins) };
    site(vec![("/*", plan(proxy()))], vec![pool])
}

fn h2c(origin: SocketAddr) -> ir::Site {
    speaking(Protocol::H2c, &[origin])
}

/// A client of HTTP/2.
async fn client(rig: &Rig) -> SendRequest<Bytes> {
    let tcp = TcpStream::connect(rig.http).await.unwrap();
    let (sender, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://a.test{path}")).body(()).unwrap()
}

/// Waits until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn requests_of_many_clients_share_a_connection() {
    let origin = H2Origin::new(|_, respond| async { say(respond, "hi") });
    let rig = Rig::new(vec![h2c(origin.address)]);
    run(async {
        let mut clients = Vec::new();
        for n in 0..8 {
            let mut sender = client(&rig).await;
            clients.push(tokio::spawn(async move {
                for m in 0..8 {
                    let request = Request::get(format!("http://a.test/{n}/{m}?q"))
                        .header("cookie", "a=1")
                        .header("cookie", "b=2")
                        .header("te", "trailers")
                        .body(())
                        .unwrap();
                    let (response, _) = sender.send_request(request, true).unwrap();
                    let response = response.await.unwrap();
                    assert_eq!(
                        (response.status().as_u16(), &response.headers()["x-origin"]),
                        (200, &"h2".parse().unwrap())
                    );
                }
            }));
        }
        for client in clients {
            client.await.unwrap();
        }
    });
    let reply =
        rig.ask("GET /one?x=y HTTP/1.1\r\nHost: A.test\r\nConnection: x-mine, te\r\nX-Mine: 1\r\nTE: trailers\r\n\r\n");
    assert_eq!((reply.status, reply.text()), (200, "hi"));
    assert_eq!(origin.connections(), 1);
    let seen = origin.seen.lock().unwrap();
    assert_eq!(seen.len(), 65);
    assert_eq!(seen[0].headers["cookie"], "a=1; b=2");
    let last = seen.last().unwrap();
    assert_eq!(last.uri, "http://A.test/one?x=y");
    for gone in ["host", "connection", "x-mine"] {
        assert!(!last.headers.contains_key(gone), "{gone}");
    }
    assert_eq!(last.headers["te"], "trailers");
    assert_eq!(last.headers["x-forwarded-proto"], "http");
}

#[test]
fn a_connection_has_no_more_streams_than_its_origin_allows() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let mut builder = Builder::new();
    builder.max_concurrent_streams(2);
    let origin = H2Origin::with(builder, None, move |_, respond| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            say(respond, "hi");
        }
    });
    let rig = Rig::new(vec![h2c(origin.address)]);
    run(async {
        let mut sender = client(&rig).await;
        let mut answers = Vec::new();
        for n in 0..10 {
            let (response, _) = sender.send_request(get(&format!("/{n}")), true).unwrap();
            answers.push(response);
        }
        while origin.seen.lock().unwrap().len() < 10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(origin.connections(), 5);
        gate.add_permits(100);
        for answer in answers {
            assert_eq!(answer.await.unwrap().status(), 200);
        }
        // There is room again: nothing new is opened.
        for n in 0..20 {
            let (response, _) = sender.send_request(get(&format!("/{n}")), true).unwrap();
            assert_eq!(response.await.unwrap().status(), 200);
        }
        assert_eq!(origin.connections(), 5);
    });
}

#[test]
fn requests_of_one_connection_are_spread_over_endpoints() {
    let origins: Vec<_> = (0..3).map(|_| H2Origin::new(|_, respond| async { say(respond, "hi") })).collect();
    let addresses: Vec<_> = origins.iter().map(|o| o.address).collect();
    let rig = Rig::new(vec![speaking(Protocol::H2c, &addresses)]);
    run(async {
        let mut sender = client(&rig).await;
        for n in 0..30 {
            let (response, _) = sender.send_request(get(&format!("/{n}")), true).unwrap();
            assert_eq!(response.await.unwrap().status(), 200);
        }
    });
    for origin in &origins {
        assert_eq!((origin.seen.lock().unwrap().len(), origin.connections()), (10, 1));
    }
}

#[test]
fn an_origin_that_goes_loses_nothing() {
    // Each `/last` is answered, and ends its connection.
    let origin = H2Origin::new(|_, respond| async { say(respond, "hi") });
    let rig = Rig::new(vec![h2c(origin.address)]);
    run(async {
        let mut sender = client(&rig).await;
        for n in 0..60 {
            let path = if n % 3 == 2 { "/last".to_owned() } else { format!("/{n}") };
            let (response, _) = sender.send_request(get(&path), true).unwrap();
            assert_eq!(response.await.unwrap().status(), 200, "{n}");
        }
    });
    assert!(origin.connections() >= 15, "{}", origin.connections());
}

/// A request with a body, on a connection that has served one: what the origin then does to it is done by
/// the frame.
fn second_request(origin: SocketAddr) -> Reply {
    let rig = Rig::new(vec![h2c(origin)]);
    assert_eq!(rig.get("/first").status, 204);
    rig.ask("POST /second HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody")
}

#[test]
fn a_request_beyond_goaway_goes_to_another_connection() {
    let origin = frames(|mut frames, number| {
        while let Some(stream) = frames.request() {
            if number == 0 && stream > 1 {
                // The last stream is 1, and nothing is wrong.
                frames.send(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
            } else {
                frames.answer(stream);
            }
        }
    });
    assert_eq!(second_request(origin).status, 204);
}

#[test]
fn a_refused_stream_is_sent_again() {
    let origin = frames(|mut frames, number| {
        while let Some(stream) = frames.request() {
            if number == 0 && stream > 1 {
                frames.send(RST_STREAM, 0, stream, &7_u32.to_be_bytes());
            } else {
                frames.answer(stream);
            }
        }
    });
    assert_eq!(second_request(origin).status, 204);
}

#[test]
fn a_stream_that_was_acted_on_is_not_sent_again() {
    for code in [0x2_u32, 0xb] {
        let origin = frames(move |mut frames, number| {
            while let Some(stream) = frames.request() {
                if stream > 1 {
                    frames.send(RST_STREAM, 0, stream, &code.to_be_bytes());
                } else {
                    assert_eq!(number, 0, "it was sent again");
                    frames.answer(stream);
                }
            }
        });
        assert_eq!(second_request(origin).status, 502, "{code}");
    }
}

#[test]
fn what_is_no_http2_is_told() {
    let origin = Origin::new(|stream, _| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_ok());
    let rig = Rig::new(vec![h2c(origin.address)]);
    assert_eq!(rig.get("/").status, 502);
    let notice = rig.notice();
    assert!(notice.contains("is not HTTP/2"), "{notice}");
}

#[test]
fn a_client_that_leaves_resets_its_stream() {
    let (told, heard) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let origin = H2Origin::new(move |request, mut respond| {
        let told = told.lock().unwrap().clone();
        async move {
            let answers = request.uri().path() == "/answered";
            let mut body = None;
            if answers {
                body = respond.send_response(http::Response::new(()), false).ok();
            }
            let reset = match &mut body {
                Some(body) => std::future::poll_fn(|cx| body.poll_reset(cx)).await,
                None => std::future::poll_fn(|cx| respond.poll_reset(cx)).await,
            };
            told.send(reset.map(u32::from)).unwrap();
        }
    });
    let rig = Rig::new(vec![h2c(origin.address)]);
    for path in ["/waiting", "/answered"] {
        let mut client = rig.connect();
        let before = origin.seen.lock().unwrap().len();
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes()).unwrap();
        until("it arrives", || origin.seen.lock().unwrap().len() > before);
        if path == "/answered" {
            assert!(crate::support::read_head(&mut client).starts_with("HTTP/1.1 200"));
        }
        drop(client);
        // CANCEL.
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap().unwrap(), 8, "{path}");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn streams_that_are_given_up_do_not_end_the_others() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let mut builder = Builder::new();
    // Not for it to end the connection.
    builder.max_pending_accept_reset_streams(100_000).max_local_error_reset_streams(None);
    let origin = H2Origin::with(builder, None, move |request, mut respond| {
        let gate = Arc::clone(&opened);
        async move {
            if request.uri().path() == "/long" {
                gate.acquire().await.unwrap().forget();
                return say(respond, "long");
            }
            // Something is on its way when the client has left.
            if let Ok(mut body) = respond.send_response(http::Response::new(()), false) {
                while body.send_data(Bytes::from_static(&[7; 1024]), false).is_ok() {
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    let rig = Rig::new(vec![h2c(origin.address)]);
    run(async {
        let mut sender = client(&rig).await;
        let (long, _) = sender.send_request(get("/long"), true).unwrap();
        for _ in 0..60 {
            let mut leaving = client(&rig).await;
            let mut answers = Vec::new();
            for n in 0..100 {
                answers.push(leaving.send_request(get(&format!("/{n}")), true).unwrap());
            }
            let (first, _) = answers.remove(0);
            assert_eq!(first.await.unwrap().status(), 200);
            drop((answers, leaving));
        }
        gate.add_permits(1);
        let mut answer = long.await.unwrap().into_body();
        assert_eq!(answer.data().await.unwrap().unwrap(), "long");
    });
    // The first connection took no more requests at some time.
    assert!((2..8).contains(&origin.connections()), "{}", origin.connections());
}

/// A pool with `limit …`.
fn limited(protocol: Protocol, origins: &[SocketAddr], limit: ir::PoolLimit) -> ir::Site {
    let pool = ir::Pool { protocol, limit, ..pool(origins) };
    site(vec![("/*", plan(proxy()))], vec![pool])
}

#[test]
fn a_pool_has_no_more_connections_than_its_limit_says() {
    let gate = Arc::new(std::sync::Barrier::new(2));
    let opened = Arc::clone(&gate);
    let origin = Origin::new(move |stream, number| {
        if number == 1 {
            opened.wait();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").is_ok()
    });
    let other = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let one = |queue| ir::PoolLimit { connections: Some(1), requests: None, queue };
    let rig = Rig::new(vec![limited(Protocol::H1, &[origin.address, other.address], one(None))]);
    // The idle connection to the one endpoint makes room for one to the other.
    for _ in 0..2 {
        assert_eq!(rig.get("/").status, 200);
    }
    let mut held = rig.connect();
    held.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    until("it is there", || origin.heads().len() == 2);
    let full = rig.get("/");
    assert_eq!(full.status, 503, "{}", full.head);
    assert!(full.header("retry-after").is_some(), "{}", full.head);
    gate.wait();
    assert_eq!(Reply::read(&mut held).status, 200);
    assert_eq!(rig.get("/").status, 200);
    assert!(rig.notices.try_recv().is_err(), "that a pool is full is no trouble of an endpoint's");
}

#[test]
fn who_waits_for_a_connection_gets_the_next_one() {
    let gate = Arc::new(std::sync::Barrier::new(2));
    let opened = Arc::clone(&gate);
    let origin = Origin::new(move |stream, number| {
        if number == 0 {
            opened.wait();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").is_ok()
    });
    let limit = ir::PoolLimit { connections: Some(1), requests: None, queue: Some((10, 15_000)) };
    let rig = Rig::new(vec![limited(Protocol::H1, &[origin.address], limit)]);
    let mut clients: Vec<_> = (0..4)
        .map(|_| {
            let mut client = rig.connect();
            client.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
            client
        })
        .collect();
    until("the first is there", || origin.heads().len() == 1);
    gate.wait();
    for client in &mut clients {
        assert_eq!(Reply::read(client).status, 200);
    }
    // By HTTP/2 a connection more is not needed: streams wait for their turn.
    let mut builder = Builder::new();
    builder.max_concurrent_streams(1);
    let origin = H2Origin::with(builder, None, |_, respond| async { say(respond, "hi") });
    rig.publish(vec![limited(Protocol::H2c, &[origin.address], ir::PoolLimit { queue: None, ..limit })]);
    run(async {
        let mut sender = client(&rig).await;
        let answers: Vec<_> = (0..10).map(|n| sender.send_request(get(&format!("/{n}")), true).unwrap().0).collect();
        for answer in answers {
            assert_eq!(answer.await.unwrap().status(), 200);
        }
    });
    assert_eq!(origin.connections(), 1);
}
