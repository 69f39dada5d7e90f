//! The sockets that reach endpoints.
//!
//! An answer is told by the socket that it comes to and the address that it comes from. So a socket
//! serves one flow of each target, and F flows over E endpoints take F/E sockets, ports and descriptors
//! instead of F. Of each target, flows are numbered: the flow of rank r is on the socket of rank r, so
//! that finding it takes two look-ups into vectors.
//!
//! The sockets are not connected. Connected ones save the kernel a look into its routes, measured 0.05 µs
//! of 0.85 µs for each datagram, and cost a socket (some 3 kB, a descriptor, a port of 28,000) for each
//! flow. What connecting gives besides is kept: ICMP errors are asked for, and only datagrams from a
//! target that has a flow there are taken.

use super::sys::{self, Epoll};
use super::table::NONE;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// After the last flow of a rank the next one waits for so long: what was on its way to the one before
/// is not for it.
pub const QUARANTINE_MS: u64 = 5_000;
/// A socket without flows is kept for so long; a target too.
const SPARE_MS: u64 = 30_000;
/// What the kernel may hold for a socket, in bytes; a bound, not what it takes.
const BUFFER: usize = 512 * 1024;
/// Sockets that a sweep looks at.
const SWEEP: usize = 1024;
/// Loopback addresses that flows to the loopback may come from, once the ports of the ones before are
/// used up.
const LOOPBACKS: u8 = 8;

/// How many sockets there are, of all workers.
static OPEN: AtomicUsize = AtomicUsize::new(0);
/// How many there may be: a flood of flows must leave descriptors for everybody else.
static MOST: LazyLock<usize> = LazyLock::new(|| sys::descriptors() / 4 * 3);

/// How a target is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    V4,
    V6,
    /// By addresses 127.0.0.1 and on: the one place where more of them can be had for the asking.
    Loopback,
}

/// Where datagrams are sent: an address that endpoints have.
struct Target {
    address: SocketAddr,
    kind: Kind,
    /// By rank.
    flows: Vec<u32>,
    /// Ranks without a flow, and since when.
    free: VecDeque<(u32, u64)>,
    used: u32,
    unused_since: u64,
}

/// The sockets of one kind, by rank.
#[derive(Default)]
struct Side {
    sockets: Vec<Open>,
    /// As far as they were swept.
    swept: usize,
    /// The loopback address that is bound now, counted from 127.0.0.1.
    local: u8,
}

#[derive(Default)]
struct Open {
    socket: Option<Counted>,
    flows: u32,
    unused_since: u64,
}

/// A socket, counted among those of all workers.
struct Counted(Socket);

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The sockets and targets of one listening socket of a worker.
pub struct Sockets {
    epoll: Epoll,
    sides: [Side; 3],
    targets: Vec<Option<Target>>,
    known: HashMap<SocketAddr, u32>,
    /// The one that was asked for last.
    last: Option<(SocketAddr, u32)>,
}

/// What tells a socket from the others of a worker's listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    kind: u32,
    rank: u32,
}

impl Place {
    /// As a number.
    #[must_use]
    pub fn token(self) -> u64 {
        u64::from(self.kind) << 32 | u64::from(self.rank)
    }

    /// From a number.
    #[must_use]
    pub fn of(token: u64) -> Self {
        Self { kind: (token >> 32) as u32, rank: token as u32 }
    }
}

