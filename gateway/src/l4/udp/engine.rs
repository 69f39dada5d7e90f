//! A worker's socket of a listener, with its flows.
//!
//! Three tasks share it, all on the worker's thread: one wakes when clients have sent something, one
//! when endpoints have, one several times a second while there are flows. None waits while it has the
//! engine.

use super::batch::Batch;
use super::classify::{Classify, FlowId};
use super::groups::Groups;
use super::path::Path;
use super::sockets::{Place, Sockets};

use super::sys::{self, Events, Inbox, Outbox, SLOTS};
use super::table::{CAPACITY, TICK_MS, Table};
use super::vias::Vias;
use crate::l4::{Counts, End};
use crate::runtime::closing::Closing;
use crate::runtime::ticks::process_ms;
use crate::runtime::worker::{Current, Open, Worker};
use crate::upstream::health_epoch;
use socket2::SockRef;
use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What the kernel may hold of what goes to clients, in bytes.
const BUFFER: usize = 4 * 1024 * 1024;
/// Batches that are taken before others have their turn.
const ROUNDS: usize = 4;
/// Sockets of endpoints that are looked at in one go.
const EVENTS: usize = 64;
/// Flows whose standing is looked at in one tick after a reload or a change of health.
const REVIEWED: u32 = 8_192;
/// When the gateway ends, a flow has ended that was quiet for so long.
const FAREWELL_MS: u64 = 2_000;

/// Buffers of a worker, shared by its listeners.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
}

thread_local! {
    static BUFFERS: Rc<RefCell<Buffers>> = Rc::default();
}

/// A worker's socket with its flows.
pub struct Engine<C: Classify> {
    pub(super) worker: Rc<Worker>,
    pub(super) fd: RawFd,
    pub(super) address: SocketAddr,
    pub(super) buffers: Rc<RefCell<Buffers>>,
    pub(super) table: Table,
    pub(super) sockets: Sockets,
    pub(super) vias: Vias,
    pub(super) classifier: C,
    pub(super) snapshot: Rc<Current>,
    health: u64,
    /// Counts snapshots and changes of health.
    pub(super) era: u32,
    /// How far the flows were looked at in this era.
    review: Option<u32>,
    /// No flow begins.
    pub(super) closed: bool,
    pub(super) now: u64,
    pub(super) groups: Option<(Arc<Counts>, Arc<Groups>)>,
    pub(super) housekeeping: Rc<Notify>,
    /// To endpoints.
    pub(super) up: Batch,
    /// To clients.
    pub(super) down: Batch,
    pub(super) ops: Vec<super::clients::Op>,
    pub(super) order: Vec<(u64, u32)>,
    pub(super) events: Events,
    /// Slots that the clients' socket is offered.
    pub(super) offer: Offer,
    /// Slots that each socket of endpoints is offered.
    pub(super) offer_each: Offer,
    /// Sockets that may have more.
    pub(super) more: Vec<Place>,
    /// The room of the one before.
    pub(super) late: Vec<Place>,
}

/// How many slots to offer: preparing each takes time, and so does another call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    now: usize,
    least: usize,
    most: usize,
}

impl Offer {
    fn between(least: usize, most: usize) -> Self {
        Self { now: least, least, most }
    }

    #[inline]
    pub(super) fn now(self) -> usize {
        self.now
    }

    /// So many were taken.
    #[inline]
    pub(super) fn took(&mut self, n: usize) {
        if n == self.now {
            self.now = (self.now * 2).min(self.most);
        } else if n * 4 < self.now {
            self.now = (self.now / 2).max(self.least);
        }
    }
}

/// Whether there may be more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Everything was taken.
    Wait,
    /// Perhaps.
    More,
}

/// Serves a worker's socket until it is closed and its last flow has ended.
pub(super) async fn serve<C: Classify>(
    worker: Rc<Worker>,
    socket: UdpSocket,
    address: SocketAddr,
    classifier: C,
    mut closing: Closing,
) -> io::Result<()> {
    let socket = sys::watch_socket(prepared(socket, address)?)?;
    let housekeeping = Rc::new(Notify::new());
    let engine = Engine::new(worker, socket.get_ref().as_raw_fd(), address, classifier, Rc::clone(&housekeeping))?;
    let epoll = engine.borrow().sockets.epoll().watched()?;
    let worker = Rc::clone(&engine.borrow().worker);
    let clients = Rc::clone(&engine);
    let _clients = Task(tokio::task::spawn_local(async move { turn(socket, || clients.borrow_mut().clients()).await }));
    let upstream = Rc::clone(&engine);
    let _upstream =
        Task(tokio::task::spawn_local(async move { turn(epoll, || upstream.borrow_mut().answers()).await }));
    // While the gateway ends, it waits for flows as it does for connections.
    let mut open = None;
    let mut drains = worker.draining();
    loop {
        let idle = {
            let mut engine = engine.borrow_mut();
            engine.closed = drains || closing.is_closed();
            engine.tick(drains);
            let idle = engine.is_idle();
            if engine.closed && engine.table.len() == 0 {
                return Ok(());
            }
            if drains && open.is_none() {
                open = Some(Open::new(&worker));
            }
            idle
        };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(TICK_MS)), if !idle => {}
            () = housekeeping.notified() => {}
            () = closing.changed() => {}
            () = worker.drained(), if !drains => drains = true,
        }
    }
}

