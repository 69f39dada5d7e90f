//! UDP flows.

use super::ListenKey;
use crate::runtime::closing::Closing;
use crate::runtime::worker::Worker;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;

/// Serves a worker's socket of a `udp` listener. Once it is `closing`, no flow begins, and it returns
/// when the last flow has ended; it may be told to go on before. The route is looked up in the snapshot
/// by `key`, so that a reload touches no socket.
pub async fn serve(
    _worker: Rc<Worker>,
    _socket: UdpSocket,
    _address: SocketAddr,
    _key: ListenKey,
    mut closing: Closing,
) {
    closing.closed().await;
}
