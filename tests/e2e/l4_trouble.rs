//! What goes wrong on purpose: origins that die, garbage on every port, no descriptors left.

use sluice_tests::endpoint::{Client, Flow, Named, NamedUdp, dial, reaches, reaches_udp};
use sluice_tests::peer::{self, Peer};
use sluice_tests::pki::Pki;
use sluice_tests::sluice::says;
use sluice_tests::tls::{self, Offer};
use sluice_tests::{Sluice, Wire, ports, wait};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Sends what it is asked for, as fast as it can: `stream.py PORT`.
const STREAM: &str = "
import socket, sys
with socket.create_server(('127.0.0.1', int(sys.argv[1]))) as server:
    print('ready', flush=True)
    while True:
        connection, _ = server.accept()
        connection.sendall(b'begin\\n')
        try:
            while True: connection.sendall(b'x' * 65536)
        except OSError: pass
";

#[test]
fn origin_that_is_killed_in_the_middle_of_a_stream() {
    let spare = Named::start("spare");
    let [port, origin] = [0; 2].map(|_| ports::free());
    let mut python = peer::command("python3", "python3");
    let mut streaming = Peer::start(python.args(["-c", STREAM, &origin.to_string()]));
    streaming.says("ready");
    let route = format!(
        "pool p {{\n    127.0.0.1:{origin}\n    {} backup\n    check tcp every 300ms within 250ms rise 1 fall 1\n}}\n\
         tcp 127.0.0.1:{port} -> p\n",
        spare.addr()
    );
    let sluice = Sluice::with(route);
    let mut client = reaches(local(port));
    assert_eq!(client.name, "begin");
    assert_eq!(client.wire.take(1 << 20).len(), 1 << 20);
    streaming.kill();
    // What was on its way may arrive; then the connection ends, and nothing hangs.
    client.wire.drain();
    // The origin's side has ended; half of the connection was still the client's.
    client.wire.finish();
    let record = sluice.record_of(client.wire.local());
    let end = record["end"].as_str().unwrap();
    assert!(matches!(end, "upstream-reset" | "upstream-closed" | "client-closed"), "{record}");
    assert!(record["bytes_out"].as_u64() > Some(1 << 20), "{record}");
    // The next client is served at once, by who is there: before the check has seen anything.
    assert_eq!(Client::connect(local(port)).expect("the spare answers").name, "spare");
}

/// What strangers send: nothing of it is a protocol that is spoken here.
fn garbage() -> Vec<Vec<u8>> {
    let mut noise = Vec::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..4096 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    vec![
        noise,
        vec![0; 32 * 1024],
        vec![0xff; 32 * 1024],
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: www.test\r\n\r\n".to_vec(),
        // A record that announces more than a record may hold; a hello that promises megabytes.
        b"\x16\x03\x01\xff\xff\x01\x00\x00\xfb".to_vec(),
        b"\x16\x03\x01\x40\x00\x01\xff\xff\xff\x03\x03".to_vec(),
        // PostgreSQL's requests for GSS encryption, for TLS twice, to cancel.
        b"\x00\x00\x00\x08\x04\xd2\x16\x30".to_vec(),
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f\x00\x00\x00\x08\x04\xd2\x16\x2f".to_vec(),
        b"\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x01\x00\x00\x00\x02".to_vec(),
        // PROXY headers from somebody whom nobody trusts.
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x00\x01\x00\x02".to_vec(),
        // A QUIC packet of a version that nobody knows, one that is too short, one that is cut.
        [b"\xc0\x1a\x2a\x3a\x4a\x08\x01\x02\x03\x04\x05\x06\x07\x08\x00".as_slice(), &[0; 1200]].concat(),
        b"\xc0\x00\x00\x00\x01\x08\x01".to_vec(),
        Vec::new(),
    ]
}

