//! From a connection's first bytes to one whose both ends are there: rules, TLS, endpoint, and what
//! the endpoint is told before the client's bytes.

use super::carried::Carried;
use super::proxy_header::{self, Secured, Told};
use super::side::Side;
use super::standing::Registered;
use super::tally::Tally;
use super::tcp::Opening;
use super::{End, Route};
use crate::http::judge::{share, sticky};
use crate::listen::hello::SSL_REQUEST;
use crate::runtime::ticks::within;
use crate::upstream::{ConnectError, EndpointHandle, InUse, PoolHandle, Reached, Tried, connect_tls, dial, hash_of};
use bytes::BytesMut;
use dsl::tree::ir::ProxyProtocol;
use dsl::tree::l4::Target;
use socket2::SockRef;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client's TLS handshake takes no longer.
const HANDSHAKE_MS: u64 = 10_000;
/// Endpoints that one connection tries.
const TRIES: usize = 8;
/// No connection waits longer for an endpoint, however many it tries: so many times the pool's
/// `connect within`.
const PATIENCE: u64 = 3;

/// Why a connection does not come about.
type Refusal = (End, Option<String>);

/// Opens a connection. `None` when it does not come about: the client's end is reset then.
pub(super) async fn open(mut tally: Tally, tcp: TcpStream, first: BytesMut, opening: Opening) -> Option<Carried> {
    let socket = Reached::Tcp(tcp);
    let route = tally.route();
    // Where the name decides it is heard first; else nobody's handshake is paid for before the limits.
    let mut decided = None;
    if !(route.rules.settings.tls && route.rules.reads_name()) {
        match decide(&mut tally, &route) {
            Ok(pool) => decided = Some(pool),
            Err(refusal) => return refuse(&tally, &socket, refusal),
        }
    }
    let client = if route.rules.settings.tls {
        // Large, as all of TLS is, and most connections have none: they need not be moved about with room for it.
        match Box::pin(handshake(&mut tally, socket)).await {
            Ok(client) => client,
            Err(refusal) => {
                // The handshake has told the client why, and its socket is closed.
                tally.ends(refusal.0, refusal.1);
                return None;
            }
        }
    } else {
        Side::Plain(socket)
    };
    let pool = match decided.map_or_else(|| decide(&mut tally, &route), Ok) {
        Ok(pool) => pool,
        Err(refusal) => return refuse_side(&tally, &client, refusal),
    };
    let reached = reach(&tally, &pool, &client, opening).await;
    let Opened { upstream, mut before, endpoint } = match reached {
        Ok(reached) => reached,
        Err(refusal) => return refuse_side(&tally, &client, refusal),
    };
    before.extend_from_slice(&first);
    tally.reached(endpoint);
    tally.add_in(first.len());
    Some(Carried::new(Registered::new(Rc::new(tally)), client, upstream, before))
}

fn refuse(tally: &Tally, socket: &Reached, (end, detail): Refusal) -> Option<Carried> {
    tally.ends(end, detail);
    super::reset(socket);
    None
}

fn refuse_side(tally: &Tally, client: &Side, (end, detail): Refusal) -> Option<Carried> {
    tally.ends(end, detail);
    client.reset();
    None
}

/// Where the rules lead it. From there on the log says so, whatever comes of it.
fn decide(tally: &mut Tally, route: &Arc<Route>) -> Result<Arc<PoolHandle>, Refusal> {
    let facts = tally.known.facts();
    let entry = route.rules.decide(&facts).ok_or((End::NoRoute, None))?;
    tally.admitted = route.limits.admit(entry, &facts).map_err(|end| (end, None))?;
    let index = match &entry.target {
        Target::Pool(index) => *index,
        Target::Split { shares, by, salt } => {
            let drawn = match by {
                Some(key) => sticky(*salt, &hash_of(key, &facts).to_be_bytes()),
                None => tally.worker.draw(),
            };
            share(shares, drawn)
        }
        Target::Deny => return Err((End::Denied, None)),
    };
    let pool = route.pools.get(index.0 as usize).map(Arc::clone).ok_or((End::NoRoute, None))?;
    tally.goes_by(Arc::clone(route), Arc::clone(&pool));
    Ok(pool)
}

/// Ends the client's TLS.
async fn handshake(tally: &mut Tally, socket: Reached) -> Result<Side, Refusal> {
    let worker = Rc::clone(&tally.worker);
    let mut said = None;
    let accept = worker.carrying.any_name.accept(socket, tally.known.local.ip(), &mut said);
    let done = within(&worker.ticks, HANDSHAKE_MS, accept).await;
    if let Some(said) = said {
        tally.known.sni = said.sni;
        tally.known.alpn = said.alpn;
    }
    match done {
        Some(Ok(tls)) => Ok(Side::Tls(Box::new(tls.into()))),
        Some(Err(e)) => Err((End::ClientTls, Some(e.to_string()))),
        None => Err((End::ClientTls, Some(format!("no handshake within {HANDSHAKE_MS} ms")))),
    }
}

/// An endpoint, reached and told what it must know.
struct Opened {
    upstream: Side,
    /// What it is to be sent before the client's bytes.
    before: Vec<u8>,
    endpoint: InUse,
}

