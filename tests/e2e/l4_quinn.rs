//! QUIC through `passthrough`, with quinn on both sides, which moves and is moved: the gateway reads the name in the
//! first packets and never has a key.

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig, VarInt};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sluice_tests::observed::Metrics;
use sluice_tests::pki::Pki;
use sluice_tests::sluice::says;
use sluice_tests::wait::{self, PATIENCE};
use sluice_tests::{Sluice, ports};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Runtime;

/// A server that answers each stream with its name and what was said.
struct Origin {
    runtime: Runtime,
    endpoint: Endpoint,
    seen: Arc<Mutex<Vec<Connection>>>,
}

impl Origin {
    fn start(pki: &Pki, name: &'static str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let tls = Arc::unwrap_or_clone(pki.issue(&[name]).server(&["echo"]));
        let config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
        let guard = runtime.enter();
        let endpoint = Endpoint::server(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        drop(guard);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (accepting, record) = (endpoint.clone(), Arc::clone(&seen));
        runtime.spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                let record = Arc::clone(&record);
                tokio::spawn(async move {
                    let Ok(connection) = incoming.await else { return };
                    record.lock().unwrap().push(connection.clone());
                    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                        let said = receive.read_to_end(8 << 20).await.unwrap_or_default();
                        let _ = send.write_all(&[name.as_bytes(), b":", &said].concat()).await;
                        let _ = send.finish();
                    }
                });
            }
        });
        Self { runtime, endpoint, seen }
    }

    fn addr(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    /// Where a client is, as the last connection has it.
    fn client(&self) -> SocketAddr {
        self.seen.lock().unwrap().last().unwrap().remote_address()
    }

    fn connections(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.endpoint.close(VarInt::from_u32(0), b"");
        let _ = &self.runtime;
    }
}

/// A client's socket, with the connections that it makes.
struct Client {
    runtime: Runtime,
    endpoint: Endpoint,
}

impl Client {
    /// One that trusts an authority. `classical`: no post-quantum key share, so that the hello fits into
    /// one datagram.
    fn new(pki: &Pki, classical: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pki.root()).unwrap()).unwrap();
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        if classical {
            provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519];
        }
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let mut tls = builder.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"echo".to_vec()];
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let mut transport = TransportConfig::default();
        transport.max_idle_timeout(Some(VarInt::from_u32(20_000).into()));
        config.transport_config(Arc::new(transport));
        let guard = runtime.enter();
        let mut endpoint = Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        drop(guard);
        endpoint.set_default_client_config(config);
        Self { runtime, endpoint }
    }

    #[track_caller]
    fn connect(&self, to: SocketAddr, name: &str) -> Connection {
        let connecting = {
            let _guard = self.runtime.enter();
            self.endpoint.connect(to, name).unwrap()
        };
        let connected = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, connecting).await });
        connected.unwrap_or_else(|_| panic!("no connection to {name}")).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Says something on a stream of its own, and reads the answer.
    #[track_caller]
    fn asks(&self, connection: &Connection, text: &[u8]) -> Vec<u8> {
        let asking = async {
            let (mut send, mut receive) = connection.open_bi().await.unwrap();
            send.write_all(text).await.unwrap();
            send.finish().unwrap();
            receive.read_to_end(8 << 20).await.unwrap()
        };
        let asked = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await });
        asked.expect("the connection is stuck")
    }

    #[track_caller]
    fn is_answered(&self, connection: &Connection, by: &str) {
        let answer = self.asks(connection, b"hello");
        assert_eq!(String::from_utf8_lossy(&answer), format!("{by}:hello"));
    }

    /// Goes on with another socket: the client knows that it moves.
    fn moves(&self) {
        let _guard = self.runtime.enter();
        self.endpoint.rebind(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).unwrap();
    }
}

struct Rig {
    pki: Pki,
    a: Origin,
    b: Origin,
    sluice: Sluice,
    metrics: SocketAddr,
}

