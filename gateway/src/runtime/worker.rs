//! One worker: a thread, its runtime, and what its connections share.
//!
//! INVARIANT: nothing here crosses threads but what `Seed` brings in.

use super::Order;
use super::clients::Clients;
use super::counters::Counters;
use super::follow::{Begin, Table};
use super::listeners::Sets;
use super::names::Names;
use super::notice::{Notice, NoticeSender};
use super::sockets::Service;
use super::ticks::Ticks;
use super::watchdog::Beat;
use crate::countries::Countries;
use crate::edge::Verdicts;
use crate::l4::{self, Carrying};
use crate::limit::Held;
use crate::listen;
use crate::observe::log::LogSender;
use crate::snapshot::{Published, Snapshot};
use crate::tls::Handshakes;
use crate::tls::acme::Board;
use crate::tls::certificates::Certificates;
use crate::upstream::Upstreams;
use arc_swap::{ArcSwap, Cache};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, watch};

/// Threads that a worker may have for reading files. A piece is often asked for before the thread of the
/// one before it counts as idle, so a single fast download makes as many as there may be, and each
/// has an allocator's heap of its own.
const BLOCKING_THREADS: usize = 6;
/// What was told is not told again for so long.
const TELL_AGAIN_MS: u64 = 60_000;
/// Subjects that are remembered.
const SUBJECTS: usize = 64;

/// What a worker grows from.
#[derive(Debug)]
pub struct Seed {
    /// From 0.
    pub number: usize,
    /// Where the current snapshot is found.
    pub published: Published,
    /// Where its sockets are found.
    pub sockets: Sets,
    /// The TLS server.
    pub tls: Arc<Handshakes>,
    /// The TLS server of `tcp` items.
    pub any_name: crate::tls::AnyName,
    /// Certificates by ACME.
    pub certificates: Arc<Certificates>,
    /// Challenges of authorities that are under way.
    pub board: Arc<Board>,
    /// The TLS server of those in the handshake.
    pub challenged: Arc<rustls::ServerConfig>,
    /// Where trouble is told.
    pub notices: NoticeSender,
    /// Where the line for each connection goes.
    pub log: LogSender,
    /// Where addresses are.
    pub countries: Arc<Countries>,
    /// What it counts.
    pub counters: Arc<Counters>,
    /// Client connections of all workers.
    pub connections: Arc<AtomicU64>,
    /// The same by their clients.
    pub clients: Arc<Clients>,
    /// What it is told to do.
    pub orders: watch::Receiver<Order>,
    /// How it shows that it turns.
    pub beat: Arc<Beat>,
}

/// What the connections of a worker share.
pub struct Worker {
    /// From 0.
    pub number: usize,
    /// Its deadlines.
    pub ticks: Rc<Ticks>,
    /// Where trouble is told.
    pub notices: NoticeSender,
    /// What it counts.
    pub counters: Arc<Counters>,
    /// Its connections to origins.
    pub upstreams: Upstreams,
    /// Certificates by ACME.
    pub certificates: Arc<Certificates>,
    /// Challenges of authorities that are under way.
    pub board: Arc<Board>,
    /// The TLS server of those in the handshake.
    pub challenged: Arc<rustls::ServerConfig>,
    /// What handshakes are made with.
    pub tls: Arc<Handshakes>,
    /// What its TCP connections share that are handed on.
    pub carrying: Carrying,
    /// Where the line for each connection goes.
    pub log: LogSender,
    /// Where addresses are.
    pub countries: Arc<Countries>,
    /// Names of headers that conditions read.
    pub names: Names,
    published: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    current: RefCell<Rc<Current>>,
    draining: Cell<bool>,
    drain: Notify,
    open: Cell<usize>,
    empty: Notify,
    connections: Arc<AtomicU64>,
    clients: Arc<Clients>,
    full_told: Cell<bool>,
    told: RefCell<HashMap<String, u64>>,
    /// Tokens that it verified.
    pub verdicts: RefCell<Verdicts>,
    dice: Cell<u64>,
}

