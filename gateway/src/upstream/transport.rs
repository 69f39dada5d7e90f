//! How an endpoint is spoken to. Connections stand for each other only where this is the same: a pool
//! with `tls` gets none that is clear, and none that was verified otherwise.

use super::tls::UpstreamTls;
use dsl::tree::ir::{Pool, PoolTls, Protocol, ProxyProtocol};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a pool's endpoints are spoken to, shared by the pools that say the same.
pub struct Transport {
    /// Differs between any two of a process.
    id: u64,
    speaks: Speaks,
    proxy: Option<ProxyProtocol>,
    tls: Option<Arc<UpstreamTls>>,
}

/// What is spoken on a connection for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// What the endpoint chooses in the TLS handshake (ALPN).
    Agreed,
}

/// What tells two transports apart.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    speaks: Speaks,
    proxy: Option<ProxyProtocol>,
    tls: Option<(PoolTls, Arc<Path>)>,
    /// A pool that counts its connections shares them with no other.
    counted: Option<(Arc<str>, Arc<Path>)>,
}

impl Speaks {
    fn of(protocol: Protocol, tls: bool) -> Self {
        match protocol {
            Protocol::Auto if tls => Self::Agreed,
            Protocol::Auto | Protocol::H1 => Self::Http1,
            Protocol::H2 | Protocol::H2c | Protocol::Grpc => Self::Http2,
        }
    }

    /// What is offered in TLS handshakes, the best first.
    pub(super) fn offers(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
            Self::Agreed => &[b"h2", b"http/1.1"],
        }
    }
}

impl Key {
    /// Of a pool of a route file in `dir`.
    pub(super) fn of(pool: &Pool, dir: &Path) -> Self {
        Self {
            speaks: Speaks::of(pool.protocol, pool.tls.is_some()),
            proxy: pool.proxy_protocol,
            tls: pool.tls.clone().map(|tls| (tls, dir.into())),
            counted: pool.limit.connections.map(|_| (Arc::clone(&pool.name), dir.into())),
        }
    }
}

impl Transport {
    pub(super) fn new(key: &Key, tls: Option<Arc<UpstreamTls>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), speaks: key.speaks, proxy: key.proxy, tls }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// What is spoken.
    #[must_use]
    pub fn speaks(&self) -> Speaks {
        self.speaks
    }

    /// Which PROXY header begins each connection. One that tells of a client serves no other: such
    /// connections are for a single request.
    #[must_use]
    pub fn proxy(&self) -> Option<ProxyProtocol> {
        self.proxy
    }

    /// Its TLS; `None` where connections are clear.
    #[must_use]
    pub fn tls(&self) -> Option<&Arc<UpstreamTls>> {
        self.tls.as_ref()
    }

    /// By which files connections are verified now: those of another number are of the past.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.tls.as_ref().map_or(0, |tls| tls.generation())
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("id", &self.id)
            .field("speaks", &self.speaks)
            .field("proxy", &self.proxy)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsl::syntax::span::Loc;

    fn key(change: impl FnOnce(&mut Pool), dir: &str) -> Key {
        let mut pool = Pool::new("p".into(), Vec::new(), Loc::default());
        change(&mut pool);
        Key::of(&pool, Path::new(dir))
    }

    #[test]
    fn what_is_spoken_alike_is_the_same() {
        let clear = key(|_| {}, "/a");
        assert!(clear == key(|p| p.protocol = Protocol::H1, "/b"), "no file is named: the directory does not count");
        assert!(clear != key(|p| p.protocol = Protocol::H2c, "/a"));
        assert!(clear != key(|p| p.proxy_protocol = Some(ProxyProtocol::V1), "/a"));
        let tls = || Some(PoolTls { trust: Some("ca.pem".into()), ..PoolTls::default() });
        let secured = key(|p| p.tls = tls(), "/a");
        assert!(secured != clear);
        assert!(secured == key(|p| p.tls = tls(), "/a"));
        assert!(secured != key(|p| p.tls = tls(), "/b"), "another file");
        assert!(secured != key(|p| p.tls = Some(PoolTls::default()), "/a"));
        let grpc = key(|p| (p.protocol, p.tls) = (Protocol::Grpc, tls()), "/a");
        assert!(grpc == key(|p| (p.protocol, p.tls) = (Protocol::H2, tls()), "/a"));
    }
}
