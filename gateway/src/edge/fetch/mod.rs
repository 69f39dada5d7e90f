//! HTTP to servers that the gateway itself asks: authorities, providers. HTTP/1.1, verified, bounded in time and
//! size; a redirect is an answer like any other and is not followed.
//!
//! Whoever asks runs on a runtime of the control plane: the resolver of the system may block, and no worker waits.
//! Names are looked up once more for each connection, and every address is held against what may be dialled.

mod desk;

pub use desk::Desk;

use crate::tls::pem;
use crate::upstream::{Lookup, is_own};
use bytes::Bytes;
use dsl::tree::ir::Dials;
use http::header::HOST;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Connections that are kept.
const KEPT: usize = 4;
/// Addresses of a name that are tried.
const ADDRESSES: usize = 8;

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered(pub String);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unanswered {}

/// Within which bounds is asked.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// From the name to a connection that can be used.
    pub connect: Duration,
    /// One request and its whole answer, the connection included.
    pub within: Duration,
    /// Bytes of an answer's body.
    pub longest: usize,
    /// What may be dialled; anything without.
    pub dials: Option<Arc<Dials>>,
    /// What looks names up; the system's resolver without.
    pub names: Option<Lookup>,
}

/// Asks servers. Connections are kept and used again; copies share them.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    tls: Arc<ClientConfig>,
    bounds: Bounds,
    kept: Mutex<Vec<(String, SendRequest<Full<Bytes>>)>>,
}

impl Client {
    /// Whoever is spoken to is verified as this configuration says.
    #[must_use]
    pub fn new(tls: Arc<ClientConfig>, bounds: Bounds) -> Self {
        Self { inner: Arc::new(Inner { tls, bounds, kept: Mutex::default() }) }
    }

    /// Sends a request to an absolute URL; the whole answer. Credentials go into headers or the body: a URL may stand
    /// in a message.
    ///
    /// # Errors
    /// When there is none within the bounds, in words that begin with whom was asked.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Unanswered> {
        let to = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let within = self.inner.bounds.within;
        match timeout(within, self.exchange(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => Err(Unanswered(format!("{to}: {why}"))),
            Err(_) => Err(Unanswered(format!("{to}: no answer within {} s", within.as_secs()))),
        }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let target = Target::of(request.uri())?;
        let (mut parts, body) = request.into_parts();
        parts.uri = parts.uri.path_and_query().map_or("/", |path| path.as_str()).parse().map_err(|e| format!("{e}"))?;
        parts.headers.insert(HOST, target.authority.parse().map_err(|_| "no host to send".to_owned())?);
        let request = Request::from_parts(parts, Full::new(body));
        let (mut sender, fresh) = match self.kept(&target.key) {
            Some(sender) => (sender, false),
            None => (self.connect(&target).await?, true),
        };
        let answer = match sender.try_send_request(request).await {
            Ok(answer) => answer,
            // The server closed a connection that was kept; nothing of the request was sent.
            Err(mut failed) => match failed.take_message().filter(|_| !fresh) {
                Some(request) => {
                    sender = self.connect(&target).await?;
                    sender.send_request(request).await.map_err(|e| words(&e))?
                }
                None => return Err(words(failed.error())),
            },
        };
        let (parts, body) = answer.into_parts();
        let body =
            Limited::new(body, self.inner.bounds.longest).collect().await.map_err(|e| self.unread(&*e))?.to_bytes();
        if !sender.is_closed() {
            let mut kept = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT {
                kept.push((target.key, sender));
            }
        }
        Ok(Response::from_parts(parts, body))
    }