impl Rig {
    fn new(workers: usize) -> Self {
        let pki = Pki::new();
        let (a, b) = (Origin::start(&pki, "a.test"), Origin::start(&pki, "b.test"));
        let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let route =
            format!("pool a = {}\npool b = {}\npassthrough a.test -> a\npassthrough b.test -> b\n", a.addr(), b.addr());
        let setup = Sluice::setup().gateway(&format!("    metrics {metrics}")).workers(workers);
        let sluice = setup.file("q.route", route).file("www.route", says("www.test", "own")).start();
        Self { pki, a, b, sluice, metrics }
    }

    fn dropped(&self, reason: &str) -> f64 {
        Metrics::of(self.metrics).sum("sluice_quic_dropped_datagrams_total", &[("reason", reason)])
    }
}

#[test]
fn quic_is_told_apart_by_its_name() {
    let rig = Rig::new(1);
    let large: Vec<u8> = (0..1 << 20).map(|n: u32| n as u8).collect();
    for classical in [true, false] {
        let client = Client::new(&rig.pki, classical);
        // One socket, two connections. The client verifies each certificate: it is the origin's.
        let a = client.connect(rig.sluice.https, "a.test");
        let b = client.connect(rig.sluice.https, "b.test");
        for _ in 0..3 {
            client.is_answered(&a, "a.test");
            client.is_answered(&b, "b.test");
        }
        assert_eq!(client.asks(&a, &large)[7..], large, "classical: {classical}");
        let again = client.connect(rig.sluice.https, "a.test");
        client.is_answered(&again, "a.test");
        client.is_answered(&a, "a.test");
    }
    assert_eq!((rig.a.connections(), rig.b.connections()), (4, 2));
    // The same port ends the TLS of a site.
    let mut wire = rig.sluice.secure("www.test");
    assert_eq!(wire.send("GET / HTTP/1.1\r\nHost: www.test\r\n\r\n").reply().text(), "own");
}

#[test]
fn a_client_that_moves_on_purpose_is_found_again() {
    // It takes a connection ID that nobody in between has seen.
    let rig = Rig::new(2);
    let client = Client::new(&rig.pki, false);
    let a = client.connect(rig.sluice.https, "a.test");
    client.is_answered(&a, "a.test");
    for _ in 0..4 {
        let before = rig.a.client();
        client.moves();
        client.is_answered(&a, "a.test");
        wait::until("the origin sees that its client has moved", || (rig.a.client() != before).then_some(()));
    }
    assert_eq!(rig.a.connections(), 1);
}

