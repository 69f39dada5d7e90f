//! Several datagrams a system call: `recvmmsg`, `sendmmsg`, UDP_GRO and UDP_SEGMENT, the addresses
//! that datagrams were sent to and leave from, ICMP errors, and an epoll of our own.
//!
//! Unsafe, because neither the standard library nor rustix has `recvmmsg` or these control messages,
//! and quinn-udp 0.5 makes one system call for each run of datagrams that it sends. What is unsafe is
//! small: pointers to arrays that live as long as the call, and control messages written and read
//! within buffers of known size. Everything that leaves this module is a safe type.
#![allow(unsafe_code)]

use super::path::Path;
use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Datagrams, or runs of them, that an [`Inbox`] holds.
pub const SLOTS: usize = 64;
/// The largest run that the kernel hands over or takes at once.
const LARGEST: usize = 65_536;
/// Slots lie a little more than 64 KiB apart: at 64 KiB their first bytes would share one cache set.
const STRIDE: usize = LARGEST + 192;
/// Room for every control message that is asked for.
const CONTROL: usize = 128;
const UDP_SEGMENT: libc::c_int = 103;
const UDP_GRO: libc::c_int = 104;

/// Bytes of an [`Inbox`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// In which slot.
    pub slot: u32,
    /// From where in it.
    pub start: u32,
    /// How many.
    pub len: u32,
}

/// What a slot received.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Who sent it.
    pub from: SocketAddr,
    /// To which of our addresses; `None` where the socket was not [`tell_addresses`] about.
    pub to: Option<IpAddr>,
    /// How many bytes.
    pub len: u32,
    /// How long each datagram of the run is, save the last, which may be shorter. At least 1.
    pub segment: u32,
}

/// A message to send: one datagram, or a run of equally long ones and a last one that may be shorter.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// To whom.
    pub to: SocketAddr,
    /// From which of our addresses, and by which interface (0: any); `None`: as the kernel chooses.
    pub from: Option<(IpAddr, u32)>,
    /// How long each datagram is; 0 when it is one datagram.
    pub segment: u16,
    /// Its bytes: so many of the pieces that are sent, after those of the messages before it.
    pub pieces: u32,
}

/// What to do after a message could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next message.
    Skip,
    /// The same message once more.
    Again,
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

#[repr(C)]
#[derive(Clone, Copy)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// The arrays of one call.
struct Heads {
    heads: Box<[libc::mmsghdr]>,
    vectors: Vec<libc::iovec>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
}

impl Heads {
    fn new() -> Self {
        // SAFETY: all of these are plain data, for which zero is a value.
        unsafe {
            Self {
                heads: vec![mem::zeroed(); SLOTS].into(),
                vectors: Vec::with_capacity(SLOTS),
                names: vec![mem::zeroed(); SLOTS].into(),
                controls: vec![Control([0; CONTROL]); SLOTS].into(),
            }
        }
    }
}

/// Where a worker receives: buffers for [`SLOTS`] messages, shared by its sockets. Pages that nothing was
/// received into take no memory.
pub struct Inbox {
    data: Box<[u8]>,
    received: [Option<Received>; SLOTS],
    heads: Heads,
}

/// From where a worker sends.
pub struct Outbox {
    heads: Heads,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { data: vec![0; STRIDE * SLOTS].into(), received: [None; SLOTS], heads: Heads::new() }
    }
}

impl Inbox {
    /// Receives without waiting, into the slots from `first` on, at most `count`.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; what the socket was told by ICMP.
    pub fn receive(&mut self, fd: RawFd, first: usize, count: usize) -> io::Result<usize> {
        let count = count.min(SLOTS.saturating_sub(first));
        let heads = &mut self.heads;
        heads.vectors.clear();
        for slot in first..first + count {
            let space = &mut self.data[slot * STRIDE..slot * STRIDE + LARGEST];
            heads.vectors.push(libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: LARGEST });
        }
        for (i, slot) in (first..first + count).enumerate() {
            let head = &mut heads.heads[i].msg_hdr;
            head.msg_name = (&raw mut heads.names[slot]).cast();
            head.msg_namelen = mem::size_of::<Name>() as libc::socklen_t;
            head.msg_iov = &raw mut heads.vectors[i];
            head.msg_iovlen = 1;
            head.msg_control = (&raw mut heads.controls[slot]).cast();
            head.msg_controllen = CONTROL as _;
            head.msg_flags = 0;
        }
        // SAFETY: the heads point to names, vectors, controls and data of this inbox, which live and
        // are not used otherwise until the call has returned.
        let n = unsafe {
            libc::recvmmsg(fd, heads.heads.as_mut_ptr(), count as _, libc::MSG_DONTWAIT as _, ptr::null_mut())
        };
        if n < 0 {
            return Err(io::Error::last_os_error());
        }
        let n = n as usize;
        for i in 0..n {
            let head = heads.heads[i];
            // SAFETY: the kernel wrote the name and the control messages that this head points to.
            self.received[first + i] = unsafe { received(&head, &heads.names[first + i]) };
        }
        Ok(n)
    }

    /// What a slot received in the last [`Inbox::receive`] that filled it; `None` where it is of no use:
    /// no address, or cut short.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: usize) -> Option<Received> {
        self.received[slot]
    }

    /// The bytes of a piece.
    #[inline]
    #[must_use]
    pub fn bytes(&self, piece: Piece) -> &[u8] {
        let start = piece.slot as usize * STRIDE + piece.start as usize;
        &self.data[start..start + piece.len as usize]
    }
}

