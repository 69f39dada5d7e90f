//! HTTP to authorities and providers: HTTP/1.1, verified, bounded in time and size, connections kept.

use super::problem;
use crate::tls::pem;
use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// From the name to a connection that can be used.
const CONNECT: Duration = Duration::from_secs(10);
/// One request and its answer.
const REQUEST: Duration = Duration::from_secs(30);
/// Bytes of an answer: chains and directories are a few kilobytes.
const LONGEST: usize = 1 << 20;
/// Connections that are kept.
const KEPT: usize = 4;

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unanswered(pub(super) String);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unanswered {}

/// A client for one order, or for one provider.
#[derive(Clone)]
pub(super) struct Http {
    inner: Arc<Inner>,
}

struct Inner {
    tls: Arc<ClientConfig>,
    kept: Mutex<Vec<(String, SendRequest<Full<Bytes>>)>>,
    /// What the last answer that was 429 or 503 asked for.
    retry_after: Mutex<Option<Duration>>,
}

impl Http {
    /// Whoever is spoken to is verified as this configuration says.
    pub(super) fn new(tls: Arc<ClientConfig>) -> Self {
        Self { inner: Arc::new(Inner { tls, kept: Mutex::default(), retry_after: Mutex::default() }) }
    }

    /// How long the server wants to be left alone, where its last refusal said so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        *self.inner.retry_after.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request to an absolute URL; the whole answer.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Unanswered> {
        let to = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        match timeout(REQUEST, self.exchange(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => Err(Unanswered(format!("{to}: {why}"))),
            Err(_) => Err(Unanswered(format!("{to}: no answer within {} s", REQUEST.as_secs()))),
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
        let body = Limited::new(body, LONGEST).collect().await.map_err(|e| words(&*e))?.to_bytes();
        if matches!(parts.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let asked = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let asked = asked.and_then(|value| problem::retry_after(value, SystemTime::now()));
            *self.inner.retry_after.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        }
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

    async fn connect(&self, target: &Target) -> Result<SendRequest<Full<Bytes>>, String> {
        let within = async {
            let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(|e| e.to_string())?;
            let _ = stream.set_nodelay(true);
            if !target.secure {
                return begin(stream).await;
            }
            let name = ServerName::try_from(target.host.clone()).map_err(|e| e.to_string())?;
            let stream = TlsConnector::from(Arc::clone(&self.inner.tls)).connect(name, stream).await;
            begin(stream.map_err(|e| format!("TLS: {e}"))?).await
        };
        match timeout(CONNECT, within).await {
            Ok(made) => made,
            Err(_) => Err(format!("no connection within {} s", CONNECT.as_secs())),
        }
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
        // An authority may name other servers of its own, but never one in clear, save on this machine.
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

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let http = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let answer = http.send(Request::from_parts(parts, body)).await;
            let (parts, body) = answer.map_err(|why| instant_acme::Error::Other(Box::new(why)))?.into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

/// Whom to trust: the certificates of a file, or the system's.
///
/// # Errors
/// When there are none, in words for the operator.
pub(super) fn trusting(root: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let roots = match root {
        Some(file) => Arc::new(pem::roots(file).map_err(|trouble| format!("root {trouble}"))?),
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    fn http() -> Http {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = builder.expect("a client").with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Http::new(Arc::new(config))
    }

    fn get(url: &str) -> Request<Bytes> {
        Request::get(url).body(Bytes::new()).expect("a request")
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/dir", listener.local_addr().expect("an address"));
        let asked = tokio::spawn(async move { http().send(get(&url)).await });
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.read_u8().await.expect("a request");
        tokio::time::pause();
        tokio::time::advance(REQUEST + Duration::from_secs(1)).await;
        let why = asked.await.expect("it ends").expect_err("no answer").to_string();
        assert!(why.contains("no answer within 30 s"), "{why}");
    }

    #[tokio::test]
    async fn nothing_is_asked_in_clear_of_others() {
        let why = http().send(get("http://acme.sluice-tests.net/dir")).await.expect_err("in clear").to_string();
        assert!(why.contains("in clear"), "{why}");
    }
}
