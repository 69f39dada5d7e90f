//! The set of listening sockets. It follows what is wanted while the gateway runs.
//!
//! INVARIANT: a socket that is wanted before and after a change is not touched.
//!
//! The control plane binds and publishes the whole set; each worker compares it with what it serves
//! ([`follow`](super::follow)). So a worker that is late catches up, and nothing queues.

use super::sockets::{self, BindError, Bound, BoundListener, Service};
use crate::l4::ListenKey;
use dsl::tree::ir;
use dsl::tree::l4::Transport;
use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What cannot be had, and what is about to end, is looked at so often.
const AGAIN: Duration = Duration::from_secs(2);
/// How long the workers have for letting a port go that another listener is to have.
const LET_GO: Duration = Duration::from_secs(1);

/// A listener that somebody asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What is served there.
    pub service: Service,
    /// Where.
    pub listener: ir::Listener,
    /// Who asks for it, for messages: `sites/db.route`.
    pub file: String,
}

impl fmt::Display for Wanted {
    /// As it is written: `tcp :5432`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.listener.ip {
            None => write!(f, "{} :{}", self.service.word(), self.listener.port),
            Some(ip) => write!(f, "{} {}", self.service.word(), SocketAddr::new(ip, self.listener.port)),
        }
    }
}

/// What tells one wanted listener from another; where it is written and which port clients see does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id {
    service: Service,
    ip: Option<IpAddr>,
    port: u16,
    /// Which of several that are written the same: free ports.
    nth: usize,
}

/// One address, as the workers see it.
#[derive(Debug)]
pub struct Socket {
    /// Never used again.
    pub id: u64,
    /// What is served there.
    pub service: Service,
    /// Where.
    pub address: SocketAddr,
    slots: Vec<Mutex<Option<(Bound, Arc<Live>)>>>,
}

/// Held as long as a socket is served.
#[derive(Debug)]
pub struct Live(SyncSender<()>);

impl Drop for Live {
    fn drop(&mut self) {
        // Nobody waits for it, or somebody was told already.
        let _ = self.0.try_send(());
    }
}

impl Socket {
    /// A worker's socket, if it did not take it yet.
    #[must_use]
    pub fn take(&self, worker: usize) -> Option<(Bound, Arc<Live>)> {
        self.slots.get(worker)?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, worker: usize, socket: Bound, live: Arc<Live>) {
        if let Some(slot) = self.slots.get(worker) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((socket, live));
        }
    }
}

/// The sockets, and whether each is wanted. One that is not, and is still here, may come back.
pub type Set = Vec<(Arc<Socket>, bool)>;

/// Where the current set is found.
pub type Sets = watch::Receiver<Arc<Set>>;

/// Sockets that stay as they are, for who starts workers without a control plane.
#[must_use]
pub fn fixed(bound: Vec<BoundListener>) -> Sets {
    let open = bound.into_iter().zip(0..).map(|(one, id)| {
        let (socket, _, _) = hand_out(one, id);
        (socket, true)
    });
    watch::channel(Arc::new(open.collect())).1
}

/// What a change did.
#[derive(Debug, Default)]
pub struct Changes {
    /// Listeners that were opened: as written, and where.
    pub opened: Vec<String>,
    /// Listeners that were closed, as written.
    pub closed: Vec<String>,
    /// Listeners that cannot be had, and what to do.
    pub failed: Vec<String>,
}

impl Changes {
    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.closed.is_empty() && self.failed.is_empty()
    }
}

/// Binds what is wanted, and closes what is not.
#[derive(Debug)]
pub struct Listeners {
    workers: usize,
    open: Vec<Open>,
    /// Not wanted any more, and not quite closed: connections that wait are accepted, flows end.
    closing: Vec<Open>,
    /// Wanted, and not to be had: why.
    missing: Vec<(Id, Wanted, String)>,
    set: watch::Sender<Arc<Set>>,
    next: u64,
}

#[derive(Debug)]
struct Open {
    id: Id,
    wanted: Wanted,
    /// One for each address.
    sockets: Vec<Arc<Socket>>,
    /// The workers' UDP sockets once more, by address: flows that end leave a socket that may be
    /// wanted again before the last of them has.
    spare: Vec<Vec<UdpSocket>>,
    live: Vec<Weak<Live>>,
    gone: Vec<Receiver<()>>,
}

