//! A new connection to an endpoint.

use super::connections::{Http1, Joined};
use super::http2::{self, Slot};
use super::lease::Single;
use super::opening::Opened;
use super::tls::is_http2;
use super::{Connection, ConnectionPermit, EndpointHandle, Full, PoolHandle, Reached, Speaks, Transport, dial};
use crate::http::body::describe;
use crate::http::client::Client;
use crate::l4::proxy_header::{self, Told};
use crate::runtime::ticks::within;
use crate::runtime::worker::Worker;
use dsl::tree::ir::ProxyProtocol;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// An endpoint that ends so many connections before one takes a request speaks no HTTP/2 to speak of.
const ENDED_AT_ONCE: u32 = 4;
/// What hyper buffers of an answer. With half of it 100 KB answers cost a fifth more.
const BUFFER: usize = 128 * 1024;

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The system said no.
    Refused(io::Error),
    /// Nobody answered in time.
    Timeout(u64),
    /// TLS failed: why, in words.
    Tls(String),
    /// It does not speak what the pool's `protocol` says: why that is known, in words.
    Protocol(String),
    /// The pool has as many connections as its `limit` says, and none of them became free in time.
    Full(Full),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(e) if e.kind() == io::ErrorKind::ConnectionRefused => f.write_str("connection refused"),
            Self::Refused(e) => write!(f, "cannot connect ({e})"),
            Self::Timeout(ms) => write!(f, "no connection within {ms} ms"),
            Self::Tls(reason) => write!(f, "TLS: {reason}"),
            Self::Protocol(reason) => f.write_str(reason),
            Self::Full(full) => full.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(e) => Some(e),
            Self::Timeout(_) | Self::Tls(_) | Self::Protocol(_) | Self::Full(_) => None,
        }
    }
}

/// Connects to an endpoint of a pool for HTTP, on behalf of a client. Where HTTP/2 may be spoken, requests
/// that come at once wait for one connection, which serves them all; `alone` says that this one takes its
/// connection with it, as WebSocket does, which HTTP/1.1 alone can do.
///
/// # Errors
/// Why there is no connection; dialling has the pool's `connect within`, and so has what comes after it
/// until requests can be sent.
pub async fn connect(
    client: &Client,
    pool: &Arc<PoolHandle>,
    endpoint: &Arc<EndpointHandle>,
    alone: bool,
) -> Result<Connection, ConnectError> {
    let worker = &client.worker;
    let transport = pool.transport();
    let speaks = match transport.speaks() {
        Speaks::Agreed if alone => Speaks::Http1,
        speaks => speaks,
    };
    if transport.proxy().is_some() || speaks == Speaks::Http1 || !worker.upstreams.shares(pool, endpoint) {
        return open(worker, Some(client), pool, endpoint, speaks).await;
    }
    let mut ended = 0;
    loop {
        let opening = match worker.upstreams.opening(pool, endpoint) {
            Joined::Other(opening) => opening,
            Joined::New(opening) => {
                let (worker, pool, endpoint) = (Rc::clone(worker), Arc::clone(pool), Arc::clone(endpoint));
                // A task of its own: whoever began it may leave, and the others wait on.
                tokio::task::spawn_local(async move {
                    let opened = open(&worker, None, &pool, &endpoint, speaks).await;
                    worker.upstreams.opened(&pool, &endpoint, opened, worker.ticks.now_ms());
                });
                opening
            }
            // It may end before it comes to this request: a copy is kept.
            Joined::Full(shared) => return Ok(Connection::http2(Slot::new(&shared, true))),
        };
        let opened = match opening.wait().await {
            // Those that there are have to do: streams wait for their turn.
            Err(ConnectError::Full(full)) => match worker.upstreams.least_busy(pool, endpoint) {
                Some(shared) => return Ok(Connection::http2(Slot::new(&shared, true))),
                None => return Err(ConnectError::Full(full)),
            },
            other => other?,
        };
        match opened {
            Opened::Http2(shared) if shared.has_room() && shared.is_open() => {
                return Ok(Connection::http2(Slot::new(&shared, true)));
            }
            // Others were faster.
            Opened::Http2(shared) if shared.is_open() => {}
            Opened::Http2(_) => {
                ended += 1;
                if ended == ENDED_AT_ONCE {
                    return Err(ConnectError::Protocol("it ends each connection at once".to_owned()));
                }
            }
            Opened::Http1 => {
                if let Some(connection) = worker.upstreams.take(pool, endpoint) {
                    return Ok(connection);
                }
                return open(worker, None, pool, endpoint, speaks).await;
            }
        }
    }
}

