//! Receiving: `recvmmsg`, into buffers that a worker's sockets share.

use super::{CONTROL, Heads, LARGEST, Name, Piece, Received, SLOTS, STRIDE, UDP_GRO, address};
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;
use std::ptr;

/// Where a worker receives: buffers for [`SLOTS`] messages, shared by its sockets. Pages that nothing was
/// received into take no memory.
pub struct Inbox {
    data: Box<[u8]>,
    received: [Option<Received>; SLOTS],
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
                    // What arrived before anybody asked for addresses has no local one, only that of
                    // its header: the same, unless it was sent to many.
                    let local = match info.ipi_spec_dst.s_addr {
                        0 => info.ipi_addr.s_addr,
                        local => local,
                    };
                    to = Some(IpAddr::V4(Ipv4Addr::from(local.to_ne_bytes())));
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

#[cfg(test)]
mod tests {
    use super::super::tell_addresses;
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_arrived_before_the_socket_was_asked_has_its_address_too() {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"early", ("127.0.0.1", port)).unwrap();
        // It is there: what goes through the loopback is delivered at once.
        tell_addresses(socket.as_raw_fd(), false).unwrap();
        client.send_to(b"late", ("127.0.0.1", port)).unwrap();
        let mut inbox = Inbox::default();
        assert_eq!(inbox.receive(socket.as_raw_fd(), 0, 2).unwrap(), 2);
        for slot in 0..2 {
            assert_eq!(inbox.get(slot).unwrap().to, Some(IpAddr::from([127, 0, 0, 1])), "{slot}");
        }
    }
}
