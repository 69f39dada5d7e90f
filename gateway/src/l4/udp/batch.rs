//! Datagrams on their way out: what belongs together is put into one message.
//!
//! A run of equally long datagrams to one address, of which the last may be shorter, is one message that
//! the kernel (or the network card) takes apart: UDP_SEGMENT. Measured on the loopback, a datagram of 64
//! bytes costs 0.75 µs in a `sendmmsg` and 0.2 µs in a run.

use super::sys::{Inbox, Message, Next, Outbox, Piece};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;

/// Bytes of a run: what fits into an IPv4 packet.
const RUN_BYTES: u32 = 65_507;
/// Datagrams of a run; older kernels take no more.
const RUN_DATAGRAMS: u32 = 64;
/// How often a message is tried again that failed because of an error that another one met.
const PATIENCE: u32 = 4;

/// Messages that leave by one socket.
pub struct Batch {
    messages: Vec<Message>,
    pieces: Vec<Piece>,
    /// Of each message: whose it is, and how many datagrams it has.
    notes: Vec<(u32, u32)>,
    /// Whether the last message can go on, and how many bytes it has.
    tail: Option<u32>,
    /// Runs of longer datagrams are not taken by the kernel: none at all, or none beyond the MTU.
    longest: u32,
    failed: Vec<usize>,
}

/// What became of a message.
#[derive(Debug)]
pub struct Lost<'a> {
    /// Whose it was.
    pub whose: u32,
    /// How many datagrams.
    pub datagrams: u32,
    /// Why.
    pub error: &'a io::Error,
}

/// Where a datagram or a run goes.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Whose it is: what has different owners is never joined.
    pub whose: u32,
    /// To whom.
    pub to: SocketAddr,
    /// From which of our addresses.
    pub from: Option<(IpAddr, u32)>,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            pieces: Vec::new(),
            notes: Vec::new(),
            tail: None,
            longest: RUN_BYTES,
            failed: Vec::new(),
        }
    }
}

impl Batch {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Adds a datagram or a run of them. `segment`: how long each is.
    pub fn push(&mut self, way: Way, piece: Piece, segment: u32) {
        if piece.len > segment && segment > self.longest {
            let mut start = piece.start;
            let end = piece.start + piece.len;
            while start < end {
                let len = segment.min(end - start);
                self.add(way, Piece { slot: piece.slot, start, len }, len);
                start += len;
            }
            return;
        }
        self.add(way, piece, segment);
    }

    fn add(&mut self, way: Way, piece: Piece, segment: u32) {
        let datagrams = if piece.len > segment { piece.len.div_ceil(segment) } else { 1 };
        if self.joins(way, piece, segment, datagrams) {
            return;
        }
        self.messages.push(Message {
            to: way.to,
            from: way.from,
            segment: if datagrams > 1 { segment as u16 } else { 0 },
            pieces: 1,
        });
        self.pieces.push(piece);
        self.notes.push((way.whose, datagrams));
        self.tail = self.goes_on(piece.len, segment.min(piece.len.max(1)), piece.len);
    }

    /// Whether another datagram may follow one of this length.
    fn goes_on(&self, len: u32, segment: u32, total: u32) -> Option<u32> {
        (len > 0 && len.is_multiple_of(segment) && segment <= self.longest).then_some(total)
    }

    fn joins(&mut self, way: Way, piece: Piece, segment: u32, datagrams: u32) -> bool {
        let (Some(total), Some(message), Some(note)) = (self.tail, self.messages.last_mut(), self.notes.last_mut())
        else {
            return false;
        };
        // What a message of one datagram has is its segment.
        let run = if message.segment == 0 { total } else { u32::from(message.segment) };
        let fits = if datagrams > 1 { segment == run } else { piece.len <= run };
        if !fits
            || piece.len == 0
            || note.0 != way.whose
            || message.to != way.to
            || message.from != way.from
            || total + piece.len > RUN_BYTES
            || note.1 + datagrams > RUN_DATAGRAMS
        {
            return false;
        }
        message.segment = run as u16;
        message.pieces += 1;
        note.1 += datagrams;
        self.pieces.push(piece);
        self.tail = self.goes_on(piece.len, run, total + piece.len);
        true
    }

    /// Sends what is in it, and empties it. `lost` is told what could not be sent.
    pub fn send(&mut self, out: &mut Outbox, inbox: &Inbox, fd: RawFd, mut lost: impl FnMut(Lost<'_>)) {
        let Self { messages, notes, failed, .. } = self;
        let mut patience = PATIENCE;
        out.send(fd, inbox, messages, &self.pieces, |index, error| {
            if messages[index].segment != 0 && no_runs(error) {
                failed.push(index);
                return Next::Skip;
            }
            if is_unreachable(error) && patience > 0 {
                patience -= 1;
                return Next::Again;
            }
            let (whose, datagrams) = notes[index];
            lost(Lost { whose, datagrams, error });
            Next::Skip
        });
        if !self.failed.is_empty() {
            self.send_apart(out, inbox, fd, &mut lost);
        }
        self.messages.clear();
        self.pieces.clear();
        self.notes.clear();
        self.tail = None;
    }

    /// Sends the datagrams of runs that the kernel did not take one by one, and makes no such runs again.
    #[cold]
    fn send_apart(&mut self, out: &mut Outbox, inbox: &Inbox, fd: RawFd, lost: &mut impl FnMut(Lost<'_>)) {
        for index in std::mem::take(&mut self.failed) {
            let message = self.messages[index];
            let segment = u32::from(message.segment);
            self.longest = self.longest.min(segment - 1);
            let first: usize = self.messages[..index].iter().map(|m| m.pieces as usize).sum();
            for piece in &self.pieces[first..first + message.pieces as usize] {
                let mut start = piece.start;
                while start < piece.start + piece.len {
                    let one = Piece { slot: piece.slot, start, len: segment.min(piece.start + piece.len - start) };
                    start += one.len;
                    let plain = Message { segment: 0, pieces: 1, ..message };
                    out.send(fd, inbox, &[plain], &[one], |_, error| {
                        lost(Lost { whose: self.notes[index].0, datagrams: 1, error });
                        Next::Skip
                    });
                }
            }
        }
    }
}

/// Whether an error means that the run, not its datagrams, is the trouble: the device cannot take runs
/// apart, or the datagrams are longer than a packet.
fn no_runs(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP))
}

