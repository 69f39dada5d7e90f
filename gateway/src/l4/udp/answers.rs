//! From endpoints to clients.

use super::batch::Way;
use super::classify::Classify;
use super::engine::{Buffers, Engine, Then};
use super::sockets::Place;
use super::sys::{self, Piece, SLOTS};
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::rc::Rc;

/// Errors that are fetched from a socket in one go.
const ERRORS: usize = 16;

impl<C: Classify> Engine<C> {
    /// Takes what endpoints have sent.
    pub(super) fn answers(&mut self) -> Then {
        let buffers = Rc::clone(&self.buffers);
        let buffers = &mut *buffers.borrow_mut();
        self.look_around();
        let mut used = 0;
        // Sockets that had more than was taken are not told again.
        let mut late = std::mem::replace(&mut self.more, std::mem::take(&mut self.late));
        for place in late.drain(..) {
            self.answer(buffers, place, &mut used);
        }
        self.late = late;
        let n = self.sockets.epoll().wait(&mut self.events);
        for i in 0..n {
            let ready = self.events.get(i);
            let place = Place::of(ready.token);
            if ready.error {
                self.errors(place);
            }
            self.answer(buffers, place, &mut used);
        }
        self.send_down(buffers);
        if n == self.events.room() || !self.more.is_empty() { Then::More } else { Then::Wait }
    }

    fn answer(&mut self, buffers: &mut Buffers, place: Place, used: &mut usize) {
        let Some(fd) = self.sockets.socket(place) else { return };
        let offered = self.offer_each.now();
        if *used + offered > SLOTS {
            self.send_down(buffers);
            *used = 0;
        }
        let n = match buffers.inbox.receive(fd, *used, offered) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
            // An ICMP error, which is fetched with the others.
            Err(_) => {
                self.errors(place);
                self.more.push(place);
                return;
            }
        };
        self.offer_each.took(n);
        if n == offered {
            self.more.push(place);
        }
        for slot in *used..*used + n {
            self.passed_on(buffers, place, slot);
        }
        *used += n;
    }

    fn passed_on(&mut self, buffers: &Buffers, place: Place, slot: usize) {
        let Some(received) = buffers.inbox.get(slot) else { return };
        // Whoever else sends to our port is not heard.
        let target = self.sockets.known(received.from);
        let Some(flow) = target.and_then(|target| self.sockets.flow(place, target)) else { return };
        if !self.stands(flow) {
            return;
        }
        let piece = Piece { slot: slot as u32, start: 0, len: received.len };
        let segment = received.segment;
        if C::EACH {
            let id = self.id(flow);
            let bytes = buffers.inbox.bytes(piece);
            if bytes.is_empty() {
                self.classifier.answered(id, bytes);
            }
            for datagram in bytes.chunks(segment as usize) {
                self.classifier.answered(id, datagram);
            }
        }
        let count = if piece.len > segment { piece.len.div_ceil(segment) } else { 1 };
        self.goes(flow, u64::from(count), u64::from(piece.len));
        let path = &self.table.at(flow).path;
        let way = Way { whose: flow, to: path.client(), from: path.source() };
        self.down.push(way, piece, segment);
    }

    fn send_down(&mut self, buffers: &mut Buffers) {
        if self.down.is_empty() {
            return;
        }
        let fd: RawFd = self.fd;
        let mut down = std::mem::take(&mut self.down);
        down.send(&mut buffers.outbox, &buffers.inbox, fd, |lost| {
            self.lost(lost.whose, u64::from(lost.datagrams));
        });
        self.down = down;
    }

    /// Fetches what a socket was told by ICMP.
    #[cold]
    fn errors(&mut self, place: Place) {
        let Some(fd) = self.sockets.socket(place) else { return };
        for _ in 0..ERRORS {
            match sys::next_error(fd) {
                None => return,
                Some(None) => {}
                Some(Some((from, error))) => self.refused(place, from, &error),
            }
        }
    }

    /// An endpoint cannot be reached: as when a connection is refused, it rests, and its flow may have
    /// another one.
    fn refused(&mut self, place: Place, address: SocketAddr, error: &io::Error) {
        if error.raw_os_error() == Some(libc::EMSGSIZE) {
            // The path takes smaller packets only; the kernel knows now.
            return;
        }
        let flow = self.sockets.known(address).and_then(|target| self.sockets.flow(place, target));
        if let Some(flow) = flow {
            self.trouble(flow, error);
        }
    }

    /// Datagrams of a flow do not reach its endpoint.
    pub(super) fn trouble(&mut self, flow: u32, error: &io::Error) {
        self.table.at_mut(flow).refused = true;
        let via = self.vias.at_mut(self.table.at(flow).via);
        via.refused();
        if let Some(index) = via.here() {
            self.worker.upstreams.failed(&via.members, index, self.now);
        }
        let reason = match error.kind() {
            io::ErrorKind::ConnectionRefused => "datagrams are refused".to_owned(),
            _ => format!("datagrams do not arrive ({error})"),
        };
        via.endpoint.failed(&via.pool, self.now, &self.worker.notices, &reason);
    }
}