impl Listeners {
    /// Nothing is listened on.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let (set, _) = watch::channel(Arc::default());
        Self { workers, open: Vec::new(), closing: Vec::new(), missing: Vec::new(), set, next: 0 }
    }

    /// Where the workers find the sockets.
    #[must_use]
    pub fn sets(&self) -> Sets {
        self.set.subscribe()
    }

    /// Opens what is wanted at the start. What a site file asks for is tried again later where it
    /// cannot be had.
    ///
    /// # Errors
    /// The first listener of the gateway itself that cannot be had.
    pub fn start(&mut self, wanted: &[Wanted]) -> Result<Changes, BindError> {
        let mut changes = Changes::default();
        for (id, wanted) in identify(wanted) {
            match (self.bind(id, wanted, true), id.service) {
                (Ok(open), _) => self.add(open, &mut changes),
                (Err(e), Service::Http | Service::Https) => return Err(e),
                (Err(e), Service::Item(_) | Service::Quic | Service::Metrics) => {
                    self.miss(id, wanted, e.explain(&wanted.file), &mut changes);
                }
            }
        }
        self.publish();
        Ok(changes)
    }

    /// Opens and closes until the sockets are those that are wanted. What cannot be had is tried again
    /// by [`Listeners::look`], and harms nothing else.
    pub fn follow(&mut self, wanted: &[Wanted]) -> Changes {
        let mut changes = Changes::default();
        let wanted = identify(wanted);
        let find = |id: Id| wanted.iter().find(|(other, _)| *other == id);
        self.missing.retain(|(id, ..)| find(*id).is_some());
        for mut open in std::mem::take(&mut self.open) {
            match find(open.id) {
                Some((_, now)) => {
                    open.wanted = (*now).clone();
                    self.open.push(open);
                }
                None => {
                    changes.closed.push(open.wanted.to_string());
                    open.withdraw();
                    self.closing.push(open);
                }
            }
        }
        if !changes.closed.is_empty() {
            self.publish();
        }
        let deadline = Instant::now() + LET_GO;
        for (id, wanted) in &wanted {
            let known = self.open.iter().any(|open| open.id == *id);
            if !known && !self.missing.iter().any(|(missing, ..)| missing == id) {
                self.get(*id, wanted, deadline, &mut changes);
            }
        }
        self.publish();
        changes
    }

    /// Tries again what could not be had, and forgets what has ended.
    pub fn look(&mut self) -> Changes {
        let mut changes = Changes::default();
        let before = self.closing.len();
        self.closing.retain(|open| !open.ended());
        let deadline = Instant::now();
        for (id, wanted, why) in std::mem::take(&mut self.missing) {
            let mut tried = Changes::default();
            self.get(id, &wanted, deadline, &mut tried);
            // Told once, as long as the reason is the same.
            if self.missing.last().is_none_or(|(missing, _, now)| *missing != id || *now != why) {
                changes.failed.append(&mut tried.failed);
            }
            changes.opened.append(&mut tried.opened);
        }
        if !changes.opened.is_empty() || self.closing.len() != before {
            self.publish();
        }
        changes
    }

    /// When [`Listeners::look`] has something to do.
    #[must_use]
    pub fn again(&self) -> Option<Duration> {
        (!self.missing.is_empty() || !self.closing.is_empty()).then_some(AGAIN)
    }

    /// What is listened on: the service, what was asked for, and where.
    pub fn addresses(&self) -> impl Iterator<Item = (&Wanted, SocketAddr)> {
        self.open.iter().flat_map(|open| open.sockets.iter().map(|socket| (&open.wanted, socket.address)))
    }

    /// The port that clients see for HTTPS.
    #[must_use]
    pub fn https_port(&self) -> Option<u16> {
        let (wanted, address) = self.addresses().find(|(wanted, _)| wanted.service == Service::Https)?;
        Some(wanted.listener.public.unwrap_or(address.port()))
    }

    fn get(&mut self, id: Id, wanted: &Wanted, deadline: Instant, changes: &mut Changes) {
        // Its flows have not ended yet: it is the same socket that goes on.
        if let Some(at) = self.closing.iter().position(|open| open.id == id && !open.spare.is_empty())
            && !self.closing[at].ended()
        {
            let mut open = self.closing.swap_remove(at);
            open.restore();
            wanted.clone_into(&mut open.wanted);
            self.add(open, changes);
            return;
        }
        if let Some(other) = self.open.iter().find(|open| overlap(&open.id, &id)) {
            let why = format!("`{wanted}` of {} is taken by `{}` of {}", wanted.file, other.wanted, other.wanted.file);
            self.miss(id, wanted, why, changes);
            return;
        }
        let mut probe = true;
        for other in self.closing.iter().filter(|open| overlap(&open.id, &id)) {
            match id.service.transport() {
                Transport::Tcp if !other.ends_by(deadline) => {
                    let why =
                        format!("`{wanted}` of {} waits: `{}` has not let the port go", wanted.file, other.wanted);
                    self.miss(id, wanted, why, changes);
                    return;
                }
                Transport::Tcp => {}
                // Flows may take long to end; the port is ours meanwhile.
                Transport::Udp => probe = false,
            }
        }
        self.closing.retain(|open| !open.ended());
        match self.bind(id, wanted, probe) {
            Ok(open) => self.add(open, changes),
            Err(e) => self.miss(id, wanted, e.explain(&wanted.file), changes),
        }
    }

    fn bind(&mut self, id: Id, wanted: &Wanted, probe: bool) -> Result<Open, BindError> {
        let workers = if wanted.service == Service::Metrics { 1 } else { self.workers };
        let mut open = Open {
            id,
            wanted: wanted.clone(),
            sockets: Vec::new(),
            spare: Vec::new(),
            live: Vec::new(),
            gone: Vec::new(),
        };
        for bound in sockets::open(wanted.service, &wanted.listener, workers, probe)? {
            open.spare.extend(spare(&bound));
            self.next += 1;
            let (socket, live, gone) = hand_out(bound, self.next);
            open.sockets.push(socket);
            open.live.push(live);
            open.gone.push(gone);
        }
        Ok(open)
    }

    fn add(&mut self, open: Open, changes: &mut Changes) {
        let at: Vec<String> = open.sockets.iter().map(|socket| socket.address.to_string()).collect();
        changes.opened.push(format!("{} {}", open.wanted.service.word(), at.join(", ")));
        self.open.push(open);
    }

    fn miss(&mut self, id: Id, wanted: &Wanted, why: String, changes: &mut Changes) {
        changes.failed.push(why.clone());
        self.missing.push((id, wanted.clone(), why));
    }

    fn publish(&self) {
        let now = self.open.iter().flat_map(|open| open.sockets.iter().map(|socket| (Arc::clone(socket), true)));
        // Connections have a task each and need their listener no more; flows live beside it.
        let late = self.closing.iter().filter(|open| !open.spare.is_empty());
        let late = late.flat_map(|open| open.sockets.iter().map(|socket| (Arc::clone(socket), false)));
        self.set.send_replace(Arc::new(now.chain(late).collect()));
    }
}

