//! A gateway that carries one `tcp` item, and peers with sockets of their own.

use crate::support::{PATIENCE, pool};
use arc_swap::ArcSwap;
use dsl::syntax::span::Loc;
use dsl::tree::ir::{self, Cond};
use dsl::tree::l4::{Entry, Rules, Settings, Target, Transport};
use sluice::l4::{Counts, End, LimitTable, ListenKey, Route};
use sluice::runtime::sockets::{Bound, BoundListener, Service};
use sluice::runtime::{self, listeners, notice, notice::Notice};
use sluice::snapshot::{Published, Snapshot};
use sluice::tls::{InternalCa, Tickets};
use sluice::upstream::Pools;
use socket2::SockRef;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A running gateway.
pub struct Carrier {
    handle: Option<runtime::Handle>,
    pub address: SocketAddr,
    pub ca: Arc<InternalCa>,
    pub notices: Receiver<Notice>,
    pub counts: Arc<Counts>,
    key: ListenKey,
    published: Published,
    pools: Pools,
    limits: LimitTable,
}

/// What the item says, with defaults.
pub fn rules(pools: Vec<ir::Pool>) -> Rules {
    Rules {
        entries: vec![entry(Cond::Const(true), Target::Pool(ir::PoolIdx(0)))],
        pools: pools.into_iter().map(Arc::new).collect(),
        settings: Settings { log: false, ..Settings::of(Transport::Tcp) },
    }
}

pub fn entry(guard: Cond, target: Target) -> Entry {
    Entry { guard, steps: Vec::new(), target, loc: Loc::default() }
}

/// To these endpoints, with defaults.
pub fn to(endpoints: &[SocketAddr]) -> Rules {
    rules(vec![pool(endpoints)])
}

impl Carrier {
    pub fn new(rules: Rules) -> Self {
        Self::with(rules, |_| {})
    }

    /// By other settings of the gateway.
    pub fn with(rules: Rules, change: impl FnOnce(&mut ir::Gateway)) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let written = ir::Listener { ip: Some(address.ip()), port: address.port(), public: None, loc: Loc::default() };
        let key = ListenKey::of(Transport::Tcp, &written);
        let bound = BoundListener {
            service: Service::Item(key),
            listener: written,
            address,
            sockets: vec![Bound::Tcp(listener)],
        };
        let mut gateway = ir::Gateway::default();
        change(&mut gateway);
        let (pools, limits, counts) = (Pools::new(1), LimitTable::default(), Arc::new(Counts::new(1)));
        let first = snapshot(gateway, HashMap::from([(key, route(rules, key, &pools, &limits, &counts))]));
        let published = Arc::new(ArcSwap::from_pointee(first));
        let ca = Arc::new(InternalCa::ephemeral().unwrap());
        let (sender, notices) = notice::channel();
        let handle = runtime::start(runtime::Config {
            workers: 1,
            published: Arc::clone(&published),
            listeners: listeners::fixed(vec![bound]),
            ca: Arc::clone(&ca),
            tickets: Tickets::start(None, |_| ()).unwrap(),
            certificates: sluice::tls::certificates::Certificates::at(std::path::Path::new("/nonexistent")),
            board: sluice::tls::acme::Board::new(),
            notices: sender,
            log: Default::default(),
            countries: Default::default(),
        })
        .unwrap();
        Self { handle: Some(handle), address, ca, notices, counts, key, published, pools, limits }
    }

    /// Publishes these rules in place of the others.
    pub fn publish(&self, rules: Rules) {
        let route = route(rules, self.key, &self.pools, &self.limits, &self.counts);
        self.install(HashMap::from([(self.key, route)]));
    }

    /// Publishes that the item is gone.
    pub fn remove(&self) {
        self.install(HashMap::new());
    }

    /// Publishes another snapshot with the same route.
    pub fn publish_again(&self) {
        let next = Snapshot::clone(&self.published.load());
        self.published.store(Arc::new(next));
    }

    fn install(&self, listening: HashMap<ListenKey, Arc<Route>>) {
        let mut next = Snapshot::clone(&self.published.load());
        next.generation += 1;
        next.listening = Arc::new(listening);
        self.published.store(Arc::new(next));
    }

    /// The route that stands now.
    pub fn route(&self) -> Arc<Route> {
        Arc::clone(&self.published.load().listening[&self.key])
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Waits until a connection has ended so.
    #[track_caller]
    pub fn ends(&self, end: End) {
        let counts = &self.counts;
        until(&format!("an end as {}: {}", end.label(), self.ended()), || counts.ends(end) > 0);
    }

    /// How the connections ended so far.
    pub fn ended(&self) -> String {
        let told = End::ALL.iter().filter(|end| self.counts.ends(**end) > 0);
        told.map(|end| format!("{} {}", self.counts.ends(*end), end.label())).collect::<Vec<_>>().join(", ")
    }

    pub fn drain(&mut self, within: Duration) {
        let handle = self.handle.take().unwrap();
        handle.drain(within);
        handle.join();
    }

    pub fn handle(&self) -> &runtime::Handle {
        self.handle.as_ref().unwrap()
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.drain(Duration::ZERO);
            handle.join();
        }
    }
}

