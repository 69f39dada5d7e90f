//! HTTP to authorities and providers of DNS: [`crate::edge::fetch`] with their bounds, and when a server wants to be
//! left alone.

use super::problem;
use crate::edge::fetch::{Bounds, Client, Unanswered};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::ClientConfig;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Chains and directories are a few kilobytes.
const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(10),
    within: Duration::from_secs(30),
    longest: 1 << 20,
    dials: None,
    names: None,
};

/// A client for one order, or for one provider.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    /// What the last answer that was 429 or 503 asked for.
    retry_after: Arc<Mutex<Option<Duration>>>,
}

impl Http {
    /// Whoever is spoken to is verified as this configuration says.
    pub(super) fn new(tls: Arc<ClientConfig>) -> Self {
        Self { client: Client::new(tls, BOUNDS), retry_after: Arc::default() }
    }

    /// How long the server wants to be left alone, where its last refusal said so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request to an absolute URL; the whole answer.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Unanswered> {
        let answer = self.client.send(request).await?;
        if matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let asked = asked.and_then(|value| problem::retry_after(value, SystemTime::now()));
            *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        }
        Ok(answer)
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
    crate::edge::fetch::trusting(root).map_err(|why| if root.is_some() { format!("root {why}") } else { why })
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
        tokio::time::advance(BOUNDS.within + Duration::from_secs(1)).await;
        let why = asked.await.expect("it ends").expect_err("no answer").to_string();
        assert!(why.contains("no answer within 30 s"), "{why}");
    }

    #[tokio::test]
    async fn nothing_is_asked_in_clear_of_others() {
        let why = http().send(get("http://acme.sluice-tests.net/dir")).await.expect_err("in clear").to_string();
        assert!(why.contains("in clear"), "{why}");
    }
}
