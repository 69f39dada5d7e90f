//! A gateway with a `udp` item, and servers and clients on the loopback.

use arc_swap::ArcSwap;
use dsl::syntax::span::FileId;
use dsl::tree::HostIndex;
use dsl::tree::ir;
use dsl::tree::l4::Listening;

use sluice::l4::{Counts, End, ListenKey, Route, Routes};
use sluice::runtime::notice::Notice;
use sluice::runtime::sockets::{self, Service};
use sluice::runtime::{self, listeners, notice};
use sluice::sites::item::Item;
use sluice::snapshot::{Published, Snapshot};
use sluice::tls::{InternalCa, Tickets};
use sluice::upstream::Pools;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running gateway.
pub struct Rig {
    pub handle: Option<runtime::Handle>,
    /// Where it listens.
    pub address: SocketAddr,
    pub notices: Receiver<Notice>,
    pub route: Arc<Route>,
    dir: PathBuf,
    published: Published,
    pools: Pools,
    routes: Routes,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.drain(Duration::ZERO);
            handle.join();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Rig {
    /// Serves the first `udp` item of a text, with one worker.
    pub fn new(text: &str) -> Self {
        Self::with(text, 1)
    }

    /// With so many workers.
    pub fn with(text: &str, workers: usize) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("sluice-udp-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (pools, routes) = (Pools::new(workers), Routes::new(workers));
        let item = compiled(text);
        let key = ListenKey::of(item.transport, &item.listener);
        let bound = sockets::open(Service::Item(key), &item.listener, workers, true).unwrap();
        let address = bound[0].address;
        let route = interned(&pools, &routes, item, &dir);
        let published = Arc::new(ArcSwap::from_pointee(snapshot(Some(&route))));
        let (sender, notices) = notice::channel();
        let config = runtime::Config {
            workers,
            published: Arc::clone(&published),
            listeners: listeners::fixed(bound),
            ca: Arc::new(InternalCa::load_or_create(&dir.join("ca")).unwrap()),
            tickets: Tickets::start(None, |_| ()).unwrap(),
            certificates: sluice::tls::certificates::Certificates::at(std::path::Path::new("/nonexistent")),
            board: sluice::tls::acme::Board::new(),
            notices: sender,
            log: Default::default(),
            countries: Default::default(),
        };
        let handle = Some(runtime::start(config).unwrap());
        Self { handle, address, notices, route, dir, published, pools, routes }
    }

    /// Serves another text from now on.
    pub fn publish(&mut self, text: &str) {
        self.route = interned(&self.pools, &self.routes, compiled(text), &self.dir);
        self.published.store(Arc::new(snapshot(Some(&self.route))));
    }

    /// Serves nothing from now on.
    pub fn withdraw(&self) {
        self.published.store(Arc::new(snapshot(None)));
    }

    /// What happened.
    pub fn counts(&self) -> &Counts {
        &self.route.counts
    }

    pub fn begun(&self) -> u64 {
        self.counts().sum(|s| &s.begun)
    }

    pub fn ended(&self) -> u64 {
        self.counts().sum(|s| &s.ended)
    }

    pub fn dropped(&self) -> u64 {
        self.counts().sum(|s| &s.datagrams_dropped)
    }

    pub fn ends(&self, end: End) -> u64 {
        self.counts().ends(end)
    }

    /// A client on an address of its own.
    pub fn client(&self) -> Client {
        Client::at("127.0.0.1:0", self.address)
    }
}

fn compiled(text: &str) -> Arc<Listening> {
    let unit = dsl::Unit { file: FileId(1), path: "sites/t.route", text, gateway: false, modules: &dsl::NoModules };
    let compiled = dsl::compile(&unit);
    assert!(compiled.is_sound(), "{text}\n{:?}", compiled.diagnostics);
    Arc::clone(&compiled.listening[0])
}

fn interned(pools: &Pools, routes: &Routes, item: Arc<Listening>, dir: &Path) -> Arc<Route> {
    let handles = item.rules.pools.iter().map(|pool| pools.intern(pool, dir)).collect();
    routes.intern(&Item::Listening(item), handles, dir)
}

fn snapshot(route: Option<&Arc<Route>>) -> Snapshot {
    let listening = route.map(|route| (route.listens.unwrap(), Arc::clone(route))).into_iter().collect();
    Snapshot {
        generation: 1,
        hosts: HostIndex::seeded(7),
        default: None,
        listening: Arc::new(listening),
        gateway: Arc::new(ir::Gateway::default()),
        https_port: None,
    }
}

/// A `udp` item on a free port of the loopback.
pub fn item(body: &str, pool: &str) -> String {
    format!("udp 127.0.0.1:0 {{\n{body}\n}}\npool p {{\n{pool}\n}}\n")
}

/// The lines of a pool with these endpoints.
pub fn endpoints(servers: &[&Server]) -> String {
    servers.iter().map(|s| format!("{}\n", s.address)).collect()
}

/// Waits until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::yield_now();
        thread::sleep(Duration::from_millis(2));
    }
}

