//! Reaching an endpoint: the first step of every connection to it.

use super::connections::Upstreams;
use super::{ConnectError, EndpointHandle, PoolHandle, Reached};
use crate::runtime::ticks::{Ticks, within};
use crate::runtime::worker::Worker;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::TcpStream;

/// Where a name has several addresses, none of them gets less time than this.
const LEAST_MS: u64 = 250;

/// Connects to an endpoint of a pool, without delays of Nagle's algorithm.
///
/// # Errors
/// Why there is no connection, within the pool's time.
pub async fn dial(worker: &Worker, pool: &PoolHandle, endpoint: &EndpointHandle) -> Result<Reached, ConnectError> {
    let ticks = &worker.ticks;
    // No pool waits for longer than u64 milliseconds.
    let allowed = pool.connect_within().as_millis() as u64;
    let tcp = within(ticks, allowed, reach(&worker.upstreams, ticks, endpoint, allowed))
        .await
        .ok_or(ConnectError::Timeout(allowed))??;
    let _ = tcp.set_nodelay(true);
    Ok(tcp.into())
}

async fn reach(
    upstreams: &Upstreams,
    ticks: &Rc<Ticks>,
    endpoint: &EndpointHandle,
    allowed: u64,
) -> Result<TcpStream, ConnectError> {
    let addresses: Rc<[SocketAddr]> = match endpoint.addresses() {
        [] => upstreams
            .names()
            .look_up(endpoint.host(), endpoint.port(), ticks.now_ms())
            .await
            .map_err(ConnectError::Name)?,
        known => known.into(),
    };
    let share = (allowed / addresses.len() as u64).max(LEAST_MS);
    let mut last = ConnectError::Timeout(allowed);
    for address in addresses.iter() {
        match one(*address, ticks, share, addresses.len()).await {
            Some(Ok(tcp)) => return Ok(tcp),
            Some(Err(e)) => last = ConnectError::Refused(e),
            None => last = ConnectError::Timeout(share),
        }
    }
    Err(last)
}

async fn one(address: SocketAddr, ticks: &Rc<Ticks>, share: u64, among: usize) -> Option<io::Result<TcpStream>> {
    if among == 1 {
        // The whole time is its, and is watched already.
        return Some(TcpStream::connect(address).await);
    }
    within(ticks, share, TcpStream::connect(address)).await
}
