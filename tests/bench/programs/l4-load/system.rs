//! System calls that the standard library does not have: many datagrams a call, each from an address of its
//! own; files in memory; sending from a file.
//!
//! `unsafe`, for calls to the system only: every pointer that is passed is into a buffer that lives through
//! the call, with its length beside it.
#![allow(unsafe_code)]

use crate::shape::Datagram;
use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr;
use std::time::Duration;

/// The longest datagram.
pub const LONGEST: usize = 1472;
/// What fits into a socket's buffer: both ends of the load must never be who loses a datagram.
const BUFFER: usize = 4 << 20;

/// A file that is nowhere but in memory.
pub fn memory_file() -> io::Result<File> {
    // SAFETY: the name is a C string; the descriptor that comes back is owned by nobody else.
    unsafe {
        let fd = libc::memfd_create(c"l4-load".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(File::from_raw_fd(fd)) }
    }
}

/// Sends from a file; how many bytes went.
pub fn send_file(stream: &TcpStream, file: &File, at: u64, length: u64) -> io::Result<u64> {
    let mut offset = libc::off_t::try_from(at).map_err(io::Error::other)?;
    let length = usize::try_from(length).map_err(io::Error::other)?;
    // SAFETY: both descriptors are open, `offset` lives through the call.
    let sent = unsafe { libc::sendfile(stream.as_raw_fd(), file.as_raw_fd(), &raw mut offset, length) };
    u64::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// A socket for datagrams that tells to which address one came, and sends from any address of this machine.
#[derive(Debug)]
pub struct Bound(UdpSocket);

impl Bound {
    /// Opens it. With an unspecified address, one socket is as many clients as there are addresses in
    /// 127.0.0.0/8.
    pub fn open(address: SocketAddrV4) -> io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        socket.set_recv_buffer_size(BUFFER)?;
        socket.set_send_buffer_size(BUFFER)?;
        socket.bind(&std::net::SocketAddr::from(address).into())?;
        let one: libc::c_int = 1;
        // SAFETY: the option is an int, and its length is given.
        let set = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_IP,
                libc::IP_PKTINFO,
                (&raw const one).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if set < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(socket.into())) }
    }

    /// After so long without a datagram, receiving fails.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(patience))
    }
}

/// One datagram and where it is from and for.
struct Slot {
    bytes: [u8; LONGEST],
    length: usize,
    peer: libc::sockaddr_in,
    local: libc::in_addr,
}

/// Room for the address that a datagram came to or goes from.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 32]);

/// Datagrams that are received or sent with one call.
pub struct Batch {
    slots: Vec<Slot>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    /// The slots to be sent.
    queue: Vec<usize>,
}

impl Batch {
    /// Of so many datagrams at most.
    pub fn new(size: usize) -> Self {
        // SAFETY: all of these are plain numbers, for which zero is valid.
        let slot = || unsafe { Slot { bytes: [0; LONGEST], length: 0, peer: zeroed(), local: zeroed() } };
        Self {
            slots: (0..size).map(|_| slot()).collect(),
            controls: vec![Control([0; 32]); size],
            // SAFETY: null pointers of length zero.
            vectors: (0..size).map(|_| unsafe { zeroed() }).collect(),
            headers: (0..size).map(|_| unsafe { zeroed() }).collect(),
            queue: Vec::with_capacity(size),
        }
    }

    /// What came in a slot.
    pub fn bytes(&self, slot: usize) -> &[u8] {
        &self.slots[slot].bytes[..self.slots[slot].length]
    }

    /// From whom.
    pub fn peer(&self, slot: usize) -> SocketAddrV4 {
        let peer = &self.slots[slot].peer;
        SocketAddrV4::new(u32::from_be(peer.sin_addr.s_addr).into(), u16::from_be(peer.sin_port))
    }

    /// To which address of ours.
    pub fn local(&self, slot: usize) -> Ipv4Addr {
        u32::from_be(self.slots[slot].local.s_addr).into()
    }

    /// Fills a slot to be sent.
    pub fn put(&mut self, slot: usize, from: Ipv4Addr, to: SocketAddrV4, length: usize, head: Datagram) {
        let place = &mut self.slots[slot];
        place.peer.sin_family = libc::AF_INET as libc::sa_family_t;
        place.peer.sin_addr.s_addr = u32::from(*to.ip()).to_be();
        place.peer.sin_port = to.port().to_be();
        place.local.s_addr = u32::from(from).to_be();
        place.length = length;
        head.write(&mut place.bytes);
        self.queue.push(slot);
    }