/// # Safety
/// The head must be one that the kernel has filled, and what it points to must still be there.
unsafe fn received(head: &libc::mmsghdr, name: &Name) -> Option<Received> {
    let mut segment = head.msg_len;
    let mut to = None;
    // SAFETY: as the caller promises; the macros stay within `msg_controllen`.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(&raw const head.msg_hdr) };
    while !control.is_null() {
        // SAFETY: the kernel wrote a message of this kind, with at least this much data.
        unsafe {
            let data = libc::CMSG_DATA(control);
            match ((*control).cmsg_level, (*control).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    to = Some(IpAddr::V4(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes())));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    to = Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                }
                (libc::SOL_UDP, UDP_GRO) => segment = data.cast::<libc::c_int>().read_unaligned() as u32,
                _ => {}
            }
            control = libc::CMSG_NXTHDR(&raw const head.msg_hdr, control);
        }
    }
    if head.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
        return None;
    }
    let from = address(name, head.msg_hdr.msg_namelen)?;
    Some(Received { from, to, len: head.msg_len, segment: segment.max(1) })
}

fn address(name: &Name, len: libc::socklen_t) -> Option<SocketAddr> {
    let len = len as usize;
    // SAFETY: the family stands at the same place in both, and names begin as zeroes.
    let family = libc::c_int::from(unsafe { name.v4.sin_family });
    if family == libc::AF_INET && len >= mem::size_of::<libc::sockaddr_in>() {
        // SAFETY: the family says which it is.
        let v4 = unsafe { name.v4 };
        let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
        Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port))))
    } else if family == libc::AF_INET6 && len >= mem::size_of::<libc::sockaddr_in6>() {
        // SAFETY: the family says which it is.
        let v6 = unsafe { name.v6 };
        let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
        Some(SocketAddr::V6(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id)))
    } else {
        None
    }
}

fn name(address: SocketAddr) -> (Name, libc::socklen_t) {
    match address {
        SocketAddr::V4(a) => {
            // SAFETY: plain data, for which zero is a value.
            let mut v4: libc::sockaddr_in = unsafe { mem::zeroed() };
            v4.sin_family = libc::AF_INET as _;
            v4.sin_port = a.port().to_be();
            v4.sin_addr.s_addr = u32::from_ne_bytes(a.ip().octets());
            (Name { v4 }, mem::size_of::<libc::sockaddr_in>() as _)
        }
        SocketAddr::V6(a) => {
            // SAFETY: plain data, for which zero is a value.
            let mut v6: libc::sockaddr_in6 = unsafe { mem::zeroed() };
            v6.sin6_family = libc::AF_INET6 as _;
            v6.sin6_port = a.port().to_be();
            v6.sin6_addr.s6_addr = a.ip().octets();
            v6.sin6_scope_id = a.scope_id();
            (Name { v6 }, mem::size_of::<libc::sockaddr_in6>() as _)
        }
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self { heads: Heads::new() }
    }
}