/// A snapshot, held by a request for as long as it takes. Counted per worker: the shared count would
/// be written by every worker for every request.
#[derive(Debug)]
pub struct Current(Arc<Snapshot>);

impl Deref for Current {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

/// A client connection, counted while it is open.
pub struct Open(Rc<Worker>);

/// Starts a worker's thread. Returns when it serves.
///
/// # Errors
/// When the thread or its runtime cannot be made.
pub fn spawn(seed: Seed) -> io::Result<JoinHandle<()>> {
    let (started, starting) = sync_channel(1);
    let beat = Arc::clone(&seed.beat);
    let name = format!("sluice-{}", seed.number);
    let notices = seed.notices.clone();
    let worker = seed.number;
    let thread = thread::Builder::new().name(name).spawn(move || {
        let guard = Died { beat, notices, worker };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => {
                // Nobody listens when the start was given up meanwhile.
                let _ = started.send(Ok(()));
                runtime.block_on(run(seed));
                runtime.shutdown_background();
            }
            Err(e) => {
                let _ = started.send(Err(e));
            }
        }
        guard.beat.end();
    })?;
    match starting.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(e)) => Err(e),
        Err(_) => Err(io::Error::other("a worker ended before it served")),
    }
}

/// Tells when the thread unwinds.
struct Died {
    beat: Arc<Beat>,
    notices: NoticeSender,
    worker: usize,
}

impl Drop for Died {
    fn drop(&mut self) {
        if thread::panicking() {
            self.beat.end();
            self.notices.send(Notice::WorkerDied { worker: self.worker });
        }
    }
}

async fn run(seed: Seed) {
    let Seed { sockets, mut orders, beat, .. } = seed;
    let mut published = Cache::new(seed.published);
    let current = Rc::new(Current(Arc::clone(published.load())));
    let worker = Rc::new(Worker {
        number: seed.number,
        log: seed.log,
        countries: seed.countries,
        ticks: Ticks::new(),
        notices: seed.notices,
        counters: seed.counters,
        upstreams: Upstreams::default(),
        certificates: seed.certificates,
        board: seed.board,
        challenged: seed.challenged,
        tls: seed.tls,
        carrying: Carrying::new(seed.number, seed.any_name),
        published: RefCell::new(published),
        current: RefCell::new(current),
        draining: Cell::new(false),
        drain: Notify::new(),
        open: Cell::new(0),
        empty: Notify::new(),
        connections: seed.connections,
        clients: seed.clients,
        full_told: Cell::new(false),
        told: RefCell::default(),
        names: Names::default(),
        verdicts: RefCell::default(),
        dice: Cell::new(RandomState::new().hash_one(seed.number) | 1),
    });
    tokio::task::spawn_local(async move { beat.answer().await });
    let ticks = Rc::clone(&worker.ticks);
    tokio::task::spawn_local(async move { ticks.run().await });
    let keeper = Rc::clone(&worker);
    tokio::task::spawn_local(async move { keeper.upstreams.keep().await });
    tokio::task::spawn_local(l4::standing::watch(Rc::clone(&worker)));
    let table = Rc::new(Table::default());
    let (following, server) = (Rc::clone(&table), Rc::clone(&worker));
    tokio::task::spawn_local(async move {
        let mine = |service| service != Service::Metrics;
        following.follow(sockets, server.number, mine, |begin| serve(&server, begin)).await;
    });
    let deadline = drain_order(&mut orders).await;
    worker.draining.set(true);
    worker.drain.notify_waiters();
    table.close();
    // Connections that are idle look around and find that they are to end.
    worker.ticks.wake_all();
    let done = async {
        while worker.open.get() > 0 {
            worker.empty.notified().await;
        }
    };
    // Dropping the runtime ends what was not done in time.
    let _ = tokio::time::timeout_at(deadline.into(), done).await;
}