#[test]
fn garbage_to_every_port_ends_nothing_else() {
    let pki = Pki::new();
    let passed = Named::secure("passed", pki.issue(&["passed.test"]).server(&[]));
    let (stream, datagram) = (Named::start("stream"), NamedUdp::start("datagram"));
    let [plain, ended, udp, metrics] = [0; 4].map(|_| ports::free());
    let route = format!(
        "pool s = {}\npool d = {}\npool t = {}\n\
         tcp 127.0.0.1:{plain} -> s\ntcp 127.0.0.1:{ended} {{\n    tls auto\n    -> s\n}}\n\
         udp 127.0.0.1:{udp} {{\n    idle 2s\n    limit 1000/s burst 1000 per client.ip\n    -> d\n}}\n\
         passthrough passed.test -> t\n",
        stream.addr(),
        datagram.addr(),
        passed.addr()
    );
    let setup = Sluice::setup().gateway(&format!("    metrics 127.0.0.1:{metrics}"));
    let mut sluice = setup.file("a.route", route).file("www.route", says("www.test", "www")).start();
    let mut kept = reaches(local(plain));
    let (flow, _) = reaches_udp(Ipv4Addr::LOCALHOST, local(udp));
    let through = |sluice: &Sluice| {
        let offer = Offer { alpn: &[], ..Offer::h1("passed.test") };
        Client::over(tls::connect(sluice.https, &pki.root(), &offer).unwrap().wire).unwrap()
    };
    let mut kept_passed = through(&sluice);

    let all = [sluice.http, sluice.https, local(ended), local(plain), local(metrics)];
    for bytes in garbage() {
        for port in all {
            let mut wire = Wire::connect(port);
            wire.send(&bytes);
            wire.finish();
            // Whatever the answer is: it ends.
            wire.drain();
        }
        for port in [local(udp), sluice.https] {
            Flow::from(Ipv4Addr::new(127, 0, 7, 7), port).send(&bytes);
        }
    }
    assert!(sluice.is_running(), "{}", sluice.console_text());
    assert!(kept.echoes("still here"));
    assert!(kept_passed.echoes("still here"));
    assert_eq!(flow.asks("still here", wait::PATIENCE).as_deref(), Some("datagram"));
    assert_eq!(sluice.get("www.test", "/").text(), "www");
    assert_eq!(through(&sluice).name, "passed");
    assert_eq!(reaches(local(plain)).name, "stream");
    let panicked = sluice.console().into_iter().find(|line| line.contains("panic"));
    assert_eq!(panicked, None);
}

#[test]
fn no_descriptors_left_is_told_and_passes() {
    let a = Named::start("a");
    let u = NamedUdp::start("u");
    let [port, udp] = [0; 2].map(|_| ports::free());
    let route = format!(
        "pool a = {}\npool u = {}\ntcp 127.0.0.1:{port} -> a\n\
         udp 127.0.0.1:{udp} {{\n    idle 30s\n    limit 10000/s burst 10000 per client.ip\n    -> u\n}}\n",
        a.addr(),
        u.addr()
    );
    let mut sluice = Sluice::setup().descriptors(256).file("a.route", route).start();
    let to = local(port);
    let mut kept = reaches(to);
    let (flow, _) = reaches_udp(Ipv4Addr::LOCALHOST, local(udp));

    // More than there are descriptors for. The kernel takes them; the gateway cannot.
    let mut held: Vec<TcpStream> = Vec::new();
    let mut flows = Vec::new();
    for i in 0..400_u16 {
        let source = Ipv4Addr::new(127, 0, 8, u8::try_from(i % 200).unwrap() + 1);
        if let Ok(stream) = TcpStream::connect_timeout(&to, Duration::from_millis(500)) {
            held.push(stream);
        }
        let next = Flow::from(source, local(udp));
        next.send("hello");
        flows.push(next);
    }
    sluice.says("that there are no descriptors left", |line| {
        let line = line.to_lowercase();
        !line.starts_with('{') && (line.contains("descriptors") || line.contains("open files"))
    });
    assert!(sluice.is_running());
    assert!(kept.echoes("still here"), "who was there goes on");
    assert_eq!(flow.asks("still here", wait::PATIENCE).as_deref(), Some("u"));

    drop(held);
    drop(flows);
    wait::until("it accepts again", || {
        let client = dial(Ipv4Addr::LOCALHOST, to).ok()?;
        client.patience(Duration::from_secs(5));
        Client::over(client).map(|_| ())
    });
    assert!(kept.echoes("still here"));
    let loud = sluice.console().iter().filter(|line| !line.starts_with('{') && line.contains("open files")).count();
    assert!(loud < 20, "it does not say so for each connection: {loud} lines");
}