/// Whether an error says that an endpoint cannot be reached: this one, or that of an earlier datagram,
/// of which the socket is told with the next one.
pub fn is_unreachable(e: &io::Error) -> bool {
    let icmp = [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::EHOSTDOWN, libc::ENETUNREACH, libc::EPROTO];
    e.raw_os_error().is_some_and(|code| icmp.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(whose: u32) -> Way {
        Way { whose, to: SocketAddr::from(([127, 0, 0, 1], 1000 + whose as u16)), from: None }
    }

    fn piece(slot: u32, len: u32) -> Piece {
        Piece { slot, start: 0, len }
    }

    fn shape(batch: &Batch) -> Vec<(u32, u16, u32)> {
        batch.messages.iter().zip(&batch.notes).map(|(m, (_, n))| (m.pieces, m.segment, *n)).collect()
    }

    #[test]
    fn equal_lengths_are_a_run_and_a_shorter_one_ends_it() {
        let mut batch = Batch::default();
        for len in [100, 100, 100, 40, 100, 200, 0, 200] {
            batch.push(way(1), piece(0, len), len.max(1));
        }
        assert_eq!(shape(&batch), [(4, 100, 4), (1, 0, 1), (1, 0, 1), (1, 0, 1), (1, 0, 1)]);
    }

    #[test]
    fn owners_are_kept_apart() {
        let mut batch = Batch::default();
        for whose in [1, 1, 2, 1] {
            batch.push(way(whose), piece(0, 10), 10);
        }
        assert_eq!(shape(&batch), [(2, 10, 2), (1, 0, 1), (1, 0, 1)]);
    }

    #[test]
    fn runs_that_came_as_runs_are_joined_while_there_is_room() {
        let mut batch = Batch::default();
        batch.push(way(1), piece(0, 3000), 1000);
        batch.push(way(1), piece(1, 1000), 1000);
        batch.push(way(1), piece(2, 2500), 1000);
        batch.push(way(1), piece(3, 1000), 1000);
        assert_eq!(shape(&batch), [(3, 1000, 7), (1, 0, 1)]);
        let mut batch = Batch::default();
        for slot in 0..70 {
            batch.push(way(1), piece(slot, 10), 10);
        }
        assert_eq!(shape(&batch), [(64, 10, 64), (6, 10, 6)]);
        let mut batch = Batch::default();
        for slot in 0..3 {
            batch.push(way(1), piece(slot, 30_000), 30_000);
        }
        assert_eq!(shape(&batch), [(2, 30_000, 2), (1, 0, 1)]);
    }

    #[test]
    fn runs_are_not_made_of_what_the_kernel_does_not_take() {
        let mut batch = Batch { longest: 99, ..Batch::default() };
        batch.push(way(1), piece(0, 250), 100);
        batch.push(way(1), piece(1, 50), 50);
        batch.push(way(1), piece(2, 50), 50);
        assert_eq!(shape(&batch), [(1, 0, 1), (1, 0, 1), (3, 50, 3)]);
    }

    #[test]
    fn a_run_arrives_as_datagrams_and_as_a_run() {
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let fd = |s: &std::net::UdpSocket| std::os::fd::AsRawFd::as_raw_fd(s);
        let mut inbox = Inbox::default();
        for n in 0..3_u8 {
            sender.send_to(&[n; 700], receiver.local_addr().expect("bound")).expect("sent");
        }
        receiver.readable();
        let mut got = 0;
        while got < 3 {
            got += inbox.receive(fd(&receiver), got, 3).unwrap_or(0);
        }
        let again = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        again.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("set");
        let way = Way { whose: 0, to: again.local_addr().expect("bound"), from: None };
        let mut batch = Batch::default();
        for slot in 0..3 {
            batch.push(way, piece(slot, 700), 700);
        }
        batch.push(way, piece(0, 20), 20);
        assert_eq!(shape(&batch), [(4, 700, 4)]);
        batch.send(&mut Outbox::default(), &inbox, fd(&receiver), |lost| panic!("{lost:?}"));
        let mut bytes = [9; 1500];
        for n in 0..3_u8 {
            assert_eq!(again.recv(&mut bytes).expect("a datagram"), 700);
            assert_eq!(bytes[..700], [n; 700]);
        }
        assert_eq!(again.recv(&mut bytes).expect("a datagram"), 20);
    }

    trait Readable {
        fn readable(&self);
    }

    impl Readable for std::net::UdpSocket {
        fn readable(&self) {
            self.peek_from(&mut [0]).expect("something arrives");
        }
    }
}
