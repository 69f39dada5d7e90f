//! WebSocket over HTTP/2 (RFC 8441) to origins that speak HTTP/1.1, with hyper as the client.

use super::support::{Origin, PATIENCE, Rig, hello, plan, pool, proxied, proxy, read_request, read_to_end, site};
use bytes::Bytes;
use dsl::tree::ir;
use http::{Method, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Sender = http2::SendRequest<Empty<Bytes>>;

/// The proof that RFC 6455 section 4.2.2 asks for, by another implementation.
fn accept(key: &str) -> String {
    use std::process::{Command, Stdio};
    let mut child = Command::new("sh")
        .args(["-c", "openssl dgst -sha1 -binary | openssl base64 -A"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    write!(child.stdin.take().unwrap(), "{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// An origin that agrees with the proof that the closure makes of the right one.
fn agreeing(
    proof: impl Fn(String) -> String + Send + Sync + 'static,
) -> (Origin, Receiver<(std::net::TcpStream, String)>) {
    let (tx, rx) = channel();
    let tx = std::sync::Mutex::new(tx);
    let origin = Origin::raw(move |mut stream, _| {
        let Some((head, _)) = read_request(&mut stream) else { return };
        let proof = proof(accept(field(&head, "sec-websocket-key").unwrap()));
        let agree = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {proof}\r\nSec-WebSocket-Protocol: chat\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\nX-Origin: 1\r\n\r\n"
        );
        if stream.write_all(agree.as_bytes()).is_ok() {
            let _ = tx.lock().unwrap().send((stream, head));
        }
    });
    (origin, rx)
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.unwrap() })
}

/// A connection whose settings have arrived: without them a client may not use the method.
async fn connect(rig: &Rig) -> Sender {
    let tcp = TcpStream::connect(rig.http).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let first = Request::get("http://other.test/").body(Empty::new()).unwrap();
    assert_eq!(sender.send_request(first).await.unwrap().status(), 404);
    sender
}

fn ask(protocol: &'static str) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(Method::CONNECT)
        .uri("http://a.test/chat?room=1")
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat, log")
        .header("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")
        .body(Empty::new())
        .unwrap()
}

async fn open(sender: &mut Sender) -> (Response<Incoming>, TokioIo<Upgraded>) {
    let mut response = sender.send_request(ask("websocket")).await.unwrap();
    assert_eq!(response.status(), 200);
    let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
    (response, TokioIo::new(upgraded))
}

#[test]
fn a_connect_becomes_a_handshake_and_its_stream_a_websocket() {
    let (origin, opened) = agreeing(|proof| proof);
    let rig = Rig::new(vec![proxied(origin.address)]);
    run(async {
        let mut sender = connect(&rig).await;
        let (response, mut client) = open(&mut sender).await;
        let said = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap());
        assert_eq!(said("sec-websocket-protocol"), Some("chat"));
        assert_eq!(said("sec-websocket-extensions"), Some("permessage-deflate"));
        assert_eq!(said("x-origin"), Some("1"));
        for absent in ["sec-websocket-accept", "connection", "upgrade", "content-length"] {
            assert_eq!(said(absent), None);
        }
        let (mut server, head) = opened.recv_timeout(PATIENCE).unwrap();
        assert!(head.starts_with("GET /chat?room=1 HTTP/1.1\r\n"), "{head}");
        for (name, value) in [
            ("host", "a.test"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat, log"),
            ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
            ("x-forwarded-for", "127.0.0.1"),
        ] {
            assert_eq!(field(&head, name), Some(value), "{head}");
        }
        // More than all windows and buffers, both ways, one after the other.
        let bytes: Vec<u8> = (0..6_000_000_u32).map(|i| (i * 7 % 251) as u8).collect();
        let copy = bytes.clone();
        let echo = std::thread::spawn(move || {
            let mut got = vec![0; copy.len()];
            server.read_exact(&mut got).unwrap();
            assert!(got == copy);
            server.write_all(&got).unwrap();
            server
        });
        client.write_all(&bytes).await.unwrap();
        let mut back = vec![0; bytes.len()];
        client.read_exact(&mut back).await.unwrap();
        assert!(back == bytes);
        let mut server = echo.join().unwrap();
        // The end of the stream is the end of the connection, and the other way round.
        client.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut server), "");
        server.write_all(b"bye").unwrap();
        drop(server);
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "bye");
        // The connection serves on.
        let (_, _second) = open(&mut sender).await;
    });
}

#[test]
fn an_origin_without_the_proof_is_502() {
    let (origin, _opened) = agreeing(|proof| proof.to_lowercase());
    let rig = Rig::new(vec![proxied(origin.address)]);
    run(async {
        let mut sender = connect(&rig).await;
        assert_eq!(sender.send_request(ask("websocket")).await.unwrap().status(), 502);
        assert!(rig.notice().contains("another protocol than WebSocket"));
    });
}

#[test]
fn nothing_but_a_websocket_is_a_success() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let refusing = Origin::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let mut off = plan(proxy());
    off.settings.websocket = Some(false);
    for (what, served, status) in [
        ("an origin that answers", proxied(origin.address), 501),
        ("an origin that refuses", proxied(refusing.address), 403),
        ("an answer of the gateway's", hello(), 501),
        ("websocket off", site(vec![("/*", off)], vec![pool(&[origin.address])]), 501),
    ] {
        let rig = Rig::new(vec![served]);
        run(async {
            let mut sender = connect(&rig).await;
            let response = sender.send_request(ask("websocket")).await.unwrap();
            assert_eq!(response.status(), status, "{what}");
        });
    }
    let heads = origin.heads();
    assert!(field(&heads[0], "upgrade").is_some() && field(&heads[1], "upgrade").is_none(), "{heads:?}");
}

#[test]
fn other_protocols_are_501() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let rig = Rig::new(vec![proxied(origin.address)]);
    run(async {
        let mut sender = connect(&rig).await;
        for protocol in ["connect-udp", "h2c", "webtransport"] {
            assert_eq!(sender.send_request(ask(protocol)).await.unwrap().status(), 501, "{protocol}");
        }
    });
    assert_eq!(origin.heads().len(), 0);
    let refused = rig.handle.as_ref().unwrap().counters().refused;
    assert_eq!(refused, vec![(sluice::http::gate::Reason::Protocol, 3)]);
}

#[test]
fn a_connection_with_a_websocket_is_busy() {
    let (origin, opened) = agreeing(|proof| proof);
    let rig = Rig::with(vec![proxied(origin.address)], |gateway| gateway.limits.keep_alive_ms = 300);
    run(async {
        let mut sender = connect(&rig).await;
        let (_, mut client) = open(&mut sender).await;
        let (mut server, _) = opened.recv_timeout(PATIENCE).unwrap();
        // Far longer than the connection may be idle.
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        client.write_all(b"ping").await.unwrap();
        let mut got = [0; 4];
        server.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"ping");
        // Once it is over the connection is idle, and closed.
        drop((client, server));
        while sender.ready().await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn a_pool_that_speaks_http2_carries_none() {
    let mut pool = pool(&["127.0.0.1:1".parse().unwrap()]);
    pool.protocol = ir::Protocol::H2c;
    let rig = Rig::new(vec![site(vec![("/*", plan(proxy()))], vec![pool])]);
    run(async {
        let mut sender = connect(&rig).await;
        assert_eq!(sender.send_request(ask("websocket")).await.unwrap().status(), 502);
    });
}
