//! Certificates for `tcp` items that end TLS: whichever name is asked for.
//!
//! A `tcp` item names a port and no hosts, so it cannot be said which names are its own. A client gets
//! a certificate of the internal CA for the name in its hello, and without one (it connected to an
//! address, or its program sends none) for the address that it reached, and `localhost` on a loopback
//! address. The key never leaves this process, so that such a certificate is worth nothing to anybody
//! but the client that asked for it.

use super::InternalCa;
use super::leaves::Leaves;
use super::resolver::LocalAddress;
use super::tickets::{self, Tickets};
use dsl::tree::canonical;
use dsl::tree::ir::TlsVersions;
use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// Leaf certificates that are kept; whoever asks for more names has them made anew.
const LEAVES: u64 = 1024;

/// Ends TLS for `tcp` items.
#[derive(Clone, Debug)]
pub struct AnyName(Arc<ServerConfig>);

/// What a hello said.
#[derive(Debug)]
pub struct Said {
    /// The name, lower case, without trailing dot.
    pub sni: Option<Box<str>>,
    /// The protocols that it offers; those that are not text are left out.
    pub alpn: Vec<Box<str>>,
}

struct Resolver {
    leaves: Leaves,
}

impl AnyName {
    /// With certificates of this CA.
    ///
    /// # Errors
    /// When the crypto provider does not do what is asked of it.
    pub fn new(ca: Arc<InternalCa>, tickets: &Tickets) -> Result<Self, rustls::Error> {
        let leaves = Leaves::new(ca, LEAVES);
        let tickets = tickets.of(tickets::boundary(&[b"tcp"]));
        super::resolver::config_of(Arc::new(Resolver { leaves }), TlsVersions::Both, None, tickets)
            .map(|config| Self(Arc::new(config)))
    }

    /// Takes a handshake; what the hello said is told before it goes on, for it may fail.
    ///
    /// Which protocol the pool speaks is not known here. A client that offers a single one (ALPN)
    /// speaks that one and is told so; from among several none is chosen, and both sides go by what
    /// the port is for.
    ///
    /// # Errors
    /// The handshake's.
    pub async fn accept<T>(&self, stream: T, local: IpAddr, said: &mut Option<Said>) -> io::Result<TlsStream<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        let config = match hello.alpn().into_iter().flatten().collect::<Vec<_>>()[..] {
            [only] => {
                let mut config = ServerConfig::clone(&self.0);
                config.alpn_protocols = vec![only.to_vec()];
                Arc::new(config)
            }
            _ => Arc::clone(&self.0),
        };
        *said = Some(Said::of(&hello));
        // The certificate is asked for as soon as the stream is made.
        LocalAddress::scope(local, async { start.into_stream(config).await }).await
    }
}

impl Said {
    fn of(hello: &ClientHello<'_>) -> Self {
        let sni = hello.server_name().map(super::server_name);
        let offered = hello.alpn().into_iter().flatten();
        let alpn = offered.filter_map(|alpn| std::str::from_utf8(alpn).ok()).map(Into::into).collect();
        Self { sni, alpn }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| canonical::host(name.as_bytes()).ok());
        if let Some(leaf) = named.and_then(|name| self.leaves.of(&[&name])) {
            return Some(leaf);
        }
        let ip = LocalAddress::now()?.to_canonical();
        let address = ip.to_string();
        if ip.is_loopback() { self.leaves.of(&[&address, "localhost"]) } else { self.leaves.of(&[&address]) }
    }
}
