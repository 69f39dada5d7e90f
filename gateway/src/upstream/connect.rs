//! A new connection to an endpoint.

use super::connections::Http1;
use super::{Connection, EndpointHandle, PoolHandle, Speaks, dial};
use crate::http::body::describe;
use crate::http::client::Client;
use crate::l4::proxy_header::{self, Told};
use crate::runtime::ticks::within;
use dsl::tree::ir::ProxyProtocol;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

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

/// Connects to an endpoint of a pool for HTTP, on behalf of a client: as far as TLS, and what precedes
/// it.
///
/// # Errors
/// Why there is no connection; dialling and TLS have the pool's `connect within` each.
pub async fn connect(
    client: &Client,
    pool: &PoolHandle,
    endpoint: &Arc<EndpointHandle>,
) -> Result<Connection, ConnectError> {
    let worker = &client.worker;
    let mut stream = dial(worker, pool, endpoint).await?;
    let transport = pool.transport();
    if let Some(version) = transport.proxy() {
        stream.write_all(&header(client, version)).await.map_err(ConnectError::Refused)?;
    }
    let Some(tls) = transport.tls() else {
        return http1(stream, endpoint, 0).await;
    };
    // No pool waits for longer than u64 milliseconds.
    let allowed = pool.connect_within().as_millis() as u64;
    let shaken = within(&worker.ticks, allowed, tls.handshake_http(Speaks::Http1, endpoint.host(), stream)).await;
    let (stream, generation) = shaken.ok_or(ConnectError::Timeout(allowed))?.map_err(ConnectError::Tls)?;
    http1(stream, endpoint, generation).await
}

async fn http1<T>(stream: T, endpoint: &Arc<EndpointHandle>, generation: u64) -> Result<Connection, ConnectError>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection): (Http1, _) = Builder::new()
        .max_buf_size(BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| ConnectError::Refused(io::Error::other(describe(&e))))?;
    tokio::task::spawn_local(async move {
        // What went wrong is told to whoever waits for an answer.
        let _ = connection.with_upgrades().await;
    });
    Ok(Connection::http1(sender, Arc::clone(endpoint), generation))
}

/// The PROXY header that tells an endpoint of a client.
fn header(client: &Client, version: ProxyProtocol) -> Vec<u8> {
    let id = client.worker.carrying.unique_id();
    let tls = client.tls.as_ref();
    let told = Told {
        client: SocketAddr::new(client.ip, client.port),
        local: client.local,
        alpn: tls.and_then(|tls| tls.alpn),
        sni: tls.and_then(|tls| tls.sni.as_deref()),
        id: &id,
        secured: tls.and_then(|tls| tls.told),
    };
    match version {
        ProxyProtocol::V1 => proxy_header::v1(&told),
        ProxyProtocol::V2 => proxy_header::v2(&told),
    }
}
