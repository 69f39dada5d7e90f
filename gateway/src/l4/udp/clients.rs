//! From clients to endpoints.

use super::batch::Way;
use super::begin::{Before, Begun};
use super::classify::{Classify, Datagram, New, Verdict};
use super::engine::{Engine, Then};
use super::path::Path;
use super::sys::{Inbox, Piece};
use crate::l4::End;
use crate::upstream::Tried;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// A datagram, or a run of them, on its way to an endpoint.
#[derive(Clone, Copy)]
pub(super) struct Op {
    piece: Piece,
    segment: u32,
    flow: u32,
}

impl<C: Classify> Engine<C> {
    /// Takes what clients have sent.
    pub(super) fn clients(&mut self) -> Then {
        let buffers = Rc::clone(&self.buffers);
        let buffers = &mut *buffers.borrow_mut();
        let offered = self.offer.now();
        let n = match buffers.inbox.receive(self.fd, 0, offered) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Then::Wait,
            // An error that a datagram to a client met: it is told once.
            Err(_) => return Then::More,
        };
        self.look_around();
        self.ops.clear();
        let mut last: Option<(Path, u32)> = None;
        for slot in 0..n {
            let Some(received) = buffers.inbox.get(slot) else { continue };
            let path = Path::new(received.from, received.to);
            let whole = Piece { slot: slot as u32, start: 0, len: received.len };
            let known = match last {
                Some((before, flow)) if before == path => Some(flow),
                Some(_) | None => self.table.find(&path),
            };
            let flow = if C::EACH {
                self.each(&path, &buffers.inbox, whole, received.segment, known);
                None
            } else {
                self.arrived(&path, &buffers.inbox, whole, received.segment, known)
            };
            last = flow.map(|flow| (path, flow));
        }
        self.send_up(buffers);
        self.offer.took(n);
        if n == offered { Then::More } else { Then::Wait }
    }

    /// The datagrams of a run, one by one.
    fn each(&mut self, path: &Path, inbox: &Inbox, whole: Piece, segment: u32, mut known: Option<u32>) {
        let mut start = 0;
        loop {
            let piece = Piece { start, len: segment.min(whole.len - start), ..whole };
            self.arrived(path, inbox, piece, segment, known);
            start += segment;
            if start >= whole.len {
                return;
            }
            // It may have begun with the one before, or ended.
            known = self.table.find(path);
        }
    }

    /// What to do with a datagram, or a run that is not taken apart. Returns the flow that it is in.
    fn arrived(&mut self, path: &Path, inbox: &Inbox, piece: Piece, segment: u32, known: Option<u32>) -> Option<u32> {
        let count = u64::from(if piece.len > segment { piece.len.div_ceil(segment) } else { 1 });
        let flow = match known {
            Some(flow) if !C::EACH => flow,
            Some(_) | None => self.classified(path, inbox, piece, segment, known, count)?,
        };
        let it = self.table.at(flow);
        let flow = if it.era != self.era || it.refused { self.reconsidered(flow, count)? } else { flow };
        self.came(flow, count, u64::from(piece.len));
        self.ops.push(Op { piece, segment, flow });
        Some(flow)
    }

    fn classified(
        &mut self,
        path: &Path,
        inbox: &Inbox,
        piece: Piece,
        segment: u32,
        known: Option<u32>,
        count: u64,
    ) -> Option<u32> {
        let first = Piece { len: piece.len.min(segment), ..piece };
        let datagram =
            Datagram { bytes: inbox.bytes(first), client: path.client(), local: self.reached(path), now: self.now };
        let known = known.map(|flow| self.id(flow));
        match self.classifier.classify(&self.snapshot, &datagram, known) {
            Verdict::Flow(id) => {
                let it = self.table.get(id.index, id.stamp)?;
                if it.path != *path {
                    self.table.moved(id.index, *path);
                }
                Some(id.index)
            }
            Verdict::New(new) => self.new_flow(path, new, count),
            Verdict::Hold => None,
            Verdict::Drop(end, route) => {
                self.dropped(route.as_ref(), count, Some(end));
                None
            }
        }
    }

    fn new_flow(&mut self, path: &Path, mut new: New, count: u64) -> Option<u32> {
        let before = std::mem::take(&mut new.before);
        match self.begin(*path, new, Before::default()) {
            Begun::Flow(flow) => {
                self.send_now(flow, &before);
                Some(flow)
            }
            Begun::No(end, route) => {
                self.dropped(Some(&route), count + before.len() as u64, Some(end));
                None
            }
        }
    }

    /// The world changed for a flow, or its endpoint refused it: the flow that its datagram goes on in.
    #[cold]
    fn reconsidered(&mut self, flow: u32, count: u64) -> Option<u32> {
        let (path, hello) = {
            let it = self.table.at(flow);
            (it.path, it.extra.as_ref().and_then(|e| e.hello.clone()))
        };
        let route = Arc::clone(&self.vias.at(self.table.at(flow).via).route);
        let before = if self.stands(flow) {
            let it = self.table.at(flow);
            let refused = it.refused;
            let via = self.vias.at_mut(it.via);
            let (here, is_down) = (via.here(), !via.is_up());
            if !is_down && !refused {
                return Some(flow);
            }
            if !C::MOVES {
                self.table.at_mut(flow).refused = false;
                return Some(flow);
            }
            let mut tried = Tried::default();
            if let Some(index) = here {
                tried.add(index);
            }
            if !self.has_another(flow, tried) {
                self.table.at_mut(flow).refused = false;
                if is_down {
                    // It waits for its endpoint to come back.
                    self.lost(flow, count);
                    return None;
                }
                return Some(flow);
            }
            let end = if is_down { End::Unhealthy } else { End::ConnectFailed };
            let admitted = self.end(flow, end, (!is_down).then_some("datagrams are refused"));
            Before { tried, admitted: Some(admitted) }
        } else if C::MOVES {
            Before::default()
        } else {
            self.dropped(Some(&route), count, None);
            return None;
        };
        // What is known of the flow holds for the one that goes on for it.
        let today = route.listens.and_then(|key| self.snapshot.listening.get(&key));
        let route = today.map_or(route, Arc::clone);
        let new = New { hello, ..New::of(route) };
        match self.begin(path, new, before) {
            Begun::Flow(flow) => Some(flow),
            Begun::No(end, route) => {
                self.dropped(Some(&route), count, Some(end));
                None
            }
        }
    }

    /// Sends what was sorted out.
    fn send_up(&mut self, buffers: &mut super::engine::Buffers) {
        self.order.clear();
        for (i, op) in self.ops.iter().enumerate() {
            let it = self.table.at(op.flow);
            let (place, _) = self.sockets.way(it.target, it.rank);
            self.order.push((place.token(), i as u32));
        }
        // What leaves by one socket together, in the order in which it came.
        if !self.order.is_sorted() {
            self.order.sort_unstable();
        }
        let mut at = 0;
        while at < self.order.len() {
            let token = self.order[at].0;
            let place = super::sockets::Place::of(token);
            while let Some((_, op)) = self.order.get(at).filter(|(t, _)| *t == token) {
                let op = self.ops[*op as usize];
                let it = self.table.at(op.flow);
                let (_, to) = self.sockets.way(it.target, it.rank);
                self.up.push(Way { whose: op.flow, to, from: None }, op.piece, op.segment);
                at += 1;
            }
            let Some(fd) = self.sockets.socket(place) else { continue };
            let mut up = std::mem::take(&mut self.up);
            let mut unreachable = None;
            up.send(&mut buffers.outbox, &buffers.inbox, fd, |lost| {
                self.lost(lost.whose, u64::from(lost.datagrams));
                if super::batch::is_unreachable(lost.error) {
                    unreachable = Some((lost.whose, lost.error.kind()));
                }
            });
            self.up = up;
            if let Some((flow, kind)) = unreachable {
                self.trouble(flow, &io::Error::from(kind));
            }
        }
    }
}