/// Connects to an endpoint; to another one when that fails, for the client's bytes are still here.
async fn reach(tally: &Tally, pool: &Arc<PoolHandle>, client: &Side, opening: Opening) -> Result<Opened, Refusal> {
    let worker = &tally.worker;
    // No pool waits for longer than u64 milliseconds.
    let allowed = pool.connect_within().as_millis() as u64;
    let until = worker.ticks.now_ms().saturating_add(allowed.saturating_mul(PATIENCE));
    let mut tried = Tried::default();
    let mut last = (End::NoEndpoint, None);
    if pool.is_open() {
        let _ = within(&worker.ticks, allowed, pool.heard()).await;
    }
    let members = pool.members();
    let spot = members.spot(&tally.known.facts());
    for _ in 0..TRIES {
        let now = worker.ticks.now_ms();
        let Some(index) = worker.upstreams.choose(&members, spot, tried, now) else { break };
        let left = until.saturating_sub(now);
        if left == 0 {
            break;
        }
        let endpoint = EndpointHandle::begin(members.endpoint(index));
        tally.tries(&endpoint);
        let failed = match within(&worker.ticks, left, one(tally, pool, members.endpoint(index), client, opening)).await
        {
            Some(Ok((upstream, before))) => {
                let now = worker.ticks.now_ms();
                endpoint.endpoint().answered(pool, now, &worker.notices);
                return Ok(Opened { upstream, before, endpoint });
            }
            Some(Err(failed)) => failed,
            None => (End::ConnectTimeout, Some(format!("no connection within {left} ms"))),
        };
        tally.failed(&endpoint, failed.0);
        tried.add(index);
        // Where the gateway is out of something, the endpoint is not to blame.
        if failed.0 != End::System {
            let now = worker.ticks.now_ms();
            worker.upstreams.failed(&members, index, now);
            let words = failed.1.as_deref().unwrap_or_else(|| failed.0.label());
            endpoint.endpoint().failed(pool, now, &worker.notices, words);
        }
        last = failed;
    }
    Err(last)
}

/// Connects to one endpoint, and tells it what it must know before anything else.
async fn one(
    tally: &Tally,
    pool: &Arc<PoolHandle>,
    endpoint: &EndpointHandle,
    client: &Side,
    opening: Opening,
) -> Result<(Side, Vec<u8>), Refusal> {
    let mut socket = dial(&tally.worker, pool, endpoint).await.map_err(|e| not_connected(&e))?;
    if let Some(tcp) = socket.tcp() {
        // Without it a connection to nowhere lasts until it is idle for too long.
        let _ = SockRef::from(tcp).set_tcp_keepalive(&super::KEEPALIVE);
    }
    let mut before = match pool.pool().proxy_protocol {
        None => Vec::new(),
        Some(version) => header(tally, version, client),
    };
    if opening == Opening::Postgres {
        before.extend_from_slice(&SSL_REQUEST);
        // No pool waits for longer than u64 milliseconds.
        let allowed = pool.connect_within().as_millis() as u64;
        let answered = Box::pin(within(&tally.worker.ticks, allowed, postgres(&mut socket, &before))).await;
        answered
            .unwrap_or_else(|| Err((End::UpstreamTls, Some(format!("no answer to SSLRequest within {allowed} ms")))))?;
        before.clear();
    }
    if pool.tls().is_none() {
        return Ok((Side::Plain(socket), before));
    }
    if !before.is_empty() {
        let broken = |e: io::Error| (End::ConnectFailed, Some(e.to_string()));
        socket.write_all(&before).await.map_err(broken)?;
    }
    let tls = Box::pin(connect_tls(&tally.worker, pool, endpoint, socket)).await.map_err(|e| not_connected(&e))?;
    Ok((Side::Tls(Box::new(tls.into())), Vec::new()))
}

/// Asks a PostgreSQL server for TLS, as the client has asked here.
async fn postgres(socket: &mut Reached, before: &[u8]) -> Result<(), Refusal> {
    let broken = |e: io::Error| (End::UpstreamTls, Some(format!("broken before it answered to SSLRequest ({e})")));
    socket.write_all(before).await.map_err(broken)?;
    match socket.read_u8().await.map_err(broken)? {
        b'S' => Ok(()),
        b'N' => Err((End::UpstreamTls, Some("it answered to SSLRequest that it has no TLS".to_owned()))),
        other => {
            let words = format!("it answered to SSLRequest with the byte {other:#04x}: no PostgreSQL server?");
            Err((End::UpstreamTls, Some(words)))
        }
    }
}

/// The PROXY header for an upstream.
fn header(tally: &Tally, version: ProxyProtocol, client: &Side) -> Vec<u8> {
    let id = tally.worker.carrying.unique_id();
    let told = Told {
        client: tally.known.client,
        local: tally.known.local,
        alpn: tally.known.alpn.first().map(|alpn| &**alpn),
        sni: tally.known.sni.as_deref(),
        id: &id,
        secured: secured(client),
    };
    match version {
        ProxyProtocol::V1 => proxy_header::v1(&told),
        ProxyProtocol::V2 => proxy_header::v2(&told),
    }
}

/// What was agreed on with the client, where its TLS ends here.
fn secured(client: &Side) -> Option<Secured> {
    let Side::Tls(tls) = client else { return None };
    Secured::of(tls.get_ref().1)
}

fn not_connected(e: &ConnectError) -> Refusal {
    let end = match e {
        ConnectError::Timeout(_) => End::ConnectTimeout,
        ConnectError::Refused(e) if is_ours(e) => End::System,
        ConnectError::Refused(_) => End::ConnectFailed,
        ConnectError::Tls(_) | ConnectError::Protocol(_) => End::UpstreamTls,
        // A pool of `tcp` counts its connections itself.
        ConnectError::Full(_) => End::ConnectFailed,
    };
    (end, Some(e.to_string()))
}

/// Whether the system is out of something: ENOMEM, ENFILE, EMFILE, EADDRNOTAVAIL, ENOBUFS.
fn is_ours(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(12 | 23 | 24 | 99 | 105))
}