    /// Sends a slot's datagram back to where it came from, with another head if one is given.
    pub fn answer(&mut self, slot: usize, head: Option<Datagram>) {
        if let Some(head) = head {
            head.write(&mut self.slots[slot].bytes);
            self.slots[slot].length = Datagram::HEAD;
        }
        self.queue.push(slot);
    }

    /// Writes the same bytes behind the head of every slot.
    pub fn fill(&mut self, byte: u8) {
        for slot in &mut self.slots {
            slot.bytes[Datagram::HEAD..].fill(byte);
        }
    }

    /// Waits for at least one datagram; how many came.
    pub fn receive(&mut self, socket: &Bound) -> io::Result<usize> {
        self.queue.clear();
        for i in 0..self.slots.len() {
            self.slots[i].length = LONGEST;
            self.point(i, i);
        }
        let room = self.slots.len() as libc::c_uint;
        // SAFETY: `point` set each header to buffers of `self`, which nothing moves or frees meanwhile.
        let count = unsafe {
            libc::recvmmsg(socket.0.as_raw_fd(), self.headers.as_mut_ptr(), room, libc::MSG_WAITFORONE, ptr::null_mut())
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for i in 0..count {
            self.slots[i].length = self.headers[i].msg_len as usize;
            // SAFETY: the kernel wrote the control messages of this header.
            if let Some(local) = unsafe { destination(&self.headers[i].msg_hdr) } {
                self.slots[i].local = local;
            }
        }
        Ok(count)
    }

    /// Sends what is queued, all of it.
    pub fn send(&mut self, socket: &Bound) -> io::Result<()> {
        for i in 0..self.queue.len() {
            let slot = self.queue[i];
            self.point(i, slot);
            self.name_source(i, slot);
        }
        let mut sent = 0;
        while sent < self.queue.len() {
            let rest = (self.queue.len() - sent) as libc::c_uint;
            // SAFETY: as in `receive`; `sent` is less than the number of headers.
            let count = unsafe { libc::sendmmsg(socket.0.as_raw_fd(), self.headers.as_mut_ptr().add(sent), rest, 0) };
            sent += usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        }
        self.queue.clear();
        Ok(())
    }

    /// Points a header to a slot.
    fn point(&mut self, header: usize, slot: usize) {
        let place = &mut self.slots[slot];
        self.vectors[header] = libc::iovec { iov_base: place.bytes.as_mut_ptr().cast(), iov_len: place.length };
        let head = &mut self.headers[header].msg_hdr;
        head.msg_name = (&raw mut place.peer).cast();
        head.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        head.msg_iov = &raw mut self.vectors[header];
        head.msg_iovlen = 1;
        head.msg_control = self.controls[header].0.as_mut_ptr().cast();
        head.msg_controllen = size_of::<Control>();
        head.msg_flags = 0;
    }

    /// Says in a header from which address it is sent.
    fn name_source(&mut self, header: usize, slot: usize) {
        let local = self.slots[slot].local;
        let head = &mut self.headers[header].msg_hdr;
        // SAFETY: `msg_control` points to a `Control`, aligned and with room for one message of `in_pktinfo`.
        unsafe {
            let message = libc::CMSG_FIRSTHDR(head);
            (*message).cmsg_level = libc::IPPROTO_IP;
            (*message).cmsg_type = libc::IP_PKTINFO;
            (*message).cmsg_len = libc::CMSG_LEN(size_of::<libc::in_pktinfo>() as u32) as usize;
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: local, ipi_addr: zeroed() };
            ptr::write_unaligned(libc::CMSG_DATA(message).cast(), info);
            head.msg_controllen = libc::CMSG_SPACE(size_of::<libc::in_pktinfo>() as u32) as usize;
        }
    }
}

/// To which address a datagram came.
///
/// # Safety
/// The header is one that the kernel filled.
unsafe fn destination(head: &libc::msghdr) -> Option<libc::in_addr> {
    // SAFETY: the kernel's messages, walked with the kernel's own macros.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(head);
        while !message.is_null() {
            if (*message).cmsg_level == libc::IPPROTO_IP && (*message).cmsg_type == libc::IP_PKTINFO {
                let info: libc::in_pktinfo = ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                return Some(info.ipi_addr);
            }
            message = libc::CMSG_NXTHDR(head, message);
        }
    }
    None
}
