//! What a check tries. Deadlines are the caller's.

mod driven;
mod grpc;
mod http;
mod http2;
mod text;
mod udp;

use crate::http::body::describe;
use crate::upstream::dial::reach;
use crate::upstream::endpoint::name_of;
use crate::upstream::tls::{UpstreamTls, is_http2};
use crate::upstream::{ConnectError, EndpointHandle, PoolHandle, Reached, Speaks};
use ::http::Method;
use dsl::tree::ir::{Check, Probe, ProxyProtocol};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// Where a name has several addresses, none of them gets less time than this.
const LEAST: Duration = Duration::from_millis(250);

/// Who is checked, and how.
pub(super) struct Target {
    endpoint: Arc<EndpointHandle>,
    /// The endpoint's port, or the check's own.
    port: u16,
    /// What HTTP calls it.
    authority: String,
    pub(super) check: Check,
    /// Only where the check goes to the port that connections go to: whoever listens there expects it.
    pub(super) proxy_protocol: Option<ProxyProtocol>,
    /// Likewise.
    pub(super) tls: Option<Arc<UpstreamTls>>,
    /// What is spoken to whoever listens there; HTTP/1.1 on a port of the check's own.
    pub(super) speaks: Speaks,
}

/// A connection, clear or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Target {
    pub(super) fn of(pool: &PoolHandle, endpoint: &Arc<EndpointHandle>, check: &Check) -> Self {
        // A Unix socket has no other port.
        let own = check.port.filter(|_| endpoint.port() != 0);
        let port = own.unwrap_or(endpoint.port());
        let alike = port == endpoint.port() && !matches!(check.probe, Probe::Udp { .. });
        let tls = pool.tls().filter(|_| alike);
        let name = tls.and(pool.pool().tls.as_ref()).and_then(|tls| tls.name.as_ref());
        let host = name.unwrap_or(endpoint.host());
        Self {
            endpoint: Arc::clone(endpoint),
            port,
            authority: if port == 0 { host.to_string() } else { name_of(host, port) },
            check: check.clone(),
            proxy_protocol: pool.pool().proxy_protocol.filter(|_| alike),
            tls: tls.cloned(),
            speaks: match check.probe {
                Probe::Grpc { .. } => Speaks::Http2,
                Probe::Http { .. } if alike => pool.transport().speaks(),
                Probe::Http { .. } | Probe::Tcp | Probe::Udp { .. } => Speaks::Http1,
            },
        }
    }

    /// Its addresses, and the time that each of them gets where they are asked one after the other.
    fn addresses(&self) -> (impl Iterator<Item = SocketAddr>, Duration) {
        let addresses = self.endpoint.addresses();
        let share = Duration::from_millis(self.check.within_ms) / addresses.len().max(1) as u32;
        (addresses.iter().map(|address| SocketAddr::new(address.ip(), self.port)), share.max(LEAST))
    }

    /// Connects as the gateway would for a client, up to the end of the TLS handshake, in which nothing is
    /// said of what is spoken inside.
    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let stream = self.open().await?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => {
                let secured = tls.handshake(self.endpoint.host(), stream).await;
                Ok(Box::new(secured.map_err(|e| format!("TLS: {e}"))?))
            }
        }
    }

    /// Connects for HTTP; whether its second version is spoken.
    async fn connect_http(&self) -> Result<(Box<dyn Stream>, bool), String> {
        let stream = self.open().await?;
        match &self.tls {
            None => Ok((Box::new(stream), self.speaks == Speaks::Http2)),
            Some(tls) => {
                let secured = tls.handshake_http(self.speaks, self.endpoint.host(), stream).await;
                let (secured, _) = secured.map_err(|e| format!("TLS: {e}"))?;
                let http2 = is_http2(&secured);
                Ok((Box::new(secured), http2))
            }
        }
    }

    async fn open(&self) -> Result<Reached, String> {
        let reached = reach(&self.endpoint, self.port).await;
        let mut stream = reached.map_err(|e| ConnectError::Refused(e).to_string())?;
        // A connection of the gateway's own, on behalf of nobody (PROXY protocol 2.1 and 2.2).
        let header: &[u8] = match self.proxy_protocol {
            None => b"",
            Some(ProxyProtocol::V1) => b"PROXY UNKNOWN\r\n",
            Some(ProxyProtocol::V2) => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        };
        stream.write_all(header).await.map_err(|e| broke(&e))?;
        Ok(stream)
    }
}

/// Checks once.
///
/// # Errors
/// What is wrong, in words.
pub(super) async fn probe(target: &Target) -> Result<(), String> {
    let secure = target.tls.is_some();
    match &target.check.probe {
        Probe::Tcp => target.connect().await.map(drop),
        Probe::Http { method, path, expect, body } => {
            let (stream, http2) = target.connect_http().await?;
            match body {
                _ if http2 => {
                    let method = Method::from_bytes(method.as_bytes());
                    let method = method.map_err(|_| "its method cannot be asked for".to_owned())?;
                    let request = http2::request(method, secure, &target.authority, path)?;
                    http2::ask(stream, request, *expect, body.as_deref()).await
                }
                None => http::ask(stream, method, path, &target.authority, *expect).await,
                Some(text) => text::ask(stream, method, path, &target.authority, *expect, text).await,
            }
        }
        Probe::Grpc { service } => {
            let (stream, _) = target.connect_http().await?;
            grpc::ask(stream, secure, &target.authority, service).await
        }
        Probe::Udp { send, expect } => udp::ask(target, send, expect).await,
    }
}

fn broke(e: &io::Error) -> String {
    format!("the connection broke off ({e})")
}
