//! A new connection to an endpoint.

use super::connections::{Connection, Sender, Upstreams};
use super::{EndpointHandle, PoolHandle};
use crate::http::body::describe;
use crate::runtime::ticks::{Ticks, within};
use crate::runtime::worker::Worker;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;

/// What hyper buffers of an answer.
const BUFFER: usize = 128 * 1024;
/// Where a name has several addresses, none of them gets less time than this.
const LEAST_MS: u64 = 250;

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The name could not be looked up.
    Name(io::Error),
    /// The system said no.
    Refused(io::Error),
    /// Nobody answered in time.
    Timeout(u64),
    /// TLS failed: why, in words.
    Tls(String),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(e) => write!(f, "its name cannot be looked up ({e})"),
            Self::Refused(e) if e.kind() == io::ErrorKind::ConnectionRefused => f.write_str("connection refused"),
            Self::Refused(e) => write!(f, "cannot connect ({e})"),
            Self::Timeout(ms) => write!(f, "no connection within {ms} ms"),
            Self::Tls(reason) => write!(f, "TLS: {reason}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(e) | Self::Refused(e) => Some(e),
            Self::Timeout(_) | Self::Tls(_) => None,
        }
    }
}

/// Connects to an endpoint of a pool for HTTP.
///
/// # Errors
/// Why there is no connection, within the pool's time.
pub async fn connect(
    worker: &Worker,
    pool: &PoolHandle,
    endpoint: &Arc<EndpointHandle>,
) -> Result<Connection, ConnectError> {
    let tcp = dial(worker, pool, endpoint).await?;
    let (sender, connection): (Sender, _) = Builder::new()
        .max_buf_size(BUFFER)
        .handshake(TokioIo::new(tcp))
        .await
        .map_err(|e| ConnectError::Refused(io::Error::other(describe(&e))))?;
    tokio::task::spawn_local(async move {
        // What went wrong is told to whoever waits for an answer.
        let _ = connection.await;
    });
    Ok(Connection::new(sender, Arc::clone(endpoint)))
}

/// Connects to an endpoint of a pool, without delays of Nagle's algorithm.
///
/// # Errors
/// Why there is no connection, within the pool's time.
pub async fn dial(worker: &Worker, pool: &PoolHandle, endpoint: &EndpointHandle) -> Result<TcpStream, ConnectError> {
    let ticks = &worker.ticks;
    // No pool waits for longer than u64 milliseconds.
    let allowed = pool.connect_within().as_millis() as u64;
    let tcp = within(ticks, allowed, reach(&worker.upstreams, ticks, endpoint, allowed))
        .await
        .ok_or(ConnectError::Timeout(allowed))??;
    let _ = tcp.set_nodelay(true);
    Ok(tcp)
}

async fn reach(
    upstreams: &Upstreams,
    ticks: &Rc<Ticks>,
    endpoint: &EndpointHandle,
    allowed: u64,
) -> Result<TcpStream, ConnectError> {
    let addresses = upstreams
        .names()
        .look_up(endpoint.host(), endpoint.port(), ticks.now_ms())
        .await
        .map_err(ConnectError::Name)?;
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