impl Sockets {
    /// None yet.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new()?,
            sides: Default::default(),
            targets: Vec::new(),
            known: HashMap::new(),
            last: None,
        })
    }

    /// What watches them.
    #[must_use]
    pub fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// The target of an address.
    pub fn target(&mut self, address: SocketAddr, now: u64) -> u32 {
        if let Some(target) = self.known.get(&address) {
            return *target;
        }
        let kind = match address.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => Kind::Loopback,
            IpAddr::V4(_) => Kind::V4,
            IpAddr::V6(_) => Kind::V6,
        };
        let target = Target { address, kind, flows: Vec::new(), free: VecDeque::new(), used: 0, unused_since: now };
        let index = match self.targets.iter().position(Option::is_none) {
            Some(index) => index,
            None => {
                self.targets.push(None);
                self.targets.len() - 1
            }
        };
        self.targets[index] = Some(target);
        self.known.insert(address, index as u32);
        index as u32
    }

    /// A socket for another flow to a target: its rank, to be [`given`](Self::give) a flow at once.
    ///
    /// # Errors
    /// When there is none to be had: no descriptor, no port.
    pub fn take(&mut self, target: u32, now: u64) -> io::Result<u32> {
        let it = self.targets[target as usize].as_ref().expect("a target that is asked for is kept");
        let kind = it.kind;
        let rank = match it.free.front() {
            Some((rank, since)) if since + QUARANTINE_MS <= now => *rank,
            Some(_) | None => it.flows.len() as u32,
        };
        self.open(kind, rank)?;
        let it = self.targets[target as usize].as_mut().expect("it was there");
        if rank as usize == it.flows.len() {
            it.flows.push(NONE);
        } else {
            it.free.pop_front();
        }
        it.used += 1;
        self.sides[kind as usize].sockets[rank as usize].flows += 1;
        Ok(rank)
    }

    /// Says whose a rank is.
    pub fn give(&mut self, target: u32, rank: u32, flow: u32) {
        if let Some(it) = &mut self.targets[target as usize] {
            it.flows[rank as usize] = flow;
        }
    }

    /// The flow of a rank has ended.
    pub fn release(&mut self, target: u32, rank: u32, now: u64) {
        let Some(it) = &mut self.targets[target as usize] else { return };
        it.flows[rank as usize] = NONE;
        it.free.push_back((rank, now));
        it.used -= 1;
        it.unused_since = now;
        let open = &mut self.sides[it.kind as usize].sockets[rank as usize];
        open.flows -= 1;
        open.unused_since = now;
    }

    /// Where a flow is sent to, and by which socket.
    #[inline]
    #[must_use]
    pub fn way(&self, target: u32, rank: u32) -> (Place, SocketAddr) {
        let it = self.targets[target as usize].as_ref().expect("a target with flows is kept");
        (Place { kind: it.kind as u32, rank }, it.address)
    }

    /// A socket, unless it was closed.
    #[inline]
    #[must_use]
    pub fn socket(&self, place: Place) -> Option<RawFd> {
        let open = self.sides.get(place.kind as usize)?.sockets.get(place.rank as usize)?;
        open.socket.as_ref().map(|s| s.0.as_raw_fd())
    }

    /// The target of an address, if it is one.
    #[inline]
    #[must_use]
    pub fn known(&mut self, address: SocketAddr) -> Option<u32> {
        if let Some((last, target)) = self.last
            && last == address
        {
            return Some(target);
        }
        let target = self.known.get(&address).copied()?;
        self.last = Some((address, target));
        Some(target)
    }

    /// The flow that a target has on a socket.
    #[inline]
    #[must_use]
    pub fn flow(&self, place: Place, target: u32) -> Option<u32> {
        let it = self.targets[target as usize].as_ref()?;
        // A rank is one of a kind: another kind's socket has no flow of this target.
        if it.kind as u32 != place.kind {
            return None;
        }
        it.flows.get(place.rank as usize).copied().filter(|flow| *flow != NONE)
    }

    /// Closes sockets that were not needed for a while, and forgets targets: a part of them each time, so
    /// that nobody waits for long.
    pub fn sweep(&mut self, now: u64) {
        for side in &mut self.sides {
            let end = side.sockets.len().min(side.swept + SWEEP);
            for open in &mut side.sockets[side.swept.min(end)..end] {
                if open.flows == 0 && open.unused_since + SPARE_MS <= now {
                    open.socket = None;
                }
            }
            side.swept = if end == side.sockets.len() { 0 } else { end };
            while side.sockets.last().is_some_and(|open| open.socket.is_none()) {
                side.sockets.pop();
            }
        }
        for slot in &mut self.targets {
            if let Some(it) = slot
                && it.used == 0
                && it.unused_since + SPARE_MS <= now
            {
                self.known.remove(&it.address);
                self.last = None;
                *slot = None;
            }
        }
    }

    /// Whether there is neither a socket nor a target.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.sides.iter().all(|side| side.sockets.is_empty())
    }

    fn open(&mut self, kind: Kind, rank: u32) -> io::Result<()> {
        let side = &mut self.sides[kind as usize];
        if side.sockets.len() <= rank as usize {
            side.sockets.resize_with(rank as usize + 1, Open::default);
        }
        if side.sockets[rank as usize].socket.is_some() {
            return Ok(());
        }
        let socket = bind(kind, &mut side.local)?;
        self.epoll.add(socket.0.as_raw_fd(), Place { kind: kind as u32, rank }.token())?;
        side.sockets[rank as usize].socket = Some(socket);
        Ok(())
    }
}