/// A task that ends with whoever started it.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Turns whenever a descriptor has something.
async fn turn(fd: AsyncFd<impl AsRawFd>, mut take: impl FnMut() -> Then) {
    loop {
        // It fails only when the runtime ends.
        let Ok(mut ready) = fd.readable().await else { return };
        let mut rounds = 0;
        loop {
            if take() == Then::Wait {
                ready.clear_ready();
                break;
            }
            rounds += 1;
            if rounds == ROUNDS {
                drop(ready);
                tokio::task::yield_now().await;
                break;
            }
        }
    }
}

fn prepared(socket: UdpSocket, address: SocketAddr) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    // As much as the system gives; with less, bursts to clients are cut earlier.
    let _ = SockRef::from(&socket).set_send_buffer_size(BUFFER);
    if address.ip().is_unspecified() {
        sys::tell_addresses(socket.as_raw_fd(), address.is_ipv6())?;
    }
    sys::receive_runs(socket.as_raw_fd());
    Ok(socket)
}

impl<C: Classify> Engine<C> {
    fn new(
        worker: Rc<Worker>,
        fd: RawFd,
        address: SocketAddr,
        classifier: C,
        housekeeping: Rc<Notify>,
    ) -> io::Result<Rc<RefCell<Self>>> {
        let sockets = Sockets::new()?;
        let now = process_ms();
        let snapshot = worker.snapshot();
        Ok(Rc::new(RefCell::new(Self {
            worker,
            fd,
            address,
            buffers: BUFFERS.with(Rc::clone),
            table: Table::new(CAPACITY, now),
            sockets,
            vias: Vias::default(),
            classifier,
            snapshot,
            health: health_epoch(),
            era: 0,
            review: None,
            closed: false,
            now,
            groups: None,
            housekeeping,
            up: Batch::default(),
            down: Batch::default(),
            ops: Vec::new(),
            order: Vec::new(),
            events: Events::new(EVENTS),
            offer: Offer::between(8, SLOTS),
            offer_each: Offer::between(2, SLOTS / 2),
            more: Vec::new(),
            late: Vec::new(),
        })))
    }

    /// Before anything is done: what time it is, and whether the world is another one.
    pub(super) fn look_around(&mut self) {
        self.now = process_ms();
        let (snapshot, health) = (self.worker.snapshot(), health_epoch());
        if !Rc::ptr_eq(&snapshot, &self.snapshot) || health != self.health {
            self.snapshot = snapshot;
            self.health = health;
            self.era = self.era.wrapping_add(1);
            self.review = Some(0);
            self.housekeeping.notify_one();
        }
    }

    /// What a path reached.
    pub(super) fn reached(&self, path: &Path) -> SocketAddr {
        path.local().map_or(self.address, |ip| SocketAddr::new(ip, self.address.port()))
    }

    pub(super) fn id(&self, flow: u32) -> FlowId {
        FlowId { index: flow, stamp: self.table.at(flow).stamp }
    }

    /// Whether nothing has to be looked at again and again.
    fn is_idle(&self) -> bool {
        self.table.len() == 0 && self.sockets.is_empty() && self.vias.is_empty() && self.classifier.is_idle()
    }

    /// What is done several times a second.
    fn tick(&mut self, drains: bool) {
        self.look_around();
        if let Some(from) = self.review {
            self.review(from);
        }
        if drains {
            self.farewell();
        }
        while let Some(flow) = self.table.due(self.now) {
            let it = self.table.at(flow);
            let idle = it.seen.saturating_add(it.idle_ms(&self.vias.at(it.via).route.rules.settings));
            let (until, drains) = (it.until, it.drains);
            if until <= self.now {
                self.end(flow, if drains { End::Drained } else { End::Lifetime }, None);
            } else if idle <= self.now {
                self.end(flow, End::Idle, None);
            } else {
                self.table.look_at(flow, idle.min(until));
            }
        }
        self.sockets.sweep(self.now);
        self.vias.sweep(self.now);
        self.classifier.tick(self.now);
    }

    /// After a change: flows that are quiet are looked at too, some at a time.
    fn review(&mut self, from: u32) {
        let Some(flows) = self.table.some(from, REVIEWED) else {
            self.review = None;
            return;
        };
        for flow in flows {
            self.stands(flow);
        }
        self.review = Some(from + REVIEWED);
    }

    /// The gateway ends: who is quiet has ended.
    fn farewell(&mut self) {
        let mut from = 0;
        while let Some(flows) = self.table.some(from, REVIEWED) {
            for flow in flows {
                if self.table.at(flow).seen + FAREWELL_MS <= self.now {
                    self.end(flow, End::Stopped, None);
                }
            }
            from += REVIEWED;
        }
    }
}

impl<C: Classify> Drop for Engine<C> {
    fn drop(&mut self) {
        // The worker ends, and its flows with it.
        let mut from = 0;
        while let Some(flows) = self.table.some(from, REVIEWED) {
            for flow in flows {
                self.end(flow, End::Stopped, None);
            }
            from += REVIEWED;
        }
    }
}