/// Starts the task that serves a socket.
fn serve(worker: &Rc<Worker>, begin: Begin) -> tokio::task::JoinHandle<()> {
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        let Begin { socket, bound, live, closing } = begin;
        listen::serve(worker, bound, socket.address, socket.service, closing).await;
        drop(live);
    })
}

async fn drain_order(orders: &mut watch::Receiver<Order>) -> Instant {
    loop {
        let order = *orders.borrow_and_update();
        match order {
            Order::DrainUntil(deadline) => return deadline,
            Order::Serve => {
                if orders.changed().await.is_err() {
                    // The handle is gone, and with it whoever could ask for anything.
                    return Instant::now();
                }
            }
        }
    }
}

impl Worker {
    /// The snapshot that is current now.
    #[inline]
    pub fn snapshot(&self) -> Rc<Current> {
        let mut published = self.published.borrow_mut();
        let newest = published.load();
        let mut current = self.current.borrow_mut();
        if !Arc::ptr_eq(newest, &current.0) {
            *current = Rc::new(Current(Arc::clone(newest)));
        }
        Rc::clone(&current)
    }

    /// Whether the worker finishes what it has and takes nothing more.
    #[inline]
    pub fn draining(&self) -> bool {
        self.draining.get()
    }

    /// Done when the worker drains.
    pub async fn drained(&self) {
        let notified = self.drain.notified();
        if !self.draining.get() {
            notified.await;
        }
    }

    /// Whether another client may connect, by the gateway's limit over all workers.
    pub fn has_room(&self) -> bool {
        let limit = self.snapshot().gateway.limits.connections;
        let room = self.connections.load(Ordering::Relaxed) < limit;
        if room {
            self.full_told.set(false);
        } else if !self.full_told.replace(true) {
            self.notices.send(Notice::ConnectionsExhausted { limit });
        }
        room
    }

    /// A place for a connection of a client, by the gateway's limit for each; nothing to hold where there is no
    /// limit, or the client is a proxy that others come through.
    ///
    /// # Errors
    /// The limit, where the client has as many. It is counted and told.
    pub fn place_for(&self, client: IpAddr) -> Result<Option<Held>, u32> {
        let snapshot = self.snapshot();
        let Some(most) = snapshot.gateway.limits.per_client else { return Ok(None) };
        let client = client.to_canonical();
        if snapshot.gateway.trusted_proxies.iter().any(|net| net.contains(&client)) {
            return Ok(None);
        }
        match self.clients.take(client, most) {
            Some(held) => Ok(Some(held)),
            None => {
                self.counters.client_refused();
                // One subject: a flood from many addresses is told once.
                self.tell_once("per-client", || Notice::ClientFull { client, limit: most });
                Err(most)
            }
        }
    }

    /// Tells something about a subject, unless it was told within the last minute.
    pub fn tell_once(&self, subject: &str, notice: impl FnOnce() -> Notice) {
        let now = self.ticks.now_ms();
        let mut told = self.told.borrow_mut();
        if told.get(subject).is_some_and(|at| now < at + TELL_AGAIN_MS) {
            return;
        }
        if told.len() >= SUBJECTS {
            told.retain(|_, at| now < *at + TELL_AGAIN_MS);
        }
        if told.len() < SUBJECTS {
            told.insert(subject.to_owned(), now);
            self.notices.send(notice());
        }
    }

    /// A point in ten thousand, drawn.
    pub fn draw(&self) -> u32 {
        // xorshift64*: spread evenly, which is all that shares need.
        let mut state = self.dice.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.dice.set(state);
        crate::http::judge::point(state.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }
}

impl Open {
    /// Counts a connection.
    #[must_use]
    pub fn new(worker: &Rc<Worker>) -> Self {
        worker.connections.fetch_add(1, Ordering::Relaxed);
        worker.open.set(worker.open.get() + 1);
        Self(Rc::clone(worker))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.open.set(self.0.open.get() - 1);
        if self.0.open.get() == 0 {
            self.0.empty.notify_one();
        }
    }
}
