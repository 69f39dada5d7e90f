//! What a check tries. Deadlines are the caller's.

mod http;
mod udp;

use crate::upstream::endpoint::name_of;
use crate::upstream::tls::UpstreamTls;
use crate::upstream::{ConnectError, EndpointHandle, PoolHandle};
use dsl::tree::ir::{Check, Probe, ProxyProtocol};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

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
        }
    }

    /// Its addresses, never none, and the time that each of them gets.
    async fn addresses(&self) -> Result<(Vec<SocketAddr>, Duration), String> {
        let mut found: Vec<SocketAddr> = self.endpoint.addresses().to_vec();
        found.iter_mut().for_each(|address| address.set_port(self.port));
        if found.is_empty() {
            let asked = tokio::net::lookup_host((&**self.endpoint.host(), self.port)).await;
            found = asked.map_err(|e| ConnectError::Name(e).to_string())?.collect();
        }
        if found.is_empty() {
            return Err("its name has no address".to_owned());
        }
        let within = Duration::from_millis(self.check.within_ms);
        let share = (within / found.len() as u32).max(LEAST);
        Ok((found, share))
    }

    /// Connects as the gateway would for a client, up to the end of the TLS handshake.
    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let (addresses, share) = self.addresses().await?;
        let mut last = String::new();
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return self.open(tcp).await,
                Ok(Err(e)) => last = ConnectError::Refused(e).to_string(),
                Err(_) => last = format!("no connection within {} ms", share.as_millis()),
            }
        }
        Err(last)
    }

    async fn open(&self, mut tcp: TcpStream) -> Result<Box<dyn Stream>, String> {
        let _ = tcp.set_nodelay(true);
        // A connection of the gateway's own, on behalf of nobody (PROXY protocol 2.1 and 2.2).
        let header: &[u8] = match self.proxy_protocol {
            None => b"",
            Some(ProxyProtocol::V1) => b"PROXY UNKNOWN\r\n",
            Some(ProxyProtocol::V2) => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        };
        tcp.write_all(header).await.map_err(|e| broke(&e))?;
        match &self.tls {
            None => Ok(Box::new(tcp)),
            Some(tls) => Ok(Box::new(tls.handshake(self.endpoint.host(), tcp).await.map_err(|e| format!("TLS: {e}"))?)),
        }
    }
}

/// Checks once.
///
/// # Errors
/// What is wrong, in words.
pub(super) async fn probe(target: &Target) -> Result<(), String> {
    match &target.check.probe {
        Probe::Tcp => target.connect().await.map(drop),
        Probe::Http { method, path, expect, body: _ } => {
            let stream = target.connect().await?;
            http::ask(stream, method, path, &target.authority, *expect).await
        }
        // The checker refuses it as yet.
        Probe::Grpc { .. } => Err("gRPC is not spoken".to_owned()),
        Probe::Udp { send, expect } => udp::ask(target, send, expect).await,
    }
}

fn broke(e: &io::Error) -> String {
    format!("the connection broke off ({e})")
}
