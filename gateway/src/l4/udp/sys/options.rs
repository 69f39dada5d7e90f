//! What is asked of sockets and of the process, and the errors that sockets are told of.

use super::{CONTROL, Control, Name, UDP_GRO, address};
use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::RawFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

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
