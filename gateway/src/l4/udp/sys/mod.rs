//! Several datagrams a system call: `recvmmsg`, `sendmmsg`, UDP_GRO and UDP_SEGMENT, the addresses
//! that datagrams were sent to and leave from, ICMP errors, and an epoll of our own.
//!
//! Unsafe, because neither the standard library nor rustix has `recvmmsg` or these control messages,
//! and quinn-udp 0.5 makes one system call for each run of datagrams that it sends. What is unsafe is
//! small: pointers to arrays that live as long as the call, and control messages written and read
//! within buffers of known size. Everything that leaves this module is a safe type.
#![allow(unsafe_code)]

mod epoll;
mod options;
mod receive;
mod send;

pub use epoll::{Epoll, Events};
pub use options::{descriptors, next_error, receive_runs, tell_addresses, tell_errors, watch_socket};
pub use receive::Inbox;
pub use send::{Outbox, send_one};

use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Datagrams, or runs of them, that an [`Inbox`] holds.
pub const SLOTS: usize = 64;
/// The largest run that the kernel hands over or takes at once.
const LARGEST: usize = 65_536;
/// Slots lie a little more than 64 KiB apart: at 64 KiB their first bytes would share one cache set.
const STRIDE: usize = LARGEST + 192;
/// Room for every control message that is asked for.
const CONTROL: usize = 128;
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
