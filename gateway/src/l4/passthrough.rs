//! TLS and QUIC connections that end at the upstream, told apart by the name in their hello.

use super::quic::classifier::ByConnection;
use super::{Route, udp};
use crate::runtime::closing::Closing;
use crate::runtime::worker::Worker;
use crate::snapshot::{Host, Snapshot};
use dsl::tree::canonical;
use rustls::server::ClientHello;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;

/// More protocols no client offers; each is kept for as long as the connection lasts.
const PROTOCOLS: usize = 64;

/// The name in a hello, as hosts are looked up: lower case, without the dot at its end. With ECH that
/// is the outer name: the inner one can only be read by who holds the keys, which is the upstream
/// (G7003).
#[must_use]
pub fn name(hello: &ClientHello<'_>) -> Option<Box<str>> {
    canonical::host(hello.server_name()?.as_bytes()).ok().map(|name| name.into())
}

/// The passthrough that a name leads to.
#[must_use]
pub fn route(snapshot: &Snapshot, name: &str) -> Option<Arc<Route>> {
    match snapshot.hosts.get(name)? {
        Host::Passthrough(route) => Some(Arc::clone(route)),
        Host::Site(_) | Host::Unavailable | Host::Nobody => None,
    }
}

/// The protocols that a hello offers. `None`: more than any client does, and conditions that read only
/// some of them could be walked around.
#[must_use]
pub fn protocols(hello: &ClientHello<'_>) -> Option<Vec<Box<str>>> {
    let offered = hello.alpn().into_iter().flatten().take(PROTOCOLS + 1);
    let protocols: Vec<Box<str>> = offered.map(|protocol| String::from_utf8_lossy(protocol).into()).collect();
    (protocols.len() <= PROTOCOLS).then_some(protocols)
}

/// Serves a worker's UDP socket beside an `https` listener. Once it is `closing`, no flow begins, and
/// it returns when the last flow has ended; it may be told to go on before.
pub async fn serve_quic(worker: Rc<Worker>, socket: UdpSocket, address: SocketAddr, closing: Closing) {
    let counters = Arc::clone(&worker.counters);
    udp::serve_by(worker, socket, address, ByConnection::new(address, counters), closing).await;
}
