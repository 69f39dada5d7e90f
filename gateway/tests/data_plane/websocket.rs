//! WebSocket over HTTP/1, byte for byte: what is passed on, what is not, and when.

use super::support::{
    Origin, PATIENCE, Reply, Rig, plan, pool, proxied, proxy, read_head, read_request, read_to_end, site,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};

const ASK: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, log\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

/// An origin that agrees to every handshake and hands its connections over, with the heads.
fn agreeing(answer: &'static str) -> (Origin, Receiver<(TcpStream, String)>) {
    let (tx, rx) = channel();
    let tx = std::sync::Mutex::new(tx);
    let origin = Origin::raw(move |mut stream, _| {
        let Some((head, _)) = read_request(&mut stream) else { return };
        if stream.write_all(answer.as_bytes()).is_ok() {
            let _ = tx.lock().unwrap().send((stream, head));
        }
    });
    (origin, rx)
}

/// Reads so many bytes.
fn take(stream: &mut impl Read, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_handshake_passes_and_then_bytes_both_ways() {
    let (origin, opened) = agreeing(AGREE);
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut client = rig.connect();
    client.write_all(ASK.as_bytes()).unwrap();
    let head = read_head(&mut client);
    let (mut server, asked) = opened.recv_timeout(PATIENCE).unwrap();
    assert!(asked.starts_with("GET /chat?room=1 HTTP/1.1\r\n"), "{asked}");
    for line in [
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol: chat, log",
        "sec-websocket-extensions: permessage-deflate; client_max_window_bits",
        "x-forwarded-for: 127.0.0.1",
    ] {
        assert_eq!(asked.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {asked}");
    }
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    for line in ["connection: Upgrade", "upgrade: websocket", "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="] {
        assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {head}");
    }
    for absent in ["content-length", "transfer-encoding", "close"] {
        assert!(!head.contains(absent), "{head}");
    }
    // No HTTP, and more than any buffer.
    let up: Vec<u8> = (0..1_000_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    let sent = up.clone();
    let mut writing = client.try_clone().unwrap();
    let writer = std::thread::spawn(move || writing.write_all(&sent).unwrap());
    assert!(take(&mut server, up.len()) == up);
    writer.join().unwrap();
    server.write_all(b"\x81\x02hi").unwrap();
    assert_eq!(take(&mut client, 4), b"\x81\x02hi");
    // One side ends, then the other.
    server.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut client), "");
    client.write_all(b"bye").unwrap();
    drop(client);
    assert_eq!(read_to_end(&mut server), "bye");
}

#[test]
fn what_is_sent_behind_the_handshake_waits_for_the_answer() {
    let (tx, rx) = channel();
    let tx = std::sync::Mutex::new(tx);
    let origin = Origin::raw(move |mut stream, _| {
        let Some(_) = read_request(&mut stream) else { return };
        // Nothing may come before the answer: what came would be read here.
        stream.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        let early = stream.read(&mut [0; 64]).map_err(|e| e.kind());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{AGREE}first").as_bytes()).unwrap();
        let late = take(&mut stream, 6);
        tx.lock().unwrap().send((early, late)).unwrap();
    });
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut client = rig.connect();
    client.write_all(format!("{ASK}pushed").as_bytes()).unwrap();
    assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
    // What the origin sent with its answer is not lost either.
    assert_eq!(take(&mut client, 5), b"first");
    let (early, late) = rx.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(early, Err(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)), "{early:?}");
    assert_eq!(late, b"pushed");
}

#[test]
fn an_origin_that_does_not_agree_answers_and_http_goes_on() {
    let origin =
        Origin::answering("HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 2\r\n\r\nno");
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut client = rig.connect();
    // The request behind it comes with it, and is looked at after the answer.
    let next = "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n";
    client.write_all(format!("{ASK}{next}").as_bytes()).unwrap();
    let reply = Reply::read(&mut client);
    assert_eq!((reply.status, reply.text(), reply.header("sec-websocket-version")), (426, "no", Some("13")));
    assert_eq!(Reply::read(&mut client).status, 426);
    client.write_all(next.as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut client).status, 426);
    let heads = origin.heads();
    assert!(heads[0].contains("upgrade: websocket\r\n"), "{}", heads[0]);
    assert!(heads[1].starts_with("GET /next ") && heads[2].starts_with("GET /next "), "{heads:?}");
    // And what is no HTTP behind it is refused.
    let said = rig.until_closed(format!("{ASK}\x01\x02\x03\r\n\r\n").as_bytes());
    assert!(said.starts_with("HTTP/1.1 426 ") && said.contains("HTTP/1.1 400 "), "{said}");
}

#[test]
fn websocket_off_makes_it_an_ordinary_request() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut off = plan(proxy());
    off.settings.websocket = Some(false);
    let rig = Rig::new(vec![site(vec![("/*", off)], vec![pool(&[origin.address])])]);
    assert_eq!(rig.ask(ASK).status, 200);
    let heads = origin.heads();
    assert!(!heads[0].contains("upgrade"), "{}", heads[0]);
}

#[test]
fn an_upgraded_connection_serves_nobody_else() {
    let (origin, opened) = agreeing(AGREE);
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut first = rig.connect();
    first.write_all(ASK.as_bytes()).unwrap();
    assert!(read_head(&mut first).starts_with("HTTP/1.1 101 "));
    let (mut hijacked, _) = opened.recv_timeout(PATIENCE).unwrap();
    // An answer that waits for the next one who asks.
    hijacked.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").unwrap();
    drop(first);
    for connections in 2..5 {
        let mut next = rig.connect();
        next.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").unwrap();
        assert!(read_head(&mut next).starts_with("HTTP/1.1 101 "));
        assert_eq!(origin.connections.load(Ordering::SeqCst), connections);
    }
}
