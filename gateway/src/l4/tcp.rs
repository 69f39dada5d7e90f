//! TCP connections, handed on.
//!
//! A connection is opened (decided about, connected, told about: `open`) and then relayed
//! (`relay`). What opening takes is large and soon over, and has memory of its own; what an
//! idle connection keeps is small.

use super::carried::Carried;
use super::open;
use super::relay::Tools;
use super::standing::Register;
use super::tally::Tally;
use super::{End, Route};
use crate::runtime::worker::Worker;
use crate::tls::AnyName;
use bytes::BytesMut;
use dsl::tree::l4::Facts;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// What is known of a connection: [`Facts`] that own their texts.
#[derive(Clone, Debug)]
pub struct Known {
    /// Who connects: behind a trusted PROXY header, who it names.
    pub client: SocketAddr,
    /// What was reached.
    pub local: SocketAddr,
    /// The name in the hello, lower case, without trailing dot.
    pub sni: Option<Box<str>>,
    /// The protocols that the hello offers.
    pub alpn: Vec<Box<str>>,
}

impl Known {
    /// As the rules read them.
    #[must_use]
    pub fn facts(&self) -> Facts<'_> {
        Facts { client: self.client, local: self.local, sni: self.sni.as_deref(), alpn: &self.alpn }
    }
}

/// What is said to the upstream before the client's bytes, and answered by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// Nothing.
    #[default]
    None,
    /// PostgreSQL's SSLRequest, which the client sent before its ClientHello and was answered `S`.
    Postgres,
}

/// What the TCP connections of a worker share that are handed on.
pub struct Carrying {
    /// For their bytes.
    pub tools: Tools,
    pub(super) register: Register,
    pub(super) any_name: AnyName,
    /// Names this worker among all that ever were.
    stamp: u64,
    connections: Cell<u64>,
}

impl Carrying {
    /// Of a worker, by its number.
    #[must_use]
    pub fn new(worker: usize, any_name: AnyName) -> Self {
        Self {
            tools: Tools::default(),
            register: Register::default(),
            any_name,
            stamp: RandomState::new().hash_one(worker),
            connections: Cell::new(0),
        }
    }

    /// A name for a connection that no other one has.
    pub(crate) fn unique_id(&self) -> [u8; 16] {
        let number = self.connections.get().wrapping_add(1);
        self.connections.set(number);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.stamp.to_be_bytes());
        id[8..].copy_from_slice(&number.to_be_bytes());
        id
    }
}

/// Serves a connection to a `tcp` listener.
pub fn serve(worker: Rc<Worker>, tcp: TcpStream, known: Known, route: Arc<Route>) -> Carry {
    carry(worker, tcp, BytesMut::new(), known, Opening::None, route)
}

/// Counts and logs a connection that ends before anything is decided about it.
pub fn refused(worker: Rc<Worker>, known: Known, route: Arc<Route>, end: End, detail: String) {
    Tally::begin(worker, known, route).ends(end, Some(detail));
}

/// Carries a connection from its first bytes, already read, to its end: decides, connects, relays,
/// counts and logs.
pub fn carry(
    worker: Rc<Worker>,
    tcp: TcpStream,
    first: BytesMut,
    known: Known,
    opening: Opening,
    route: Arc<Route>,
) -> Carry {
    let tally = Tally::begin(worker, known, route);
    Carry(Stage::Opening(Box::pin(open::open(tally, tcp, first, opening))))
}

/// A connection from its first bytes to its end. Small, as it lasts.
#[must_use = "futures do nothing unless polled"]
pub struct Carry(Stage);

enum Stage {
    /// Its upstream is not there yet.
    Opening(Pin<Box<dyn Future<Output = Option<Carried>>>>),
    /// Bytes go both ways.
    Carried(Carried),
}

impl Future for Carry {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.0 {
                Stage::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Some(carried) => self.0 = Stage::Carried(carried),
                    None => return Poll::Ready(()),
                },
                Stage::Carried(carried) => return Pin::new(carried).poll(cx),
            }
        }
    }
}
