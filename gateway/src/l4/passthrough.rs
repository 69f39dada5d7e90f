//! TLS and QUIC connections that end at the upstream, told apart by the name in their hello.

use crate::runtime::closing::Closing;
use crate::runtime::worker::Worker;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;

/// Serves a worker's UDP socket beside an `https` listener. Once it is `closing`, no flow begins, and
/// it returns when the last flow has ended; it may be told to go on before.
pub async fn serve_quic(_worker: Rc<Worker>, _socket: UdpSocket, _address: SocketAddr, mut closing: Closing) {
    closing.closed().await;
}
