//! UDP flows: datagrams handed on between clients and the endpoints of a pool.
//!
//! Each worker has a socket of its own for each listener, and the flows that the kernel gives to that
//! socket (`engine`). Several datagrams are received and sent in one system call (`sys`, `batch`);
//! flows are found by their addresses (`table`) or by what a classifier says ([`classify`]); few
//! sockets reach the endpoints of many flows (`sockets`).

mod answers;
mod batch;
mod begin;
pub mod classify;
mod clients;
mod engine;
mod groups;
mod life;
mod path;
mod sockets;
mod sys;
mod table;
mod vias;

use super::ListenKey;
use crate::runtime::closing::Closing;
use crate::runtime::notice::Notice;
use crate::runtime::worker::Worker;
use classify::{ByAddresses, Classify};
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;

/// Serves a worker's socket of a `udp` listener. Once it is `closing`, no flow begins, and it returns
/// when the last flow has ended; it may be told to go on before. The route is looked up in the snapshot
/// by `key`, so that a reload touches no socket.
pub async fn serve(worker: Rc<Worker>, socket: UdpSocket, address: SocketAddr, key: ListenKey, closing: Closing) {
    serve_by(worker, socket, address, ByAddresses { key }, closing).await;
}

/// Serves a worker's UDP socket, whose flows a classifier tells apart.
pub async fn serve_by<C: Classify>(
    worker: Rc<Worker>,
    socket: UdpSocket,
    address: SocketAddr,
    classifier: C,
    closing: Closing,
) {
    let notices = worker.notices.clone();
    if let Err(e) = engine::serve(worker, socket, address, classifier, closing).await {
        notices.send(Notice::AcceptFailing { address, reason: e.to_string() });
    }
}
