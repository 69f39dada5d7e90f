//! Attacks by slowness: everything has a deadline, and nobody else waits (DESIGN invariant 6).

use sluice_tests::wait::PATIENCE;
use sluice_tests::{Origin, Sluice, sluice};
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A gateway with short deadlines.
fn impatient(origin: &Origin) -> Sluice {
    let limits = "    limits {\n        header timeout 500ms\n        idle 500ms\n    }";
    Sluice::setup().gateway(limits).file("a.route", sluice::proxy("a.test", origin.addr())).start()
}

/// Sends a byte now and then and waits for the gateway to lose its patience.
#[track_caller]
fn is_ended(sluice: &Sluice, origin: &Origin, to: std::net::SocketAddr, start: &[u8]) {
    let mut socket = TcpStream::connect(to).unwrap();
    std::io::Write::write_all(&mut socket, start).unwrap();
    // Reading with a short timeout is both the pause between two bytes and the look for the end.
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let begin = Instant::now();
    let mut got = Vec::new();
    loop {
        assert!(begin.elapsed() < PATIENCE, "the connection is held for ever; got {got:?}");
        let mut piece = [0; 1024];
        match socket.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => got.extend_from_slice(&piece[..n]),
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                // Nobody else waits meanwhile.
                assert_eq!(sluice.get("a.test", "/").status, 200);
                let _ = std::io::Write::write_all(&mut socket, b"x");
            }
            Err(_) => break,
        }
    }
    let status = String::from_utf8_lossy(&got).into_owned();
    assert!(!status.starts_with("HTTP/1.1 2"), "{status}");
    assert!(origin.requests().iter().all(|s| s.target == "/"));
}

macro_rules! slow {
    ($($name:ident: $port:ident, $start:expr;)*) => { $(
        #[test]
        fn $name() {
            let origin = Origin::fixed("ok");
            let sluice = impatient(&origin);
            is_ended(&sluice, &origin, sluice.$port, $start);
        }
    )* };
}

slow! {
    slowloris: http, b"GET /slow HTTP/1.1\r\nHost: a.test\r\nX: ";
    slowloris_in_the_request_line: http, b"GET /slow";
    slowloris_before_the_first_byte: http, b"";
    slowloris_in_the_h2_preface: http, b"PRI * HTTP/2.0\r\n";
    slowloris_in_an_h2_header_block: http, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x40\x01\0\0\0\0\x01";
    slowloris_in_the_handshake: https, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
}

#[test]
fn slow_body() {
    // The pieces of a body may be far apart, but not as far as one likes.
    let origin = Origin::echo();
    let sluice = Sluice::with(format!(
        "pool origin = {}\nsite a.test {{\n    http allowed\n    idle 500ms\n    else -> origin\n}}\n",
        origin.addr()
    ));
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nabc");
    let begin = Instant::now();
    if let Some(reply) = wire.try_reply("POST") {
        assert!([400, 408, 504].contains(&reply.status), "{reply:?}");
    }
    wire.rest();
    assert!(begin.elapsed() < PATIENCE);
    assert!(origin.requests().iter().all(|s| !s.complete));
}

#[test]
fn slow_reader() {
    // A client that stops reading does not hold the origin's connection for ever.
    let origin = Origin::start(|seen, conn| {
        conn.body(seen)?;
        conn.respond("200 OK", "", vec![b'x'; 64 << 20])
    });
    let sluice = Sluice::with(format!(
        "pool origin = {}\nsite a.test {{\n    http allowed\n    idle 500ms\n    else -> origin\n}}\n",
        origin.addr()
    ));
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let ended = origin.record().wait(PATIENCE, |r| (r.closed == 1).then_some(()));
    assert!(ended.is_some(), "the origin's connection is held for ever");
}

#[test]
fn idle_connections_are_closed() {
    let origin = Origin::fixed("ok");
    let sluice = impatient(&origin);
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(wire.reply().status, 200);
    assert!(wire.rest().is_empty());
}

#[test]
fn idle_h2_connections_are_closed() {
    let origin = Origin::fixed("ok");
    let sluice = impatient(&origin);
    let mut raw = sluice_tests::h2raw::RawH2::connect(sluice.http);
    while raw.next_frame().is_some() {}
}

#[test]
fn connection_limit() {
    // Beyond the limit connections are not served; when others end there is room again.
    let origin = Origin::fixed("ok");
    let setup = Sluice::setup().gateway("    limits {\n        connections 20\n    }");
    let sluice = setup.file("a.route", sluice::proxy("a.test", origin.addr())).start();
    let held: Vec<_> = (0..20)
        .map(|_| {
            let mut wire = sluice.wire();
            wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            assert_eq!(wire.reply().status, 200);
            wire
        })
        .collect();
    let mut beyond = sluice.wire();
    beyond.patience(Duration::from_millis(500));
    beyond.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| beyond.try_reply("GET")));
    // Left waiting, hung up on, or told so: anything but served.
    if let Ok(Some(reply)) = answer {
        assert_eq!(reply.status, 503, "{reply:?}");
    }
    drop(beyond);
    drop(held);
    sluice.serves("a.test", "/", |reply| reply.status == 200);
}
