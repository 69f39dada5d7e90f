//! The set of listening sockets. It follows what is wanted while the gateway runs.
//!
//! INVARIANT: a socket that is wanted before and after a change is not touched.
//!
//! The control plane binds and publishes the whole set; each worker compares it with what it serves
//! ([`follow`](super::follow)). So a worker that is late catches up, and nothing queues.

use super::handed::Handed;
pub use super::handed::{Live, Set, Sets, Socket, fixed};
use super::sockets::{self, BindError, Service};
use crate::l4::ListenKey;
use dsl::tree::ir;
use dsl::tree::l4::Transport;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Id {
    service: Service,
    ip: Option<IpAddr>,
    port: u16,
    /// Which of several that are written the same: free ports.
    nth: usize,
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
    missing_count: Arc<AtomicU64>,
    set: watch::Sender<Arc<Set>>,
    next: u64,
}

#[derive(Debug)]
struct Open {
    id: Id,
    wanted: Wanted,
    /// One for each address.
    addresses: Vec<Handed>,
}

impl Listeners {
    /// Nothing is listened on.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let (set, _) = watch::channel(Arc::default());
        Self {
            workers,
            open: Vec::new(),
            closing: Vec::new(),
            missing: Vec::new(),
            missing_count: Arc::default(),
            set,
            next: 0,
        }
    }

    /// Where the workers find the sockets.
    #[must_use]
    pub fn sets(&self) -> Sets {
        self.set.subscribe()
    }

    /// How many listeners are wanted and cannot be had.
    #[must_use]
    pub fn missing(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.missing_count)
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
        let by_id: HashMap<Id, &Wanted> = wanted.iter().copied().collect();
        self.missing.retain(|(id, ..)| by_id.contains_key(id));
        for mut open in std::mem::take(&mut self.open) {
            match by_id.get(&open.id) {
                Some(now) => {
                    open.wanted = Wanted::clone(now);
                    self.open.push(open);
                }
                None => {
                    changes.closed.push(open.wanted.to_string());
                    open.addresses.iter().for_each(Handed::withdraw);
                    self.closing.push(open);
                }
            }
        }
        if !changes.closed.is_empty() {
            self.publish();
        }
        let deadline = Instant::now() + LET_GO;
        if !changes.closed.is_empty() {
            // It may be what somebody waits for.
            let mut freed = self.look_until(deadline);
            changes.opened.append(&mut freed.opened);
            changes.failed.append(&mut freed.failed);
        }
        let known = self.open.iter().map(|open| open.id).chain(self.missing.iter().map(|(id, ..)| *id));
        let known: HashSet<Id> = known.collect();
        for (id, wanted) in wanted.iter().filter(|(id, _)| !known.contains(id)) {
            self.get(*id, wanted, deadline, &mut changes);
        }
        // The first `https` that is written is the one that redirects name.
        let order: HashMap<Id, usize> = wanted.iter().enumerate().map(|(at, (id, _))| (*id, at)).collect();
        self.open.sort_by_key(|open| order.get(&open.id).copied());
        self.publish();
        changes
    }

    /// Tries again what could not be had, and forgets what has ended.
    pub fn look(&mut self) -> Changes {
        self.look_until(Instant::now())
    }

    fn look_until(&mut self, deadline: Instant) -> Changes {
        let mut changes = Changes::default();
        let before = self.closing.len();
        self.closing.retain(|open| !open.ended());
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
        self.open.iter().flat_map(|open| open.addresses.iter().map(|at| (&open.wanted, at.socket.address)))
    }

    /// The port that clients see for HTTPS.
    #[must_use]
    pub fn https_port(&self) -> Option<u16> {
        let (wanted, address) = self.addresses().find(|(wanted, _)| wanted.service == Service::Https)?;
        Some(wanted.listener.public.unwrap_or(address.port()))
    }

    fn get(&mut self, id: Id, wanted: &Wanted, deadline: Instant, changes: &mut Changes) {
        // Its flows have not ended yet: it is the same socket that goes on.
        if let Some(at) = self.closing.iter().position(|open| open.id == id && open.lingers() && !open.ended()) {
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
        let mut listener = wanted.listener.clone();
        if id.service == Service::Quic && listener.port == 0 {
            // The same port as the one that was free for `https`.
            let https = |open: &&Open| open.id == Id { service: Service::Https, ..id };
            let at = self.open.iter().find(https).and_then(|open| open.addresses.first());
            listener.port = at.map_or(0, |at| at.socket.address.port());
        }
        let mut addresses = Vec::new();
        for bound in sockets::open(wanted.service, &listener, workers, probe)? {
            self.next += 1;
            addresses.push(Handed::new(self.next, bound));
        }
        Ok(Open { id, wanted: wanted.clone(), addresses })
    }

    fn add(&mut self, open: Open, changes: &mut Changes) {
        let at: Vec<String> = open.addresses.iter().map(|at| at.socket.address.to_string()).collect();
        changes.opened.push(format!("{} {}", open.wanted.service.word(), at.join(", ")));
        self.open.push(open);
    }

    fn miss(&mut self, id: Id, wanted: &Wanted, why: String, changes: &mut Changes) {
        changes.failed.push(why.clone());
        self.missing.push((id, wanted.clone(), why));
    }

    fn publish(&self) {
        let sockets = |open: &Open, wanted: bool| -> Set {
            open.addresses.iter().map(|at| (Arc::clone(&at.socket), wanted)).collect()
        };
        let now = self.open.iter().flat_map(|open| sockets(open, true));
        // Connections have a task each and need their listener no more; flows live beside it.
        let late = self.closing.iter().filter(|open| open.lingers()).flat_map(|open| sockets(open, false));
        self.set.send_replace(Arc::new(now.chain(late).collect()));
        self.missing_count.store(self.missing.len() as u64, Ordering::Relaxed);
    }
}

