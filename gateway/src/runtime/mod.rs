//! Workers: one thread each, with their own sockets, connections and upstream connections.
//!
//! The control plane starts them with [`start`], publishes snapshots beside them, and ends them
//! with [`Handle::drain`] and [`Handle::join`].

pub mod clients;
pub mod closing;
pub mod counters;
pub mod descriptors;
pub mod follow;
mod handed;
pub mod listeners;
pub mod names;
pub mod notice;
pub mod reads;
pub mod sockets;
pub mod ticks;
mod watchdog;
pub mod worker;

use crate::countries::Countries;
use crate::observe::log::LogSender;
use crate::snapshot::Published;
use crate::tls::acme::Board;
use crate::tls::certificates::Certificates;
use crate::tls::{InternalCa, Tickets};
use counters::Counters;
use listeners::Sets;
use notice::NoticeSender;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use watchdog::Watchdog;

/// What the workers need.
#[derive(Debug)]
pub struct Config {
    /// How many workers; as many as there are sockets for each listener.
    pub workers: usize,
    /// Where the current snapshot is found. It must hold one before [`start`] is called.
    pub published: Published,
    /// The sockets: [`listeners::Listeners`], or [`listeners::fixed`].
    pub listeners: Sets,
    /// Who makes certificates.
    pub ca: Arc<InternalCa>,
    /// Where session tickets come from.
    pub tickets: Tickets,
    /// Certificates by ACME.
    pub certificates: Arc<Certificates>,
    /// Challenges of authorities that are under way.
    pub board: Arc<Board>,
    /// Where trouble is told.
    pub notices: NoticeSender,
    /// Where the line for each connection goes.
    pub log: LogSender,
    /// Where addresses are.
    pub countries: Arc<Countries>,
}

/// The running workers.
#[derive(Debug)]
pub struct Handle {
    threads: Vec<JoinHandle<()>>,
    order: watch::Sender<Order>,
    gauges: Gauges,
    watchdog: Watchdog,
}

/// What the workers are told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Serve.
    Serve,
    /// Accept nothing more, finish what is in flight, end at this time at the latest.
    DrainUntil(Instant),
}

/// Starts the workers.
///
/// # Errors
/// When a thread or its runtime cannot be made.
pub fn start(config: Config) -> io::Result<Handle> {
    let (order, orders) = watch::channel(Order::Serve);
    let connections = Arc::new(AtomicU64::new(0));
    let clients = Arc::new(clients::Clients::default());
    let any_name = crate::tls::AnyName::new(Arc::clone(&config.ca), &config.tickets).map_err(io::Error::other)?;
    let tls = crate::tls::Handshakes::new(
        Arc::clone(&config.published),
        Arc::clone(&config.ca),
        config.tickets.clone(),
        Arc::clone(&config.certificates),
    )
    .map_err(io::Error::other)?;
    let challenged = config.board.server_config().map_err(io::Error::other)?;
    let mut counters = Vec::with_capacity(config.workers);
    let mut threads = Vec::with_capacity(config.workers);
    let mut beats = Vec::with_capacity(config.workers);
    for number in 0..config.workers {
        let beat = Arc::new(watchdog::Beat::default());
        let counter = Arc::new(Counters::default());
        let seed = worker::Seed {
            number,
            published: Arc::clone(&config.published),
            sockets: config.listeners.clone(),
            tls: Arc::clone(&tls),
            any_name: any_name.clone(),
            certificates: Arc::clone(&config.certificates),
            board: Arc::clone(&config.board),
            challenged: Arc::clone(&challenged),
            notices: config.notices.clone(),
            log: config.log.clone(),
            countries: Arc::clone(&config.countries),
            counters: Arc::clone(&counter),
            connections: Arc::clone(&connections),
            clients: Arc::clone(&clients),
            orders: orders.clone(),
            beat: Arc::clone(&beat),
        };
        threads.push(worker::spawn(seed)?);
        counters.push(counter);
        beats.push(beat);
    }
    let watchdog = Watchdog::start(beats, config.notices)?;
    Ok(Handle { threads, order, gauges: Gauges { counters, connections }, watchdog })
}

impl Handle {
    /// Tells the workers to stop accepting, to finish what is in flight, and to end when all is
    /// done or `within` is over. Returns at once; [`Handle::join`] waits.
    pub fn drain(&self, within: Duration) {
        let until = Instant::now() + within;
        self.order.send_replace(Order::DrainUntil(until));
    }

    /// Whether every worker has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for the workers to end. Without [`Handle::drain`] before it, that is forever.
    pub fn join(self) {
        for thread in self.threads {
            // A worker that panicked has been reported by the watchdog and on stderr.
            let _ = thread.join();
        }
        self.watchdog.stop();
    }

    /// Client connections that are open now.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.gauges.connections()
    }

    /// What the workers counted, added up.
    #[must_use]
    pub fn counters(&self) -> counters::Totals {
        self.gauges.counters()
    }

    /// The same numbers, for who does not hold the workers.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        self.gauges.clone()
    }
}

/// What the workers count.
#[derive(Clone, Debug)]
pub struct Gauges {
    counters: Vec<Arc<Counters>>,
    connections: Arc<AtomicU64>,
}

impl Gauges {
    /// Client connections that are open now.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// What the workers counted, added up.
    #[must_use]
    pub fn counters(&self) -> counters::Totals {
        counters::Totals::of(&self.counters)
    }
}
