//! Bodies as they come: events one by one, a gigabyte at constant memory, clients and origins that take
//! their time.

use sluice_tests::h2raw::{END_STREAM, RawH2, kind};
use sluice_tests::slow::{Size, crowd};
use sluice_tests::sluice::TempDir;
use sluice_tests::wait::Watched;
use sluice_tests::{Origin, Sluice, Wire, peer};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const GIGABYTE: u64 = 1 << 30;
/// What a body may add to the memory of the gateway, however long it is.
const ROOM: usize = 24 << 20;

/// An origin that sends an event, and the next one once the client has told that it has seen it.
fn events(seen: &Arc<Watched<u32>>) -> Origin {
    let seen = seen.clone();
    Origin::start(move |request, conn| {
        conn.body(request)?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\n")?;
        conn.send("Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for n in 1..=5 {
            conn.send(format!("f\r\nid: {n}\ndata: x\n\n\r\n"))?;
            seen.wait(sluice_tests::wait::PATIENCE, |seen| (*seen >= n).then_some(()))
                .expect("the client sees an event before the next one is sent");
        }
        conn.send("0\r\n\r\n")
    })
}

#[test]
fn server_sent_events_come_one_by_one_h1() {
    let seen = Arc::new(Watched::new(0));
    let origin = events(&seen);
    let sluice = Sluice::before(origin.addr());
    for mut wire in [sluice.wire(), sluice.secure("a.test")] {
        seen.change(|seen| *seen = 0);
        wire.send("GET /events HTTP/1.1\r\nHost: a.test\r\nAccept: text/event-stream\r\n\r\n");
        let head = wire.head().unwrap();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        assert_eq!(head.header("x-accel-buffering"), Some("no"));
        for n in 1..=5 {
            let chunk = String::from_utf8(wire.take(20)).unwrap();
            assert_eq!(chunk.to_ascii_lowercase(), format!("f\r\nid: {n}\ndata: x\n\n\r\n"));
            seen.change(|seen| *seen = n);
        }
        assert_eq!(wire.take(5), b"0\r\n\r\n");
    }
}

#[test]
fn server_sent_events_come_one_by_one_h2() {
    let seen = Arc::new(Watched::new(0));
    let origin = events(&seen);
    let sluice = Sluice::before(origin.addr());
    let mut raw = RawH2::connect(sluice.http);
    raw.request(1, &[(":method", "GET"), (":scheme", "http"), (":path", "/events"), (":authority", "a.test")]);
    let mut got = Vec::new();
    let mut n = 0;
    while let Some(frame) = raw.next_frame() {
        if frame.stream != 1 || frame.kind != kind::DATA {
            continue;
        }
        got.extend_from_slice(&frame.payload);
        while got.len() >= 15 {
            n += 1;
            assert_eq!(String::from_utf8_lossy(&got[..15]), format!("id: {n}\ndata: x\n\n"));
            got.drain(..15);
            seen.change(|seen| *seen = n);
        }
        if frame.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(n, 5);
}

#[test]
fn a_stream_that_pauses_is_alive_within_idle() {
    // Each pause is shorter than `idle`, all of them together are not.
    let origin = Origin::start(|request, conn| {
        conn.body(request)?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for _ in 0..6 {
            conn.send("3\r\n:\n\n\r\n")?;
            std::thread::sleep(Duration::from_millis(300));
        }
        conn.send("0\r\n\r\n")
    });
    let route =
        format!("pool o = {}\nsite a.test {{\n    http allowed\n    idle 1s\n    else -> o\n}}\n", origin.addr());
    let sluice = Sluice::with(route);
    assert_eq!(sluice.get("a.test", "/").text(), ":\n\n".repeat(6));
}

/// An origin that answers every GET with a gigabyte, counts what it could send, and counts what it is sent.
struct Large {
    addr: std::net::SocketAddr,
    sent: Arc<AtomicU64>,
    taken: Arc<AtomicU64>,
}

impl Large {
    /// `takes`: whether it reads what it is sent.
    fn start(takes: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let large = Self { addr: listener.local_addr().unwrap(), sent: Arc::default(), taken: Arc::default() };
        let (sent, taken) = (large.sent.clone(), large.taken.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sent, taken) = (sent.clone(), taken.clone());
                std::thread::spawn(move || Self::serve(stream, takes, &sent, &taken));
            }
        });
        large
    }

    fn serve(mut stream: TcpStream, takes: bool, sent: &AtomicU64, taken: &AtomicU64) -> Option<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let piece = vec![b'x'; 256 * 1024];
        if head.starts_with(b"GET ") {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {GIGABYTE}\r\n\r\n").ok()?;
            let mut left = GIGABYTE;
            while left > 0 {
                // A gigabyte is a multiple of the pieces, but not of what a blocked socket takes of one.
                let n = stream.write(&piece[..piece.len().min(usize::try_from(left).unwrap())]).ok()? as u64;
                sent.fetch_add(n, Ordering::SeqCst);
                left -= n;
            }
            return Some(());
        }
        if !takes {
            // Until the client is gone.
            let mut rest = [0; 1];
            while stream.peek(&mut rest).is_ok_and(|n| n > 0) {
                std::thread::sleep(Duration::from_millis(50));
            }
            return None;
        }
        // Chunked or by length: the count of what arrives tells.
        let mut piece = piece;
        while taken.load(Ordering::SeqCst) < GIGABYTE {
            match stream.read(&mut piece).ok()? {
                0 => return None,
                n => taken.fetch_add(n as u64, Ordering::SeqCst),
            };
        }
        if head.to_ascii_lowercase().windows(7).any(|w| w == b"chunked") {
            let mut end = piece[..0].to_vec();
            while !end.ends_with(b"0\r\n\r\n") {
                let n = stream.read(&mut piece).ok()?;
                end.extend_from_slice(&piece[..n]);
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").ok()
    }
}

