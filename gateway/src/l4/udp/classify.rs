//! Which flow a datagram belongs to.

use crate::l4::{End, ListenKey, Route};
use crate::snapshot::Snapshot;
use crate::upstream::EndpointHandle;
use std::net::SocketAddr;
use std::sync::Arc;

/// A datagram from a client.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// It.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub client: SocketAddr,
    /// What it reached.
    pub local: SocketAddr,
    /// Now, milliseconds since the process started.
    pub now: u64,
}

/// A flow; never that of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId {
    pub(super) index: u32,
    pub(super) stamp: u32,
}

#[cfg(test)]
impl FlowId {
    /// One that no table has.
    #[must_use]
    pub fn numbered(index: u32) -> Self {
        Self { index, stamp: 0 }
    }
}

/// What a hello says, for the rules and the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The name, lower case, without trailing dot.
    pub sni: Option<Box<str>>,
    /// The protocols that it offers.
    pub alpn: Vec<Box<str>>,
    /// How long the client keeps a quiet connection, milliseconds: its flow may be quiet for as long as
    /// its item says, but no longer.
    pub idle_ms: Option<u64>,
}

/// A new flow.
#[derive(Debug)]
pub struct New {
    /// By which route.
    pub route: Arc<Route>,
    /// What its hello says.
    pub hello: Option<Box<Hello>>,
    /// Datagrams that came before this one and were held, in order.
    pub before: Vec<Box<[u8]>>,
    /// The endpoint that it has to go to: its connection lives there already.
    pub to: Option<Arc<EndpointHandle>>,
    /// What the classifier knows it by, for [`Start::token`].
    pub token: u64,
}

impl New {
    /// By a route, and nothing else.
    #[must_use]
    pub fn of(route: Arc<Route>) -> Self {
        Self { route, hello: None, before: Vec::new(), to: None, token: 0 }
    }
}

/// A flow that began.
#[derive(Debug)]
pub struct Start<'a> {
    /// The [`New::token`] that it was asked for with.
    pub token: u64,
    /// Where it goes.
    pub endpoint: &'a Arc<EndpointHandle>,
}

/// What is to be done with a datagram.
#[derive(Debug)]
pub enum Verdict {
    /// It belongs to this flow. From another address than before, the flow has moved there.
    Flow(FlowId),
    /// It begins a flow.
    New(New),
    /// Nothing now: it was kept by who said so, for [`New::before`].
    Hold,
    /// It is dropped, and counted on the route if there is one.
    Drop(End, Option<Arc<Route>>),
}

/// Tells which flow datagrams belong to. One for each worker and socket.
pub trait Classify: 'static {
    /// Whether each datagram is to be looked at. Otherwise those of a run, and those whose addresses have
    /// a flow, are not.
    const EACH: bool;
    /// Whether what a client says next may go to another endpoint when its own is down. Not where the
    /// endpoint holds a connection that no other one knows of.
    const MOVES: bool;

    /// Looks at a datagram from a client. `known`: the flow of its addresses.
    fn classify(&mut self, snapshot: &Snapshot, datagram: &Datagram<'_>, known: Option<FlowId>) -> Verdict;

    /// A flow began. Not told when none could: then its datagrams were dropped.
    fn began(&mut self, _flow: FlowId, _start: Start<'_>) {}

    /// The upstream sent a datagram to a flow's client. Told only if [`Classify::EACH`].
    fn answered(&mut self, _flow: FlowId, _bytes: &[u8]) {}

    /// A flow ended.
    fn ended(&mut self, _flow: FlowId) {}

    /// Told several times a second while there are flows or [`Classify::is_idle`] is `false`.
    fn tick(&mut self, _now: u64) {}

    /// Whether nothing is held.
    fn is_idle(&self) -> bool {
        true
    }
}

/// By their addresses, as `udp` does: the route is the one that stands on the listener.
#[derive(Debug)]
pub struct ByAddresses {
    /// The listener.
    pub key: ListenKey,
}

impl Classify for ByAddresses {
    const EACH: bool = false;
    const MOVES: bool = true;

    fn classify(&mut self, snapshot: &Snapshot, _: &Datagram<'_>, known: Option<FlowId>) -> Verdict {
        if let Some(flow) = known {
            return Verdict::Flow(flow);
        }
        match snapshot.listening.get(&self.key) {
            Some(route) => Verdict::New(New::of(Arc::clone(route))),
            // The item was removed; its listener closes.
            None => Verdict::Drop(End::NoRoute, None),
        }
    }
}
