//! Bound sockets where the workers find them, and whether anybody serves them still.

use super::sockets::{Bound, BoundListener, Service};
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::watch;

/// One address, as the workers see it.
#[derive(Debug)]
pub struct Socket {
    /// Never used again.
    pub id: u64,
    /// What is served there.
    pub service: Service,
    /// Where.
    pub address: SocketAddr,
    slots: Vec<Mutex<Slot>>,
}

type Slot = Option<(Bound, Arc<Live>)>;

/// Held as long as a socket is served.
#[derive(Debug)]
pub struct Live(#[expect(dead_code, reason = "that it is dropped is what it says")] SyncSender<()>);

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
    let hand_out = |(one, id)| (Handed::new(id, one).socket, true);
    watch::channel(Arc::new(bound.into_iter().zip(0..).map(hand_out).collect())).1
}

/// The sockets of an address, once they are where the workers find them.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) socket: Arc<Socket>,
    /// The workers' UDP sockets once more: flows that end leave a socket that may be wanted again
    /// before the last of them has. Empty for TCP.
    spare: Vec<UdpSocket>,
    /// Who serves it, and which worker that is.
    live: Vec<(usize, Weak<Live>)>,
    /// Tell when they are gone.
    pub(super) gone: Vec<Receiver<()>>,
}

impl Handed {
    /// Puts sockets where the workers find them.
    pub(super) fn new(id: u64, bound: BoundListener) -> Self {
        let again = |socket: &Bound| match socket {
            Bound::Udp(socket) => socket.try_clone().ok(),
            Bound::Tcp(_) => None,
        };
        let spare = bound.sockets.iter().map_while(again).collect();
        let slots = bound.sockets.iter().map(|_| Mutex::default()).collect();
        let socket = Arc::new(Socket { id, service: bound.service, address: bound.address, slots });
        let mut handed = Self { socket, spare, live: Vec::new(), gone: Vec::new() };
        handed.put(bound.sockets.into_iter().enumerate());
        handed
    }

    /// Takes back what no worker took.
    pub(super) fn withdraw(&self) {
        for worker in 0..self.socket.slots.len() {
            drop(self.socket.take(worker));
        }
    }

    fn put(&mut self, sockets: impl Iterator<Item = (usize, Bound)>) {
        let (sender, gone) = sync_channel(0);
        for (worker, socket) in sockets {
            let live = Arc::new(Live(sender.clone()));
            self.live.push((worker, Arc::downgrade(&live)));
            self.socket.put(worker, socket, live);
        }
        self.gone.push(gone);
    }

    /// Lets workers go on that still have flows, and the others begin again.
    pub(super) fn restore(&mut self) {
        self.live.retain(|(_, live)| live.strong_count() > 0);
        self.gone.retain(|gone| gone.try_recv() != Err(TryRecvError::Disconnected));
        let idle = |worker: usize| self.live.iter().all(|(other, _)| *other != worker);
        let mut again = Vec::new();
        for (worker, spare) in self.spare.iter().enumerate() {
            if idle(worker) {
                discard(spare);
            }
            // Out of descriptors: the others go on. One that still has flows needs none, unless the last
            // of them ends this moment.
            if let Ok(socket) = spare.try_clone() {
                again.push((worker, Bound::Udp(socket)));
            }
        }
        self.put(again.into_iter());
    }

    /// Whether nobody serves it any more.
    pub(super) fn ended(&self) -> bool {
        self.live.iter().all(|(_, live)| live.strong_count() == 0)
    }
}

/// What came while nobody listened is too old to be answered.
fn discard(socket: &UdpSocket) {
    /// More than a socket's buffer holds.
    const MOST: usize = 100_000;
    for _ in 0..MOST {
        if socket.recv(&mut [0]).is_err() {
            return;
        }
    }
}