/// A client's socket.
pub struct Client {
    pub socket: UdpSocket,
    to: SocketAddr,
}

impl Client {
    pub fn at(from: impl ToSocketAddrs, to: SocketAddr) -> Self {
        let socket = roomy(UdpSocket::bind(from).unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, to }
    }

    pub fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.to).unwrap();
    }

    /// The next datagram, which must come from where this client sends to.
    pub fn receive(&self) -> Vec<u8> {
        let mut bytes = vec![0; 65_536];
        let (n, from) = self.socket.recv_from(&mut bytes).expect("an answer");
        assert_eq!(from, self.to, "answers come from the address that was reached");
        bytes.truncate(n);
        bytes
    }

    pub fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        self.send(bytes);
        self.receive()
    }

    /// Asks until there is an answer.
    pub fn ask_again(&self, bytes: &[u8]) -> Vec<u8> {
        self.socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut answer = vec![0; 65_536];
        loop {
            self.send(bytes);
            if let Ok(n) = self.socket.recv(&mut answer) {
                answer.truncate(n);
                self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
                return answer;
            }
            assert!(Instant::now() < deadline, "no answer");
        }
    }

    /// Whether nothing arrives within a moment.
    pub fn hears_nothing(&self) -> bool {
        self.socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let heard = self.socket.recv(&mut [0; 64]);
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        heard.is_err()
    }
}

/// A server whose answers begin with its name, a colon, and the address that asked.
pub struct Server {
    pub address: SocketAddr,
    /// Who asked, in order.
    pub seen: Arc<Mutex<Vec<SocketAddr>>>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Answers `NAME:bytes`.
    pub fn named(name: &'static str) -> Self {
        Self::on("127.0.0.1:0", move |bytes, _| {
            let mut answer = format!("{name}:").into_bytes();
            answer.extend_from_slice(bytes);
            Some(answer)
        })
    }

    /// Answers what it received.
    pub fn echo() -> Self {
        Self::on("127.0.0.1:0", |bytes, _| Some(bytes.to_vec()))
    }

    pub fn on(
        at: impl ToSocketAddrs,
        mut answer: impl FnMut(&[u8], SocketAddr) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let socket = roomy(UdpSocket::bind(at).unwrap());
        let address = socket.local_addr().unwrap();
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (record, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let thread = thread::spawn(move || {
            let mut bytes = vec![0; 65_536];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((n, from)) = socket.recv_from(&mut bytes) else { continue };
                record.lock().unwrap().push(from);
                if let Some(answer) = answer(&bytes[..n], from) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self { address, seen, stop, thread: Some(thread) }
    }

    /// Who asked, each once.
    pub fn askers(&self) -> Vec<SocketAddr> {
        let mut all = self.seen.lock().unwrap().clone();
        all.sort();
        all.dedup();
        all
    }

    /// Closes its port.
    pub fn close(mut self) -> SocketAddr {
        self.end();
        self.address
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A test that is slow for a moment loses nothing.
fn roomy(socket: UdpSocket) -> UdpSocket {
    socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
    socket
}
