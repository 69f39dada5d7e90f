//! `passthrough` by the hello of a TLS connection: whatever way it comes, it is handed on as it came,
//! once; and what is asked for on a connection that ends here is not.

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use sluice_tests::endpoint::{Client, Named};
use sluice_tests::observed::Metrics;
use sluice_tests::pki::Pki;
use sluice_tests::sluice::says;
use sluice_tests::tls::{self, Offer};
use sluice_tests::wait::{self, PATIENCE, Watched};
use sluice_tests::{Sluice, Wire, ports};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// A client that trusts an authority, with so many bytes of protocols to offer.
fn config(pki: &Pki, padding: usize) -> Arc<ClientConfig> {
    let mut config = Arc::unwrap_or_clone(tls::config(&pki.root(), &Offer::h1("vault.test")));
    config.alpn_protocols.extend((0..padding / 200).map(|n| format!("{n:0>199}").into_bytes()));
    Arc::new(config)
}

fn client(config: &Arc<ClientConfig>, name: &str) -> ClientConnection {
    ClientConnection::new(Arc::clone(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap()
}

/// A client's first flight: one record.
fn hello_of(client: &mut ClientConnection) -> Vec<u8> {
    let mut raw = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut raw).unwrap();
    }
    raw
}

/// The same message in records of so many bytes.
fn cut(hello: &[u8], piece: usize) -> Vec<u8> {
    let records = hello[5..]
        .chunks(piece)
        .map(|piece| [&[22, 3, 1][..], &u16::try_from(piece.len()).unwrap().to_be_bytes(), piece].concat());
    records.collect::<Vec<_>>().concat()
}

fn connect(to: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(to).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Goes on with a handshake whose hello was sent: the certificate must be the endpoint's own.
#[track_caller]
fn is_passed(client: ClientConnection, socket: TcpStream) {
    let below = socket.try_clone().unwrap();
    let wire = Wire::over(Box::new(StreamOwned::new(client, socket)), below);
    let mut client = Client::over(wire).expect("the endpoint says who it is");
    assert_eq!(client.name, "vault");
    assert!(client.echoes("hello"));
}

struct Rig {
    pki: Pki,
    vault: Named,
    sluice: Sluice,
    metrics: SocketAddr,
}

impl Rig {
    fn new() -> Self {
        let pki = Pki::new();
        let vault = Named::secure("vault", pki.issue(&["vault.test", "*.wild.test"]).server(&["http/1.1"]));
        let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let gateway = format!("    metrics {metrics}\n    limits {{\n        header timeout 1s\n    }}");
        let route = format!("pool vault = {}\npassthrough vault.test, *.wild.test -> vault\n", vault.addr());
        let setup = Sluice::setup().gateway(&gateway).file("vault.route", route);
        let sluice = setup.file("www.route", says("www.test", "own") + &says("own.wild.test", "wild")).start();
        Self { pki, vault, sluice, metrics }
    }

    fn failed(&self, reason: &str) -> f64 {
        Metrics::of(self.metrics).sum("sluice_hellos_failed_total", &[("reason", reason)])
    }

    #[track_caller]
    fn is_counted(&self, reason: &str, times: f64) {
        let seen = || self.failed(reason);
        wait::until(reason, || (seen() >= times).then_some(()));
        assert_eq!(seen().to_string(), times.to_string(), "{reason}");
    }
}

#[test]
fn a_hello_is_handed_on_however_it_comes() {
    let rig = Rig::new();
    for padding in [0, 8_000] {
        let config = config(&rig.pki, padding);
        // At once; in records of any size.
        for piece in [1 << 14, 500, 40] {
            let mut client = client(&config, "vault.test");
            let hello = hello_of(&mut client);
            assert!(hello.len() > 1_200 + padding, "{} bytes", hello.len());
            let mut socket = connect(rig.sluice.https);
            socket.write_all(&cut(&hello, piece)).unwrap();
            is_passed(client, socket);
        }
        // One byte at a time.
        let mut client = client(&config, "vault.test");
        let mut socket = connect(rig.sluice.https);
        for byte in hello_of(&mut client) {
            socket.write_all(&[byte]).unwrap();
        }
        is_passed(client, socket);
    }
    // Wildcards, the more specific site beside them, and names of odd case.
    for name in ["x.wild.test", "VAULT.TesT"] {
        let mut client = client(&config(&rig.pki, 0), name);
        let mut socket = connect(rig.sluice.https);
        socket.write_all(&hello_of(&mut client)).unwrap();
        is_passed(client, socket);
    }
    let mut wire = rig.sluice.secure("own.wild.test");
    assert_eq!(wire.send("GET / HTTP/1.1\r\nHost: own.wild.test\r\n\r\n").reply().text(), "wild");
}

/// An endpoint that keeps what comes to it, and answers PostgreSQL's SSLRequest.
fn keeps() -> (SocketAddr, Arc<Watched<Vec<u8>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (addr, kept) = (listener.local_addr().unwrap(), Arc::new(Watched::<Vec<u8>>::default()));
    let keeping = Arc::clone(&kept);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let keeping = Arc::clone(&keeping);
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut piece) {
                    if piece[..n] == SSL_REQUEST {
                        stream.write_all(b"S").unwrap();
                    }
                    keeping.change(|kept| kept.extend_from_slice(&piece[..n]));
                }
            });
        }
    });
    (addr, kept)
}

#[track_caller]
fn has(kept: &Watched<Vec<u8>>, expected: &[u8]) {
    let got = kept.wait(PATIENCE, |kept| (kept.len() >= expected.len()).then(|| kept.clone()));
    let got = got.unwrap_or_else(|| panic!("{} of {} bytes", kept.get().len(), expected.len()));
    assert!(got == expected, "{} bytes in place of {}", got.len(), expected.len());
    kept.change(Vec::clear);
}