impl Open {
    /// Takes back what no worker took.
    fn withdraw(&self) {
        for socket in &self.sockets {
            for worker in 0..socket.slots.len() {
                drop(socket.take(worker));
            }
        }
    }

    /// Lets workers go on that still have flows, and the others begin again.
    fn restore(&mut self) {
        for ((socket, spare), live) in self.sockets.iter().zip(&self.spare).zip(&mut self.live) {
            let Some(live) = live.upgrade() else { continue };
            for (worker, spare) in spare.iter().enumerate() {
                // Out of descriptors: the others go on, and get this worker's flows.
                if let Ok(again) = spare.try_clone() {
                    socket.put(worker, Bound::Udp(again), Arc::clone(&live));
                }
            }
        }
    }

    fn ended(&self) -> bool {
        self.live.iter().all(|live| live.strong_count() == 0)
    }

    /// Waits for the workers to let it go.
    fn ends_by(&self, deadline: Instant) -> bool {
        for gone in &self.gone {
            let _ = gone.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        self.ended()
    }
}

fn identify(wanted: &[Wanted]) -> Vec<(Id, &Wanted)> {
    let mut all: Vec<(Id, &Wanted)> = Vec::with_capacity(wanted.len());
    for one in wanted {
        let mut id = Id { service: one.service, ip: one.listener.ip, port: one.listener.port, nth: 0 };
        while all.iter().any(|(other, _)| *other == id) {
            id.nth += 1;
        }
        all.push((id, one));
    }
    all
}

fn overlap(a: &Id, b: &Id) -> bool {
    let key = |id: &Id| ListenKey { transport: id.service.transport(), ip: id.ip, port: id.port };
    key(a).overlaps(&key(b))
}

fn spare(bound: &BoundListener) -> Option<Vec<UdpSocket>> {
    let again = |socket: &Bound| match socket {
        Bound::Udp(socket) => socket.try_clone().ok(),
        Bound::Tcp(_) => None,
    };
    bound.sockets.iter().map(again).collect()
}

/// Puts sockets where the workers find them.
fn hand_out(bound: BoundListener, id: u64) -> (Arc<Socket>, Weak<Live>, Receiver<()>) {
    let (sender, gone) = sync_channel(1);
    let live = Arc::new(Live(sender));
    let slots = bound.sockets.into_iter().map(|socket| Mutex::new(Some((socket, Arc::clone(&live))))).collect();
    let socket = Socket { id, service: bound.service, address: bound.address, slots };
    (Arc::new(socket), Arc::downgrade(&live), gone)
}