    fn kept(&self, key: &str) -> Option<SendRequest<Full<Bytes>>> {
        let mut kept = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, sender)| !sender.is_closed());
        let at = kept.iter().position(|(known, sender)| known == key && sender.is_ready())?;
        Some(kept.swap_remove(at).1)
    }

    /// Why a body could not be read.
    fn unread(&self, e: &(dyn std::error::Error + 'static)) -> String {
        if e.is::<http_body_util::LengthLimitError>() {
            return format!("its answer has more than {} bytes", self.inner.bounds.longest);
        }
        words(e)
    }

    async fn connect(&self, target: &Target) -> Result<SendRequest<Full<Bytes>>, String> {
        let within = async {
            let stream = self.dial(target).await?;
            let _ = stream.set_nodelay(true);
            if !target.secure {
                return begin(stream).await;
            }
            let name = ServerName::try_from(target.host.clone()).map_err(|e| e.to_string())?;
            let stream = TlsConnector::from(Arc::clone(&self.inner.tls)).connect(name, stream).await;
            begin(stream.map_err(|e| format!("TLS: {e}"))?).await
        };
        let allowed = self.inner.bounds.connect;
        match timeout(allowed, within).await {
            Ok(made) => made,
            Err(_) => Err(format!("no connection within {} s", allowed.as_secs())),
        }
    }

    /// Dials the addresses of a name, one after the other: those that may be dialled, whatever the name says.
    async fn dial(&self, target: &Target) -> Result<TcpStream, String> {
        let found: Vec<SocketAddr> = match &self.inner.bounds.names {
            Some(names) => {
                let ips = names.addresses(&target.host).await?;
                ips.into_iter().map(|ip| SocketAddr::new(ip, target.port)).collect()
            }
            None => lookup_host((target.host.as_str(), target.port)).await.map_err(|e| e.to_string())?.collect(),
        };
        let (allowed, refused): (Vec<SocketAddr>, Vec<SocketAddr>) =
            found.into_iter().partition(|to| self.may_dial(target, to.ip()));
        let mut why = match refused.first() {
            Some(to) => format!("{} may not be dialled", to.ip()),
            None => "its name has no addresses".to_owned(),
        };
        for to in allowed.into_iter().take(ADDRESSES) {
            match TcpStream::connect(to).await {
                Ok(stream) => return Ok(stream),
                Err(e) => why = e.to_string(),
            }
        }
        Err(why)
    }

    fn may_dial(&self, target: &Target, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let bounded = self.inner.bounds.dials.as_ref().is_none_or(|dials| {
            // An address of the gateway's own has to be named by itself.
            dials.allows(ip) && (ip.is_loopback() || !is_own(ip) || dials.names(ip))
        });
        bounded && (target.secure || ip.is_loopback())
    }
}

async fn begin<T>(stream: T) -> Result<SendRequest<Full<Bytes>>, String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| words(&e))?;
    // Its errors come out of the request that is under way.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// An error with what it comes from.
fn words(e: &(dyn std::error::Error + 'static)) -> String {
    let mut out = e.to_string();
    let mut from = e.source();
    while let Some(e) = from {
        out.push_str(&format!(": {e}"));
        from = e.source();
    }
    out
}

/// Where a URL leads.
struct Target {
    secure: bool,
    host: String,
    port: u16,
    /// For the `Host` header.
    authority: String,
    /// What connections are kept by.
    key: String,
}

impl Target {
    fn of(uri: &Uri) -> Result<Self, String> {
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(format!("{uri} is no URL of a server")),
        };
        let host = uri.host().ok_or_else(|| format!("{uri} has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        // A server may name others of its own, but never one in clear, save on this machine.
        let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !secure && !loopback {
            return Err(format!("{uri} is asked for in clear, which is for this machine only"));
        }
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority.clone(), |(_, host)| host.to_owned());
        Ok(Self { secure, key: format!("{secure} {authority}"), host, port, authority })
    }
}

/// Whom to trust: the certificates of a file, or the system's.
///
/// # Errors
/// When there are none, in words for the operator.
pub fn trusting(root: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let roots = match root {
        Some(file) => Arc::new(pem::roots(file).map_err(|trouble| trouble.to_string())?),
        None => pem::roots_of_system().map_err(|why| format!("the system's certificate authorities: {why}"))?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