#[test]
fn what_was_read_is_handed_on_once_and_unchanged() {
    let rig = Rig::new();
    let (addr, kept) = keeps();
    rig.sluice.write("vault.route", format!("pool vault = {addr}\npassthrough vault.test, vault.testx -> vault\n"));
    let hello = hello_of(&mut client(&config(&rig.pki, 0), "vault.testx"));
    wait::until("the route is in force", || {
        connect(rig.sluice.https).write_all(&hello).ok()?;
        kept.wait(Duration::from_millis(50), |kept| (!kept.is_empty()).then_some(()))
    });
    kept.wait(PATIENCE, |kept| kept.len().is_multiple_of(hello.len()).then(|| kept.clear())).unwrap();

    // Bytes right behind the hello, and cut-up records, arrive as they were.
    for raw in
        [[&hello[..], b"\x17\x03\x03\0\x05early"].concat(), cut(&hello, 7), [cut(&hello, 600), vec![0; 5_000]].concat()]
    {
        let mut socket = connect(rig.sluice.https);
        socket.write_all(&raw).unwrap();
        has(&kept, &raw);
        socket.write_all(b"more").unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        has(&kept, b"more");
        // The endpoint closes as well.
        assert_eq!(socket.read(&mut [0]).unwrap(), 0);
    }

    // A dot at the end of the name, which clients do not send as a rule: the same host.
    let at = hello.windows(11).position(|w| w == b"vault.testx").unwrap();
    let mut dotted = hello.clone();
    dotted[at + 10] = b'.';
    let mut socket = connect(rig.sluice.https);
    socket.write_all(&dotted).unwrap();
    has(&kept, &dotted);
    let from = socket.local_addr().unwrap();
    drop(socket);
    let record = rig.sluice.record_of(from);
    assert_eq!((&record["sni"], &record["pool"]), (&"vault.test".into(), &"vault".into()), "{record}");

    // PostgreSQL: the request is answered here, and asked of the endpoint.
    let mut socket = connect(rig.sluice.https);
    socket.write_all(&SSL_REQUEST).unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");
    socket.write_all(&hello).unwrap();
    has(&kept, &[&SSL_REQUEST[..], &hello].concat());
}

#[test]
fn slowloris_in_the_hello_of_a_passthrough() {
    let rig = Rig::new();
    let hello = hello_of(&mut client(&config(&rig.pki, 0), "vault.test"));
    let mut socket = connect(rig.sluice.https);
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let begun = Instant::now();
    for byte in &hello {
        // Reading is the pause between two bytes, and the look for the end.
        let read = socket.write_all(&[*byte]).and_then(|()| socket.read(&mut [0]));
        match read {
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Ok(_) | Err(_) => break,
        }
        assert!(begun.elapsed() < PATIENCE, "held for ever");
    }
    rig.is_counted("timeout", 1.0);
    assert!(begun.elapsed() >= Duration::from_secs(1), "cut short after {:?}", begun.elapsed());
    // Gone half way.
    let mut socket = connect(rig.sluice.https);
    socket.write_all(&hello[..700]).unwrap();
    drop(socket);
    rig.is_counted("left", 1.0);
    // None of them reached the endpoint, and the next client is served.
    assert_eq!(rig.vault.seen().get().begun, 0);
    let mut client = client(&config(&rig.pki, 0), "vault.test");
    let mut socket = connect(rig.sluice.https);
    socket.write_all(&hello_of(&mut client)).unwrap();
    is_passed(client, socket);
}

#[test]
fn flood_of_half_hellos_holds_little() {
    let rig = Rig::new();
    let hello = hello_of(&mut client(&config(&rig.pki, 8_000), "vault.test"));
    let before = rig.sluice.rss();
    let sockets: Vec<_> = (0..1_500)
        .map(|_| {
            let mut socket = connect(rig.sluice.https);
            socket.write_all(&hello[..hello.len() - 1]).unwrap();
            socket
        })
        .collect();
    let during = rig.sluice.rss();
    // 9.5 KB of hello each in at most twice the room, and what a connection takes.
    assert!(during < before + sockets.len() * (40 << 10), "{before} bytes before, {during} during");
    rig.is_counted("timeout", sockets.len() as f64);
    assert_eq!(rig.vault.seen().get().begun, 0);
}

#[test]
fn requests_for_a_passthrough_on_a_connection_that_ends_here_are_misdirected() {
    // LANGUAGE rule 26. HTTP/2 clients reuse a connection for every name that its certificate covers.
    let rig = Rig::new();
    let mut h2 = rig.sluice.h2_secure("www.test");
    assert_eq!(h2.get("https://www.test/").text(), "own");
    for name in ["vault.test", "x.wild.test", "VAULT.test"] {
        let answer = h2.get(&format!("https://{name}/"));
        assert_eq!(answer.status, 421, "{name}: {}", answer.text());
    }
    assert_eq!(h2.get("https://www.test/").text(), "own", "the connection lives on");

    let mut wire = rig.sluice.secure("www.test");
    let reply = wire.send("GET / HTTP/1.1\r\nHost: vault.test\r\n\r\n").reply();
    assert_eq!(reply.status, 421);
    let reply = wire.send("GET / HTTP/1.1\r\nHost: www.test\r\n\r\n").reply();
    assert_eq!((reply.status, reply.text()), (200, "own".to_owned()), "the connection lives on");
    // In the clear it is no better.
    assert_eq!(rig.sluice.get("vault.test", "/").status, 421);
    assert_eq!(rig.vault.seen().get().begun, 0);
}