/// A socket with a port of its own.
fn bind(kind: Kind, local: &mut u8) -> io::Result<Counted> {
    if OPEN.fetch_add(1, Ordering::Relaxed) >= *MOST {
        OPEN.fetch_sub(1, Ordering::Relaxed);
        return Err(io::Error::other("three quarters of the open files that are allowed are sockets of flows"));
    }
    let v6 = kind == Kind::V6;
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP));
    let socket = match socket {
        Ok(socket) => Counted(socket),
        Err(e) => {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return Err(e);
        }
    };
    if v6 {
        socket.0.set_only_v6(true)?;
    }
    // As much as the system gives; less loses bursts earlier.
    let _ = socket.0.set_recv_buffer_size(BUFFER);
    let fd = socket.0.as_raw_fd();
    sys::receive_runs(fd);
    sys::tell_errors(fd, v6)?;
    loop {
        let ip: IpAddr = match kind {
            Kind::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Kind::V6 => Ipv6Addr::UNSPECIFIED.into(),
            Kind::Loopback => Ipv4Addr::new(127, 0, 0, 1 + *local).into(),
        };
        match socket.0.bind(&SocketAddr::new(ip, 0).into()) {
            Ok(()) => return Ok(socket),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && kind == Kind::Loopback && *local + 1 < LOOPBACKS => {
                *local += 1;
            }
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    fn flow(sockets: &mut Sockets, target: u32, flow: u32, now: u64) -> u32 {
        let rank = sockets.take(target, now).expect("a socket");
        sockets.give(target, rank, flow);
        rank
    }

    #[test]
    fn targets_share_sockets_and_flows_of_one_do_not() {
        let mut sockets = Sockets::new().expect("an epoll");
        let (one, other) = (sockets.target(address(1), 0), sockets.target(address(2), 0));
        assert_eq!(sockets.target(address(1), 0), one);
        assert_eq!((flow(&mut sockets, one, 10, 0), flow(&mut sockets, one, 11, 0)), (0, 1));
        assert_eq!((flow(&mut sockets, other, 20, 0), flow(&mut sockets, other, 21, 0)), (0, 1));
        let (place, to) = sockets.way(other, 1);
        assert_eq!(to, address(2));
        assert_eq!(sockets.socket(place), sockets.socket(sockets.way(one, 1).0));
        assert_eq!((sockets.flow(place, one), sockets.flow(place, other)), (Some(11), Some(21)));
        // Another family's socket of the same rank has none of these flows.
        let elsewhere = Place { kind: Kind::V6 as u32, rank: 1 };
        assert_eq!(sockets.flow(elsewhere, one), None);
        assert_eq!(sockets.known(address(3)), None);
    }

    #[test]
    fn what_is_late_reaches_nobody_else() {
        let mut sockets = Sockets::new().expect("an epoll");
        let target = sockets.target(address(1), 0);
        let rank = flow(&mut sockets, target, 10, 0);
        let place = sockets.way(target, rank).0;
        sockets.release(target, rank, 1_000);
        assert_eq!(sockets.flow(place, target), None);
        assert_eq!(flow(&mut sockets, target, 11, 1_000 + QUARANTINE_MS - 1), 1);
        assert_eq!(flow(&mut sockets, target, 12, 1_000 + QUARANTINE_MS), rank);
        assert_eq!(sockets.flow(place, target), Some(12));
    }

    #[test]
    fn what_is_not_needed_is_let_go() {
        let mut sockets = Sockets::new().expect("an epoll");
        let target = sockets.target(address(1), 0);
        let (first, second) = (flow(&mut sockets, target, 10, 0), flow(&mut sockets, target, 11, 0));
        sockets.release(target, second, 0);
        sockets.sweep(SPARE_MS);
        assert!(sockets.socket(Place { kind: Kind::Loopback as u32, rank: second }).is_none());
        assert!(sockets.socket(sockets.way(target, first).0).is_some(), "it has a flow");
        sockets.release(target, first, SPARE_MS);
        sockets.sweep(2 * SPARE_MS);
        assert!(sockets.is_empty());
    }
}
