//! Sending: `sendmmsg`, from buffers that were received into.

use super::{Control, Heads, Inbox, Message, Next, Piece, SLOTS, name};
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::ptr;

const UDP_SEGMENT: libc::c_int = 103;

/// From where a worker sends.
pub struct Outbox {
    heads: Heads,
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
