//! HTTP/2 and TLS, with hyper and rustls as the client.

use super::support::{Origin, Rig, hello, host, proxied};
use bytes::Bytes;
use dsl::syntax::span::Loc;
use dsl::tree::ir::Tls;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(super::support::PATIENCE, future).await.unwrap() })
}

fn full(text: &'static str) -> Body {
    Full::new(Bytes::from_static(text.as_bytes())).boxed()
}

async fn clear(rig: &Rig) -> http2::SendRequest<Body> {
    let tcp = TcpStream::connect(rig.http).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn config(rig: &Rig, alpn: &[&[u8]]) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rig.ca.root().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    Arc::new(config)
}

async fn handshake(
    config: Arc<rustls::ClientConfig>,
    address: SocketAddr,
    name: &str,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(config).connect(name, tcp).await
}

async fn secure(rig: &Rig) -> http2::SendRequest<Body> {
    let tls = handshake(config(rig, &[b"h2"]), rig.https, "a.test").await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn requests_over_h2_reach_an_h1_origin() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    run(async {
        for mut sender in [clear(&rig).await, secure(&rig).await] {
            let scheme = "https";
            for n in 0..3 {
                let request = Request::post(format!("{scheme}://a.test/x/../y?n={n}"))
                    .header("cookie", "a=1")
                    .header("cookie", "b=2")
                    .body(full("body"))
                    .unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), 200);
                assert_eq!(text(response).await, "ok");
            }
        }
    });
    let seen = origin.seen.lock().unwrap();
    assert_eq!(seen.len(), 6);
    let (head, body) = &seen[0];
    assert!(head.starts_with("POST /y?n=0 HTTP/1.1\r\n"), "{head}");
    for there in ["host: a.test\r\n", "cookie: a=1; b=2\r\n", "x-forwarded-proto: http\r\n"] {
        assert!(head.contains(there), "{there}: {head}");
    }
    assert!(seen[5].0.contains("x-forwarded-proto: https\r\n"), "{}", seen[5].0);
    assert_eq!(body, b"body");
}

#[test]
fn streams_without_a_length_are_chunked_upstream_and_trailers_pass() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n",
    );
    let rig = Rig::new(vec![proxied(origin.address)]);
    run(async {
        let mut sender = clear(&rig).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-in", "1".parse().unwrap());
        let body = Frames(VecDeque::from([Frame::data(Bytes::from_static(b"xyz")), Frame::trailers(trailers)]));
        let request = Request::post("http://a.test/")
            .header("te", "trailers")
            .header("trailer", "x-in")
            .body(body.boxed())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert!(!response.headers().contains_key("transfer-encoding"));
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-sum"], "3");
        assert_eq!(collected.to_bytes(), "abc");
    });
    let (head, body) = origin.seen.lock().unwrap().remove(0);
    assert!(head.contains("transfer-encoding: chunked\r\n") && head.contains("te: trailers\r\n"), "{head}");
    assert_eq!(body, b"xyz\0x-in: 1");
}

struct Frames(VecDeque<Frame<Bytes>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

/// Sends a head as it is, and returns the status or how the stream ended.
async fn raw(rig: &Rig, request: Request<()>) -> Result<u16, h2::Error> {
    let tcp = TcpStream::connect(rig.http).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    let (response, _) = sender.send_request(request, true)?;
    Ok(response.await?.status().as_u16())
}

#[test]
fn ambiguous_h2_requests_end_their_stream() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    let get = || Request::get("http://a.test/").version(http::Version::HTTP_2);
    let refused = vec![
        get().header("host", "b.test"),
        get().header("host", "a.test").header("host", "a.test"),
        get().header("te", "gzip"),
        get().header("connection", "x-forwarded-for"),
        get().header("keep-alive", "5"),
        get().header("transfer-encoding", "chunked"),
        get().header("upgrade", "h2c"),
        get().header("content-length", "1").header("content-length", "2"),
        get().uri("http://a.test/../x"),
        get().uri("http://a.test/a%2Fb"),
        get().uri("http://user@a.test/"),
        get().uri("http://a..test/"),
    ];
    run(async {
        for request in refused {
            let request = request.body(()).unwrap();
            let shown = format!("{request:?}");
            match raw(&rig, request).await {
                Ok(status) => assert_eq!(status, 400, "{shown}"),
                // h2 refuses some of them itself, with a reset.
                Err(e) => assert!(!e.is_io(), "{shown}: {e:?}"),
            }
        }
        assert_eq!(raw(&rig, get().header("host", "A.test").body(()).unwrap()).await.unwrap(), 200);
    });
    assert_eq!(origin.heads().len(), 1);
}

#[test]
fn an_origin_that_dies_mid_body_resets_the_stream() {
    let origin = Origin::new(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").unwrap();
        false
    });
    let rig = Rig::new(vec![proxied(origin.address)]);
    run(async {
        let mut sender = clear(&rig).await;
        let request = Request::get("http://a.test/").body(full("")).unwrap();
        match sender.send_request(request).await {
            Ok(response) => assert!(response.into_body().collect().await.is_err()),
            Err(e) => assert!(!e.is_closed(), "{e:?}"),
        }
        // The connection lives on.
        let request = Request::get("http://b.test/").body(full("")).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 404);
    });
}

