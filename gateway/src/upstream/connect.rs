//! A new connection to an endpoint.

use super::connections::{Connection, Sender};
use super::{EndpointHandle, PoolHandle, dial};
use crate::http::body::describe;
use crate::runtime::worker::Worker;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use std::fmt;
use std::io;
use std::sync::Arc;

/// What hyper buffers of an answer.
const BUFFER: usize = 128 * 1024;

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
    let reached = dial(worker, pool, endpoint).await?;
    let (sender, connection): (Sender, _) = Builder::new()
        .max_buf_size(BUFFER)
        .handshake(TokioIo::new(reached))
        .await
        .map_err(|e| ConnectError::Refused(io::Error::other(describe(&e))))?;
    tokio::task::spawn_local(async move {
        // What went wrong is told to whoever waits for an answer.
        let _ = connection.await;
    });
    Ok(Connection::new(sender, Arc::clone(endpoint)))
}