/// Downloads and uploads a gigabyte with curl; what it printed.
#[track_caller]
fn curl(sluice: &Sluice, version: &str, upload: Option<&Path>) -> String {
    let mut curl = peer::command("curl", "curl");
    curl.args(["-sS", "--max-time", "150", "--noproxy", "*", version, "-o", "/dev/null", "-H", "Expect:"]);
    curl.args(["-w", "%{http_code} %{size_download} %{size_upload}"]);
    if let Some(file) = upload {
        curl.arg("-T").arg(file);
    }
    curl.args(["--connect-to", &format!("a.test:80:127.0.0.1:{}", sluice.http.port()), "http://a.test/large"]);
    let output = peer::run_for(&mut curl, Duration::from_secs(160));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_gigabyte_down_at_constant_memory() {
    let origin = Large::start(true);
    let sluice = Sluice::before(origin.addr);
    assert_eq!(sluice.get("other.test", "/").status, 404);
    let before = sluice.peak_rss();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        assert_eq!(curl(&sluice, version, None), format!("200 {GIGABYTE} 0"), "{version}");
        let after = sluice.peak_rss();
        assert!(after < before + ROOM, "{version}: memory grew from {before} to {after}");
    }
}

#[test]
fn a_gigabyte_up_at_constant_memory() {
    let dir = TempDir::new();
    let file = dir.path().join("large");
    File::create(&file).unwrap().set_len(GIGABYTE).unwrap();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let origin = Large::start(true);
        let sluice = Sluice::before(origin.addr);
        assert_eq!(sluice.get("other.test", "/").status, 404);
        let before = sluice.peak_rss();
        assert_eq!(curl(&sluice, version, Some(&file)), format!("200 2 {GIGABYTE}"), "{version}");
        let after = sluice.peak_rss();
        assert!(after < before + ROOM, "{version}: memory grew from {before} to {after}");
    }
}

/// Waits until a count stands still for a while; returns it.
fn stands_still(count: &AtomicU64) -> u64 {
    let (mut last, mut same) = (0, 0);
    sluice_tests::wait::until("the sender is stopped", || {
        let now = count.load(Ordering::SeqCst);
        same = if now > 0 && now == last { same + 1 } else { 0 };
        last = now;
        (same > 50).then_some(now)
    })
}

#[test]
fn an_origin_waits_for_a_client_that_does_not_read() {
    let origin = Large::start(true);
    let sluice = Sluice::before(origin.addr);
    assert_eq!(sluice.get("other.test", "/").status, 404);
    let before = sluice.peak_rss();
    let mut wire: Wire = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(wire.head().unwrap().status, 200);
    // The buffers of two pairs of sockets, and ours.
    let sent = stands_still(&origin.sent);
    assert!(sent < 32 << 20, "{sent} bytes left the origin");
    let mut raw = RawH2::connect(sluice.http);
    raw.request(1, &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.test")]);
    let both = stands_still(&origin.sent);
    assert!(both - sent < 32 << 20, "{} bytes left the origin", both - sent);
    let after = sluice.peak_rss();
    assert!(after < before + ROOM, "memory grew from {before} to {after}");
    // And it goes on where it stood.
    assert_eq!(wire.take(50 << 20).len(), 50 << 20);
}

#[test]
fn a_client_waits_for_an_origin_that_does_not_read() {
    let origin = Large::start(false);
    let sluice = Sluice::before(origin.addr);
    assert_eq!(sluice.get("other.test", "/").status, 404);
    let before = sluice.peak_rss();
    let mut socket = TcpStream::connect(sluice.http).unwrap();
    write!(socket, "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {GIGABYTE}\r\n\r\n").unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let (counted, mut writing) = (sent.clone(), socket.try_clone().unwrap());
    let writer = std::thread::spawn(move || {
        let piece = vec![0; 64 * 1024];
        while let Ok(n) = writing.write(&piece) {
            counted.fetch_add(n as u64, Ordering::SeqCst);
        }
    });
    let taken = stands_still(&sent);
    assert!(taken < 32 << 20, "{taken} bytes left the client");
    let after = sluice.peak_rss();
    assert!(after < before + ROOM, "memory grew from {before} to {after}");
    socket.shutdown(Shutdown::Both).unwrap();
    writer.join().unwrap();
}

#[test]
fn slow_clients_cost_no_more_than_their_answers() {
    let size = Size { clients: 200, answer: 100 * 1024, pieces: 8, pause: Duration::from_millis(50), workers: 1 };
    let outcome = crowd(size);
    assert_eq!(outcome.whole, size.clients, "{outcome:?}");
    println!("{} bytes each", outcome.each(size));
    // An answer that waits is held in the buffers of both sides at most, with what a connection needs.
    assert!(outcome.each(size) < (64 + 128 + 32) * 1024, "{} bytes each: {outcome:?}", outcome.each(size));
}
