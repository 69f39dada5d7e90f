//! UDP flows.

use super::ListenKey;
use crate::runtime::worker::Worker;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;

/// Serves a worker's socket of a `udp` listener until the task is dropped: its flows live in it. The
/// route is looked up in the snapshot by `key`, so that a reload touches no socket.
pub async fn serve(_worker: Rc<Worker>, _socket: UdpSocket, _address: SocketAddr, _key: ListenKey) {}
