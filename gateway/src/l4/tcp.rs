//! TCP connections, handed on.

use super::Route;
use crate::runtime::worker::Worker;
use bytes::BytesMut;
use dsl::tree::l4::Facts;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
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

/// Serves a connection to a `tcp` listener.
pub async fn serve(worker: Rc<Worker>, tcp: TcpStream, known: Known, route: Arc<Route>) {
    carry(worker, tcp, BytesMut::new(), known, Opening::None, route).await;
}

/// Carries a connection from its first bytes, already read, to its end: decides, connects, relays,
/// counts and logs.
pub async fn carry(
    _worker: Rc<Worker>,
    _tcp: TcpStream,
    _first: BytesMut,
    _known: Known,
    _opening: Opening,
    _route: Arc<Route>,
) {
}