/// Room for a connection under the pool's `limit`, over all workers. One that is idle makes room; else the
/// queue of the limit is waited in.
async fn room(
    worker: &Worker,
    pool: &PoolHandle,
    endpoint: &EndpointHandle,
) -> Result<Option<Box<ConnectionPermit>>, ConnectError> {
    let shared = pool.shared();
    loop {
        if let Ok(permit) = shared.limit().try_connection() {
            return Ok(permit.map(Box::new));
        }
        if !worker.upstreams.make_room(pool) {
            break;
        }
    }
    let shard = shared.shard(worker.number);
    // Streams of a connection that is there come free sooner than a place for another one.
    if worker.upstreams.least_busy(pool, endpoint).is_some() {
        return Err(ConnectError::Full(Full::Queue));
    }
    shard.queued.add(1);
    // The queue's own patience is the bound.
    shared.limit().connection(u64::MAX).await.map(|permit| permit.map(Box::new)).map_err(|full| {
        shard.limited.add(1);
        ConnectError::Full(full)
    })
}

/// Opens a connection: what precedes TLS, TLS, and as much of HTTP as it takes to send requests.
async fn open(
    worker: &Rc<Worker>,
    client: Option<&Client>,
    pool: &PoolHandle,
    endpoint: &Arc<EndpointHandle>,
    speaks: Speaks,
) -> Result<Connection, ConnectError> {
    let permit =
        if pool.shared().limit().counts_connections() { Box::pin(room(worker, pool, endpoint)).await? } else { None };
    let stream = dial(worker, pool, endpoint).await?;
    // No pool waits for longer than u64 milliseconds.
    let allowed = pool.connect_within().as_millis() as u64;
    // Large, as all of TLS is.
    let prepared = Box::pin(prepare(worker, client, pool.transport(), endpoint, speaks, stream, permit));
    within(&worker.ticks, allowed, prepared).await.ok_or(ConnectError::Timeout(allowed))?
}

async fn prepare(
    worker: &Rc<Worker>,
    client: Option<&Client>,
    transport: &Transport,
    endpoint: &Arc<EndpointHandle>,
    speaks: Speaks,
    mut stream: Reached,
    permit: Option<Box<ConnectionPermit>>,
) -> Result<Connection, ConnectError> {
    if let (Some(version), Some(client)) = (transport.proxy(), client) {
        stream.write_all(&header(client, version)).await.map_err(ConnectError::Refused)?;
    }
    let Some(tls) = transport.tls() else {
        return match speaks {
            Speaks::Http2 => http2(worker, stream, false, 0, permit).await,
            Speaks::Http1 | Speaks::Agreed => http1(stream, 0, permit).await,
        };
    };
    let shaken = tls.handshake_http(speaks, endpoint.host(), stream).await;
    let (stream, generation) = shaken.map_err(ConnectError::Tls)?;
    if is_http2(&stream) {
        http2(worker, stream, true, generation, permit).await
    } else {
        http1(stream, generation, permit).await
    }
}

async fn http1<T>(stream: T, generation: u64, permit: Option<Box<ConnectionPermit>>) -> Result<Connection, ConnectError>
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
    Ok(Connection::http1(Single { sender, generation, permit }))
}

async fn http2<T>(
    worker: &Rc<Worker>,
    stream: T,
    https: bool,
    generation: u64,
    permit: Option<Box<ConnectionPermit>>,
) -> Result<Connection, ConnectError>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let shared =
        http2::start(stream, &worker.ticks, https, generation, permit).await.map_err(ConnectError::Protocol)?;
    Ok(Connection::http2(Slot::new(&shared, true)))
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