impl Open {
    /// Whether its sockets stay while it closes.
    fn lingers(&self) -> bool {
        self.id.service.transport() == Transport::Udp
    }

    /// Lets workers go on that still have flows, and the others begin again.
    fn restore(&mut self) {
        self.addresses.iter_mut().for_each(Handed::restore);
    }

    fn ended(&self) -> bool {
        self.addresses.iter().all(Handed::ended)
    }

    /// Waits for the workers to let it go.
    fn ends_by(&self, deadline: Instant) -> bool {
        for gone in self.addresses.iter().flat_map(|at| &at.gone) {
            // It says nothing; it ends with the last who could.
            let _ = gone.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        self.ended()
    }
}

fn identify<'w>(wanted: &'w [Wanted]) -> Vec<(Id, &'w Wanted)> {
    let mut seen: HashMap<Id, usize> = HashMap::new();
    let identify = |one: &'w Wanted| {
        let id = Id { service: one.service, ip: one.listener.ip, port: one.listener.port, nth: 0 };
        let nth = seen.entry(id).and_modify(|nth| *nth += 1).or_default();
        (Id { nth: *nth, ..id }, one)
    };
    wanted.iter().map(identify).collect()
}

fn overlap(a: &Id, b: &Id) -> bool {
    let key = |id: &Id| ListenKey { transport: id.service.transport(), ip: id.ip, port: id.port };
    key(a).overlaps(&key(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::sockets::Bound;
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};

    fn at(service: Service, port: u16) -> Wanted {
        let listener =
            ir::Listener { ip: Some(Ipv4Addr::LOCALHOST.into()), port, public: None, loc: Default::default() };
        Wanted { service, listener, file: "sites/a.route".into() }
    }

    fn item(transport: Transport, port: u16) -> Wanted {
        let key = ListenKey { transport, ip: Some(Ipv4Addr::LOCALHOST.into()), port };
        at(Service::Item(key), port)
    }

    type Found = (u16, bool, Option<(Bound, Arc<Live>)>);

    /// What the first worker finds: its sockets, and whether each is wanted.
    fn found(sets: &Sets) -> Vec<Found> {
        sets.borrow().iter().map(|(socket, wanted)| (socket.address.port(), *wanted, socket.take(0))).collect()
    }

    fn free() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn what_stays_wanted_is_not_touched() {
        let (a, b) = (free(), free());
        let mut listeners = Listeners::new(1);
        let sets = listeners.sets();
        listeners.start(&[at(Service::Http, 0), item(Transport::Tcp, a)]).unwrap();
        let held = found(&sets);
        assert!(held.iter().all(|(.., socket)| socket.is_some()));
        let mut moved = item(Transport::Tcp, a);
        moved.file = "sites/b.route".into();
        let changes = listeners.follow(&[at(Service::Http, 0), moved, item(Transport::Tcp, b)]);
        assert_eq!((changes.opened.len(), changes.closed.len(), changes.failed.len()), (1, 0, 0));
        let taken: Vec<_> = found(&sets).into_iter().map(|(port, wanted, new)| (port, wanted, new.is_some())).collect();
        assert_eq!(taken, [(held[0].0, true, false), (a, true, false), (b, true, true)]);
        assert!(listeners.again().is_none());
    }

    #[test]
    fn a_port_waits_for_the_worker_that_has_it() {
        let port = free();
        let mut listeners = Listeners::new(1);
        let sets = listeners.sets();
        listeners.start(&[item(Transport::Tcp, port)]).unwrap();
        let held = found(&sets);
        let other = at(Service::Https, port);
        let changes = listeners.follow(std::slice::from_ref(&other));
        assert!(changes.failed[0].contains("has not let the port go"), "{changes:?}");
        assert_eq!(listeners.missing().load(Ordering::Relaxed), 1);
        assert!(listeners.look().is_empty(), "it is told once");
        drop(held);
        assert_eq!(listeners.look().opened, [format!("https 127.0.0.1:{port}")]);
        assert_eq!((listeners.https_port(), listeners.missing().load(Ordering::Relaxed)), (Some(port), 0));
    }

    #[test]
    fn a_udp_socket_whose_flows_end_may_be_wanted_again_and_what_came_meanwhile_is_too_old() {
        let port = free();
        let wanted = [item(Transport::Udp, port)];
        let mut listeners = Listeners::new(2);
        let sets = listeners.sets();
        listeners.start(&wanted).unwrap();
        let socket = Arc::clone(&sets.borrow()[0].0);
        // One worker has flows still, the other ended at once.
        let (busy, idle) = (socket.take(0).unwrap(), socket.take(1).unwrap());
        listeners.follow(&[]);
        assert_eq!(sets.borrow().iter().map(|(_, wanted)| *wanted).collect::<Vec<_>>(), [false]);
        drop(idle);
        assert!(UdpSocket::bind(("127.0.0.1", port)).is_err());
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..8 {
            client.send_to(b"old", ("127.0.0.1", port)).unwrap();
        }
        let changes = listeners.follow(&wanted);
        assert_eq!((changes.opened.len(), changes.failed.len()), (1, 0));
        assert!(Arc::ptr_eq(&socket, &sets.borrow()[0].0) && sets.borrow()[0].1);
        let (Bound::Udp(again), live) = socket.take(1).unwrap() else { panic!("UDP") };
        assert_eq!(again.recv(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        // The last flow, and with it the port.
        listeners.follow(&[]);
        drop((busy, live, again, socket.take(0)));
        listeners.look();
        assert!(listeners.again().is_none() && sets.borrow().is_empty());
        UdpSocket::bind(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn who_waits_for_a_port_gets_it_when_it_is_closed() {
        let port = free();
        let wanted = [item(Transport::Tcp, port), at(Service::Http, port)];
        let mut listeners = Listeners::new(1);
        let sets = listeners.sets();
        listeners.start(&wanted[..1]).unwrap();
        let held = found(&sets);
        let changes = listeners.follow(&wanted);
        let said =
            format!("`http 127.0.0.1:{port}` of sites/a.route is taken by `tcp 127.0.0.1:{port}` of sites/a.route");
        assert_eq!(changes.failed, [said]);
        drop(held);
        assert_eq!(listeners.follow(&wanted[1..]).opened, [format!("http 127.0.0.1:{port}")]);
    }

    #[test]
    fn redirects_name_the_first_https_that_is_written() {
        let (a, b) = (free(), free());
        let mut listeners = Listeners::new(1);
        listeners.start(&[at(Service::Https, a)]).unwrap();
        let mut public = at(Service::Https, b);
        public.listener.public = Some(443);
        listeners.follow(&[public, at(Service::Https, a)]);
        assert_eq!(listeners.https_port(), Some(443));
    }
}