fn route(rules: Rules, key: ListenKey, pools: &Pools, limits: &LimitTable, counts: &Arc<Counts>) -> Arc<Route> {
    let dir = std::env::temp_dir();
    Arc::new(Route {
        name: "tcp :5432".into(),
        transport: Transport::Tcp,
        listens: Some(key),
        pools: rules.pools.iter().map(|p| pools.intern(p, &dir)).collect(),
        limits: limits.limits(&"tcp :5432".into(), &rules, &dir),
        rules,
        dir,
        counts: Arc::clone(counts),
    })
}

fn snapshot(gateway: ir::Gateway, listening: HashMap<ListenKey, Arc<Route>>) -> Snapshot {
    Snapshot {
        generation: 1,
        hosts: dsl::tree::HostIndex::seeded(7),
        default: None,
        listening: Arc::new(listening),
        gateway: Arc::new(gateway),
        https_port: None,
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    patient(&stream);
    stream
}

pub fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
}

/// Waits for something to become true.
#[track_caller]
pub fn until(what: &str, mut true_now: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !true_now() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::yield_now();
    }
}

/// An origin whose connections are handed to the test.
pub struct Accepting {
    pub address: SocketAddr,
    connections: Mutex<Receiver<TcpStream>>,
}

impl Accepting {
    pub fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                patient(&stream);
                if sender.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { address, connections: Mutex::new(receiver) }
    }

    /// The next connection that arrives.
    #[track_caller]
    pub fn accept(&self) -> TcpStream {
        self.connections.lock().unwrap().recv_timeout(PATIENCE).expect("a connection")
    }

    /// Whether none has arrived.
    pub fn is_quiet(&self) -> bool {
        self.connections.lock().unwrap().try_recv().is_err()
    }
}

/// An origin that sends back what it gets.
pub fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            patient(&stream);
            thread::spawn(move || {
                let mut back = stream.try_clone().unwrap();
                let _ = io::copy(&mut stream, &mut back);
                let _ = back.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    address
}

/// Sends and reads as many bytes back.
#[track_caller]
pub fn round_trip(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    assert_eq!(read(stream, text.len()), text.as_bytes());
}

#[track_caller]
pub fn read(stream: &mut impl Read, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Reads until a reset; an ordinary end is none.
#[track_caller]
pub fn is_reset(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    assert_eq!(end.expect_err("a reset, not an end").kind(), io::ErrorKind::ConnectionReset);
}

/// Reads to an ordinary end.
#[track_caller]
pub fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an end, not a reset");
    rest
}

/// Ends it by a reset.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}