#[test]
fn many_streams_share_a_connection() {
    let origin = Origin::new(|stream, _| {
        let body = vec![b'x'; 100_000];
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).is_ok()
            && stream.write_all(&body).is_ok()
    });
    let rig = Rig::new(vec![proxied(origin.address)]);
    run(async {
        let sender = secure(&rig).await;
        let mut tasks = Vec::new();
        for _ in 0..100 {
            let mut sender = sender.clone();
            tasks.push(tokio::spawn(async move {
                let request = Request::get("https://a.test/").body(full("")).unwrap();
                text(sender.send_request(request).await.unwrap()).await.len()
            }));
        }
        for task in tasks {
            assert_eq!(task.await.unwrap(), 100_000);
        }
    });
}

#[test]
fn head_over_h2_has_no_body() {
    let rig = Rig::new(vec![hello()]);
    run(async {
        let mut sender = clear(&rig).await;
        let request = Request::head("http://a.test/").body(full("")).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.headers()["content-length"], "5");
        assert_eq!(text(response).await, "");
    });
}

#[test]
fn an_idle_h2_connection_is_told_to_go() {
    let rig = Rig::with(vec![hello()], |g| g.limits.keep_alive_ms = 300);
    run(async {
        let tcp = TcpStream::connect(rig.http).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(tcp).await.unwrap();
        let request = Request::get("http://a.test/").body(()).unwrap();
        let (response, _) = sender.send_request(request, true).unwrap();
        let (ended, status) = tokio::join!(connection, async { response.await.unwrap().status() });
        // It ended; by which last words depends on who closes first.
        drop(ended);
        assert_eq!(status, 200);
    });
}

#[test]
fn drain_finishes_streams_and_says_goaway() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::new(move |stream, _| {
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(OK.as_bytes()).is_ok()
    });
    let mut rig = Rig::new(vec![proxied(origin.address)]);
    let handle = rig.handle.take().unwrap();
    run(async {
        let tcp = TcpStream::connect(rig.http).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(tcp).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::get("http://a.test/").body(()).unwrap();
        let (response, _) = sender.send_request(request, true).unwrap();
        while origin.connections.load(std::sync::atomic::Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        handle.drain(super::support::PATIENCE);
        go.send(()).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
        // It ends; by which last words depends on who closes first.
        let _ = connection.await.unwrap();
    });
    handle.join();
}

#[test]
fn a_silent_client_on_a_clear_port_is_closed() {
    let rig = Rig::with(vec![hello()], |g| g.limits.header_ms = 300);
    // The beginning of the HTTP/2 preface, and nothing more.
    assert_eq!(rig.until_closed(b"PRI * HTTP/2.0\r\n"), "");
}

// === TLS

#[test]
fn http_1_over_tls() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    run(async {
        let mut tls = handshake(config(&rig, &[b"http/1.1"]), rig.https, "a.test").await.unwrap();
        tls.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        tls.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"), "{answer}");
    });
    assert!(origin.heads()[0].contains("forwarded: for=127.0.0.1;host=a.test;proto=https\r\n"));
}

#[test]
fn names_that_nobody_serves_get_no_handshake() {
    let mut off = hello();
    off.hosts = vec![(host("off.test"), Loc::default())];
    off.settings.tls = Tls::Off;
    let rig = Rig::new(vec![hello(), off]);
    run(async {
        for name in ["b.test", "off.test", "127.0.0.1"] {
            assert!(handshake(config(&rig, &[]), rig.https, name).await.is_err(), "{name}");
        }
        assert!(handshake(config(&rig, &[]), rig.https, "broken.test").await.is_ok());
    });
}

#[test]
fn a_handshake_without_a_name_is_the_default_sites() {
    let mut default = hello();
    default.settings.default = true;
    let rig = Rig::new(vec![default]);
    run(async {
        let mut tls = handshake(config(&rig, &[]), rig.https, "127.0.0.1").await.unwrap();
        tls.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        tls.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
    });
}

#[test]
fn a_host_with_other_tls_settings_is_misdirected() {
    let (mut off, mut internal) = (hello(), hello());
    off.hosts = vec![(host("off.test"), Loc::default())];
    off.settings.tls = Tls::Off;
    internal.hosts = vec![(host("internal.test"), Loc::default())];
    internal.settings.tls = Tls::Internal;
    let rig = Rig::new(vec![hello(), off, internal]);
    run(async {
        for name in ["off.test", "internal.test"] {
            let mut sender = secure(&rig).await;
            let request = Request::get(format!("https://{name}/")).body(full("")).unwrap();
            assert_eq!(sender.send_request(request).await.unwrap().status(), 421, "{name}");
        }
    });
}

#[test]
fn sessions_are_resumed() {
    let rig = Rig::new(vec![hello()]);
    run(async {
        let config = config(&rig, &[b"http/1.1"]);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut tls = handshake(Arc::clone(&config), rig.https, "a.test").await.unwrap();
            tls.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await.unwrap();
            tls.read_to_end(&mut Vec::new()).await.unwrap();
            kinds.push(tls.get_ref().1.handshake_kind().unwrap());
        }
        assert_eq!(kinds[1], rustls::HandshakeKind::Resumed, "{kinds:?}");
    });
}
