//! Whoever is at the other end of a connection, and what was agreed with it.

use crate::l4::proxy_header;
use crate::runtime::worker::Worker;
use crate::tls::Shown;
use http::HeaderValue;
use rustls::ServerConnection;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// A client connection.
pub struct Client {
    /// The worker that serves it.
    pub worker: Rc<Worker>,
    /// Its address, IPv4-mapped ones as IPv4.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// What it connected to.
    pub local: SocketAddr,
    /// What the handshake said; `None` on clear ports.
    pub tls: Option<Secured>,
    /// The address, as a header value.
    written_ip: HeaderValue,
    /// `Forwarded` for the host it was last written for: a connection rarely speaks of two.
    forwarded: RefCell<Option<(HeaderValue, HeaderValue)>>,
}

/// What a handshake said.
#[derive(Clone, Debug)]
pub struct Secured {
    /// The server name, in lower case.
    pub sni: Option<Box<str>>,
    /// `1.2`, `1.3`
    pub version: &'static str,
    /// The protocol agreed on.
    pub alpn: Option<&'static str>,
    /// What PROXY headers say of it.
    pub told: Option<proxy_header::Secured>,
    /// Whom it may speak to, and what the client proved.
    pub shown: Shown,
}

impl Secured {
    /// Of a finished handshake, and what it has shown.
    #[must_use]
    pub fn of(session: &ServerConnection, shown: Shown) -> Self {
        let sni = session.server_name().map(crate::tls::server_name);
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
            // The server offers these two only.
            Some(_) | None => "1.3",
        };
        let alpn = match session.alpn_protocol() {
            Some(b"h2") => Some("h2"),
            Some(_) => Some("http/1.1"),
            None => None,
        };
        Self { sni, version, alpn, told: proxy_header::Secured::of(session), shown }
    }

    /// Whether HTTP/2 was agreed on.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.alpn == Some("h2")
    }
}

impl Client {
    /// Of a new connection.
    #[must_use]
    pub fn new(worker: Rc<Worker>, peer: SocketAddr, local: SocketAddr, tls: Option<Secured>) -> Rc<Self> {
        let ip = peer.ip().to_canonical();
        Rc::new(Self {
            worker,
            ip,
            port: peer.port(),
            local,
            tls,
            written_ip: written(ip),
            forwarded: RefCell::new(None),
        })
    }

    /// `https` or `http`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The connection's address for `X-Forwarded-For`.
    #[must_use]
    pub fn written_ip(&self) -> &HeaderValue {
        &self.written_ip
    }

    /// `Forwarded` (RFC 7239) for a request to this host.
    #[must_use]
    pub fn forwarded(&self, host: &HeaderValue) -> HeaderValue {
        if let Some((for_host, value)) = &*self.forwarded.borrow()
            && for_host == host
        {
            return value.clone();
        }
        let mut text = Vec::with_capacity(64);
        match self.ip {
            IpAddr::V4(ip) => text.extend_from_slice(format!("for={ip}").as_bytes()),
            IpAddr::V6(ip) => text.extend_from_slice(format!("for=\"[{ip}]\"").as_bytes()),
        }
        // A port makes the host something else than a token.
        let quoted = !host.as_bytes().iter().all(|b| super::gate::is_token(*b));
        text.extend_from_slice(if quoted { b";host=\"" } else { b";host=" });
        text.extend_from_slice(host.as_bytes());
        text.extend_from_slice(if quoted { b"\";proto=" } else { b";proto=" });
        text.extend_from_slice(self.scheme().as_bytes());
        // Hosts hold neither quotes nor control bytes, so this is a header value.
        let value = HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("for=unknown"));
        *self.forwarded.borrow_mut() = Some((host.clone(), value.clone()));
        value
    }
}

fn written(ip: IpAddr) -> HeaderValue {
    // Addresses are visible ASCII.
    HeaderValue::from_str(&ip.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}