impl Outbox {
    /// Sends messages without waiting; `failed` is told which could not be sent, and why, and says how to
    /// go on.
    pub fn send(
        &mut self,
        fd: RawFd,
        inbox: &Inbox,
        mut messages: &[Message],
        mut pieces: &[Piece],
        mut failed: impl FnMut(usize, &io::Error) -> Next,
    ) {
        if let ([Message { to, from: None, segment: 0, .. }], [piece]) = (messages, pieces) {
            // One datagram by a socket of its own is what most flows send at a time.
            while let Err(e) = send_one(fd, *to, inbox.bytes(*piece)) {
                if failed(0, &e) == Next::Skip {
                    break;
                }
            }
            return;
        }
        let mut done = 0;
        while !messages.is_empty() {
            let now = messages.len().min(SLOTS);
            let used = messages[..now].iter().map(|m| m.pieces as usize).sum();
            self.fill(inbox, &messages[..now], &pieces[..used]);
            let mut at = 0;
            while at < now {
                let heads = &mut self.heads.heads[at..now];
                // SAFETY: `fill` made the heads point to names, vectors and controls of this outbox and
                // to data of the inbox, which live and do not change until the call has returned.
                let n = unsafe { libc::sendmmsg(fd, heads.as_mut_ptr(), heads.len() as _, libc::MSG_DONTWAIT as _) };
                if n > 0 {
                    at += n as usize;
                    continue;
                }
                match failed(done + at, &io::Error::last_os_error()) {
                    Next::Skip => at += 1,
                    Next::Again => {}
                }
            }
            done += now;
            messages = &messages[now..];
            pieces = &pieces[used..];
        }
    }

    fn fill(&mut self, inbox: &Inbox, messages: &[Message], pieces: &[Piece]) {
        let heads = &mut self.heads;
        heads.vectors.clear();
        heads.vectors.extend(pieces.iter().map(|piece| {
            let bytes = inbox.bytes(*piece);
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
        }));
        let mut piece = 0;
        for (i, message) in messages.iter().enumerate() {
            let (to, len) = name(message.to);
            heads.names[i] = to;
            let control = &mut heads.controls[i];
            let used = controls(control, message);
            let head = &mut heads.heads[i].msg_hdr;
            head.msg_name = (&raw mut heads.names[i]).cast();
            head.msg_namelen = len;
            head.msg_iov = heads.vectors[piece..].as_mut_ptr();
            head.msg_iovlen = message.pieces as _;
            head.msg_control = if used == 0 { ptr::null_mut() } else { control.0.as_mut_ptr().cast() };
            head.msg_controllen = used as _;
            head.msg_flags = 0;
            piece += message.pieces as usize;
        }
    }
}