/// Somebody in between who gives a client another address without telling it, as a NAT does.
struct Nat {
    addr: SocketAddr,
    outside: Arc<Mutex<UdpSocket>>,
    to: SocketAddr,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Nat {
    fn new(to: SocketAddr) -> Self {
        let inside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        inside.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let outside = Arc::new(Mutex::new(Self::socket(Ipv4Addr::LOCALHOST.into(), to)));
        let ended = Arc::new(AtomicBool::new(false));
        let addr = inside.local_addr().unwrap();
        let client = Arc::new(Mutex::new(None));
        let threads = vec![
            std::thread::spawn({
                let (inside, outside, ended) = (inside.try_clone().unwrap(), Arc::clone(&outside), Arc::clone(&ended));
                let client = Arc::clone(&client);
                move || {
                    let mut bytes = [0; 65536];
                    while !ended.load(Ordering::Relaxed) {
                        let Ok((n, from)) = inside.recv_from(&mut bytes) else { continue };
                        *client.lock().unwrap() = Some(from);
                        let _ = outside.lock().unwrap().send(&bytes[..n]);
                    }
                }
            }),
            std::thread::spawn({
                let (outside, ended) = (Arc::clone(&outside), Arc::clone(&ended));
                move || {
                    let mut bytes = [0; 65536];
                    while !ended.load(Ordering::Relaxed) {
                        let socket = outside.lock().unwrap().try_clone().unwrap();
                        let Ok(n) = socket.recv(&mut bytes) else { continue };
                        if let Some(client) = *client.lock().unwrap() {
                            let _ = inside.send_to(&bytes[..n], client);
                        }
                    }
                }
            }),
        ];
        Self { addr, outside, to, ended, threads }
    }

    fn socket(ip: IpAddr, to: SocketAddr) -> UdpSocket {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        socket.connect(to).unwrap();
        socket
    }

    /// Gives the client another address.
    fn moves_to(&self, ip: Ipv4Addr) {
        *self.outside.lock().unwrap() = Self::socket(ip.into(), self.to);
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_client_that_is_moved_is_found_by_its_connection_id() {
    // Each time it comes from another IP address, and the kernel hands it to a worker of its choice.
    let rig = Rig::new(2);
    let nat = Nat::new(rig.sluice.https);
    let client = Client::new(&rig.pki, true);
    // Connections to another place, so that IP addresses tell nothing.
    let b = client.connect(nat.addr, "b.test");
    let a = client.connect(nat.addr, "a.test");
    for number in 2..10 {
        client.is_answered(&a, "a.test");
        client.is_answered(&b, "b.test");
        nat.moves_to(Ipv4Addr::new(127, 0, 0, number));
    }
    client.is_answered(&a, "a.test");
    assert_eq!((rig.a.connections(), rig.b.connections()), (1, 1));
}

#[test]
fn names_that_nobody_passes_on_get_no_answer() {
    let rig = Rig::new(1);
    let client = Client::new(&rig.pki, false);
    for (number, name) in ["nobody.test", "www.test"].into_iter().enumerate() {
        let _guard = client.runtime.enter();
        let connecting = client.endpoint.connect(rig.sluice.https, name).unwrap();
        wait::until("it is counted", || (rig.dropped("unserved") > number as f64).then_some(()));
        drop(connecting);
    }
    assert_eq!((rig.a.connections(), rig.b.connections()), (0, 0));
}

#[test]
fn reloads_touch_no_quic_connection() {
    let rig = Rig::new(2);
    let client = Client::new(&rig.pki, false);
    let a = client.connect(rig.sluice.https, "a.test");
    for number in 0..10 {
        let text = format!("site www.test {{\n    http allowed\n    else -> respond 200 \"{number}\"\n}}\n");
        rig.sluice.write("www.route", text);
        rig.sluice.serves("www.test", "/", |reply| reply.text() == number.to_string());
        client.is_answered(&a, "a.test");
    }
    assert_eq!(rig.a.connections(), 1);
}

#[test]
fn flood_of_garbage_initials() {
    let rig = Rig::new(1);
    let client = Client::new(&rig.pki, false);
    let a = client.connect(rig.sluice.https, "a.test");
    client.is_answered(&a, "a.test");
    let before = rig.sluice.rss();
    let mut garbage = vec![0x55; 1200];
    garbage[..6].copy_from_slice(&[0xc0, 0, 0, 0, 1, 8]);
    garbage[14..18].copy_from_slice(&[0, 0, 0x44, 0x9e]);
    let mut sent = 0_u32;
    while sent < 20_000 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for _ in 0..100 {
            garbage[6..10].copy_from_slice(&sent.to_be_bytes());
            // A full queue drops it: that is the kernel's part in this.
            let _ = socket.send_to(&garbage, rig.sluice.https);
            sent += 1;
        }
        // A connection that lives, and one that begins, meanwhile.
        if sent.is_multiple_of(5_000) {
            client.is_answered(&a, "a.test");
            let b = client.connect(rig.sluice.https, "b.test");
            client.is_answered(&b, "b.test");
        }
    }
    assert!(rig.dropped("malformed") > 1_000.0, "{}", rig.dropped("malformed"));
    // Packets of connections that nobody has.
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 9), 0)).unwrap();
    socket.send_to(&[0x40; 40], rig.sluice.https).unwrap();
    wait::until("it is counted", || (rig.dropped("unknown") > 0.0).then_some(()));
    let after = rig.sluice.rss();
    assert!(after < before + (24 << 20), "{before} bytes before the flood, {after} after it");
}
