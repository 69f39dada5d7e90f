//! Reaching an endpoint: the first step of every connection to it. Nothing is looked up here: an
//! endpoint knows where it is.

use super::race::{race, unix};
use super::{ConnectError, EndpointHandle, PoolHandle, Reached, Whereabouts};
use crate::runtime::ticks::{process_ms, within};
use crate::runtime::worker::Worker;
use std::io;
use std::net::SocketAddr;

/// Connects to an endpoint of a pool, without delays of Nagle's algorithm.
///
/// # Errors
/// Why there is no connection, within the pool's time.
pub async fn dial(worker: &Worker, pool: &PoolHandle, endpoint: &EndpointHandle) -> Result<Reached, ConnectError> {
    // No pool waits for longer than u64 milliseconds.
    let allowed = pool.connect_within().as_millis() as u64;
    let reached = within(&worker.ticks, allowed, reach(endpoint, endpoint.port())).await;
    reached.ok_or(ConnectError::Timeout(allowed))?.map_err(ConnectError::Refused)
}

/// [`dial`] without a deadline, and by a port that need not be the endpoint's.
///
/// # Errors
/// The system's.
pub(super) async fn reach(endpoint: &EndpointHandle, port: u16) -> io::Result<Reached> {
    let addresses = match endpoint.whereabouts() {
        Whereabouts::Unix(path) => return unix(path).await.map(Reached::Unix),
        Whereabouts::Ip(addresses) => addresses,
    };
    let at = |address: SocketAddr| SocketAddr::new(address.ip(), port);
    let tcp = match **addresses {
        // Looked up in vain it is no endpoint.
        [] => return Err(io::Error::new(io::ErrorKind::NotFound, "it has no address")),
        [only] => race(at(only), None).await?.0,
        [six, four, ..] => {
            // Where one was late lately the other one is not to wait for it each time.
            let turned = endpoint.prefers_second(process_ms());
            let (first, second) = if turned { (four, six) } else { (six, four) };
            let (tcp, is_second) = race(at(first), Some(at(second))).await?;
            endpoint.prefer_second(is_second != turned, process_ms());
            tcp
        }
    };
    let _ = tcp.set_nodelay(true);
    Ok(Reached::Tcp(tcp))
}