/// Writes the control messages of a message. Returns how many bytes they take.
fn controls(control: &mut Control, message: &Message) -> usize {
    let mut used = 0;
    match message.from {
        None => {}
        Some((IpAddr::V4(ip), interface)) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: interface as _,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            used = put(control, used, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        Some((IpAddr::V6(ip), interface)) => {
            let info =
                libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: interface as _ };
            used = put(control, used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
    }
    if message.segment != 0 {
        used = put(control, used, libc::SOL_UDP, UDP_SEGMENT, message.segment);
    }
    used
}

fn put<T: Copy>(control: &mut Control, at: usize, level: libc::c_int, kind: libc::c_int, value: T) -> usize {
    let size = mem::size_of::<T>() as libc::c_uint;
    // SAFETY: these compute sizes only.
    let (len, space) = unsafe { (libc::CMSG_LEN(size) as usize, libc::CMSG_SPACE(size) as usize) };
    let room = &mut control.0[at..at + space];
    // SAFETY: `room` is as long as the message takes, and aligned for its head as every message ends
    // aligned; the data is written unaligned.
    unsafe {
        let head = room.as_mut_ptr().cast::<libc::cmsghdr>();
        (*head).cmsg_len = len as _;
        (*head).cmsg_level = level;
        (*head).cmsg_type = kind;
        libc::CMSG_DATA(head).cast::<T>().write_unaligned(value);
    }
    at + space
}

/// Sends one datagram that is not in an inbox.
///
/// # Errors
/// The system's.
pub fn send_one(fd: RawFd, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let (name, len) = name(to);
    // SAFETY: bytes and name live until the call has returned.
    let sent = unsafe {
        libc::sendto(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT, (&raw const name).cast(), len)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn set(fd: RawFd, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value lives until the call has returned, and its size is right.
    let done =
        unsafe { libc::setsockopt(fd, level, option, (&raw const on).cast(), mem::size_of::<libc::c_int>() as _) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Asks for the address that each datagram was sent to.
///
/// # Errors
/// The system's.
pub fn tell_addresses(fd: RawFd, v6: bool) -> io::Result<()> {
    if v6 { set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO) } else { set(fd, libc::IPPROTO_IP, libc::IP_PKTINFO) }
}

/// Asks for runs of equally long datagrams in one piece. Returns whether the kernel does that.
pub fn receive_runs(fd: RawFd) -> bool {
    set(fd, libc::SOL_UDP, UDP_GRO).is_ok()
}

/// Asks for ICMP errors although the socket is not connected.
///
/// # Errors
/// The system's.
pub fn tell_errors(fd: RawFd, v6: bool) -> io::Result<()> {
    if v6 { set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR) } else { set(fd, libc::IPPROTO_IP, libc::IP_RECVERR) }
}

/// The next error that a socket was told of: which address could not be reached, and why. `None` when
/// there is no more; `Some(None)` when there was one that is of no use.
pub fn next_error(fd: RawFd) -> Option<Option<(SocketAddr, io::Error)>> {
    let mut to = MaybeUninit::<Name>::zeroed();
    let mut control = Control([0; CONTROL]);
    let mut byte = [0_u8; 1];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: plain data, for which zero is a value.
    let mut head: libc::msghdr = unsafe { mem::zeroed() };
    head.msg_name = to.as_mut_ptr().cast();
    head.msg_namelen = mem::size_of::<Name>() as _;
    head.msg_iov = &raw mut vector;
    head.msg_iovlen = 1;
    head.msg_control = (&raw mut control).cast();
    head.msg_controllen = CONTROL as _;
    // SAFETY: everything that the head points to lives until the call has returned.
    let n = unsafe { libc::recvmsg(fd, &raw mut head, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) };
    if n < 0 {
        return None;
    }
    // SAFETY: it was zeroed, and the kernel wrote a name or nothing.
    let to = unsafe { to.assume_init() };
    let Some(to) = address(&to, head.msg_namelen) else { return Some(None) };
    // SAFETY: the kernel filled the head, and the macros stay within `msg_controllen`.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(&raw const head) };
    while !message.is_null() {
        // SAFETY: as above; an error message holds a `sock_extended_err`.
        unsafe {
            let kind = ((*message).cmsg_level, (*message).cmsg_type);
            if matches!(kind, (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)) {
                let error = libc::CMSG_DATA(message).cast::<libc::sock_extended_err>().read_unaligned();
                return Some(Some((to, io::Error::from_raw_os_error(error.ee_errno as i32))));
            }
            message = libc::CMSG_NXTHDR(&raw const head, message);
        }
    }
    Some(None)
}

/// Has the runtime watch a socket.
///
/// # Errors
/// The system's.
pub fn watch_socket(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: a `UdpSocket` keeps its descriptor open and the same until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?)
}

/// How many descriptors the process may have open.
#[must_use]
pub fn descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit lives until the call has returned.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } < 0 {
        return 1024;
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Watches many sockets with one descriptor, which the worker's runtime watches.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

/// A socket that has something.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// What it was added with.
    pub token: u64,
    /// Whether there are errors to be fetched.
    pub error: bool,
}

/// Where [`Epoll::wait`] puts what it finds.
pub struct Events(Box<[libc::epoll_event]>);

impl Events {
    /// Room for so many.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(vec![libc::epoll_event { events: 0, u64: 0 }; count].into())
    }

    /// One of those that the last wait found.
    #[must_use]
    pub fn get(&self, index: usize) -> Ready {
        let event = self.0[index];
        Ready { token: event.u64, error: event.events & libc::EPOLLERR as u32 != 0 }
    }

    /// How many find room.
    #[must_use]
    pub fn room(&self) -> usize {
        self.0.len()
    }
}

impl Epoll {
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Has the runtime watch it, by another descriptor of its own.
    ///
    /// # Errors
    /// The system's.
    pub fn watched(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let fd = self.0.try_clone()?;
        // SAFETY: an `OwnedFd` keeps its descriptor open and the same until it is dropped.
        Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
    }

    /// Watches a socket until it is closed; each arrival is told once.
    ///
    /// # Errors
    /// The system's.
    pub fn add(&self, socket: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: token };
        // SAFETY: the event lives until the call has returned.
        let done = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, socket, &raw mut event) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The sockets that have something, without waiting. Returns how many.
    #[must_use]
    pub fn wait(&self, events: &mut Events) -> usize {
        // SAFETY: the events live until the call has returned, and the kernel is told how many there are.
        let n = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.0.as_mut_ptr(), events.0.len() as _, 0) };
        // It fails only when a signal interrupts it: nothing is lost, the descriptor stays readable.
        usize::try_from(n).unwrap_or(0)
    }
}

/// From where an answer on a path leaves.
#[inline]
#[must_use]
pub fn source(path: &Path) -> Option<(IpAddr, u32)> {
    path.local().map(|ip| (ip, path.scope()))
}
