//! Checks by gRPC and HTTP/2, of texts, and by sockets in the file system.

use super::tests::{answering, check, pool, probed};
use super::*;
use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

fn get(expect: (u16, u16), body: &str) -> ir::Check {
    let body = Some(body.into());
    check(ir::Probe::Http { method: "GET".into(), path: "/healthz".into(), expect, body })
}

fn grpc(service: &str) -> ir::Check {
    check(ir::Probe::Grpc { service: service.into() })
}

#[tokio::test]
async fn an_answer_must_hold_the_text() {
    let (at, _asked) = answering(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n7\r\n is wel\r\n1\r\nl\r\n0\r\n\r\n",
    )
    .await;
    assert_eq!(probed(&pool("p", &[at], get((200, 299), "is well"))).await, Ok(()));
    let missing = Err("its answer does not hold \"fine\"".to_owned());
    assert_eq!(probed(&pool("p", &[at], get((200, 299), "fine"))).await, missing);
    assert_eq!(probed(&pool("p", &[at], get((204, 204), "well"))).await, Err("answered 200, expected 204".into()));
    let (at, _asked) = answering(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    let not = Err("what it answered is not HTTP".to_owned());
    assert_eq!(probed(&pool("p", &[at], get((200, 299), "ok"))).await, not);
    let (at, _asked) = answering(b"").await;
    let closed = Err("closed the connection without an answer".to_owned());
    assert_eq!(probed(&pool("p", &[at], get((200, 299), "ok"))).await, closed);
}

type Asked = Arc<Mutex<Vec<(String, HeaderMap, Vec<u8>)>>>;

/// Answers each request of a connection with `answer`.
async fn serve<S>(stream: S, asked: &Asked, answer: impl Fn(&mut SendResponse<Bytes>))
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (head, mut body): (http::request::Parts, _) = Request::into_parts(request);
        let asked = Arc::clone(asked);
        let record = async move {
            let mut seen = Vec::new();
            while let Some(Ok(piece)) = body.data().await {
                seen.extend_from_slice(&piece);
            }
            asked.lock().unwrap().push((format!("{} {}", head.method, head.uri), head.headers, seen));
        };
        tokio::spawn(record);
        answer(&mut respond);
    }
}

/// An HTTP/2 server in clear.
async fn http2(answer: fn(&mut SendResponse<Bytes>)) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let asked = Asked::default();
    let record = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            serve(tcp, &record, answer).await;
        }
    });
    (at, asked)
}

fn trailers(all: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    all.iter().map(pair).collect()
}

fn says(respond: &mut SendResponse<Bytes>, message: &'static [u8], status: &'static str) {
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = respond.send_response(head, false).unwrap();
    stream.send_data(Bytes::from_static(message), false).unwrap();
    stream.send_trailers(trailers(&[("grpc-status", status)])).unwrap();
}

fn refuses(respond: &mut SendResponse<Bytes>, status: &'static str, message: &'static str) {
    let head = Response::builder()
        .header("content-type", "application/grpc+proto")
        .header("grpc-status", status)
        .header("grpc-message", message)
        .body(())
        .unwrap();
    respond.send_response(head, true).unwrap();
}

#[tokio::test]
async fn grpc_asks_the_health_service() {
    let (at, asked) = http2(|respond| says(respond, b"\0\0\0\0\x02\x08\x01", "0")).await;
    assert_eq!(probed(&pool("p", &[at], grpc("shop.Orders"))).await, Ok(()));
    // The question was read by a task of its own.
    while asked.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let (line, headers, body) = asked.lock().unwrap().remove(0);
    assert_eq!(line, format!("POST http://{at}/grpc.health.v1.Health/Check"));
    assert_eq!(
        (&headers["content-type"], &headers["te"]),
        (&"application/grpc".parse().unwrap(), &"trailers".parse().unwrap())
    );
    assert_eq!(body, b"\0\0\0\0\x0d\x0a\x0bshop.Orders");
}

#[tokio::test]
async fn grpc_tells_why_not() {
    let reason = async |answer: fn(&mut SendResponse<Bytes>)| {
        let (at, _asked) = http2(answer).await;
        probed(&pool("p", &[at], grpc("shop.Orders"))).await.unwrap_err()
    };
    assert_eq!(reason(|r| says(r, b"\0\0\0\0\x02\x08\x02", "0")).await, "answered NOT_SERVING");
    assert_eq!(
        reason(|r| says(r, b"\0\0\0\0\x02\x08\x03", "0")).await,
        "knows no service \"shop.Orders\" (SERVICE_UNKNOWN)"
    );
    assert_eq!(reason(|r| says(r, b"\0\0\0\0\0", "0")).await, "answered a status that is not SERVING (0)");
    assert_eq!(
        reason(|r| refuses(r, "12", "")).await,
        "does not have the gRPC health service (UNIMPLEMENTED); `check tcp` would do"
    );
    assert_eq!(reason(|r| refuses(r, "5", "")).await, "knows no service \"shop.Orders\" (NOT_FOUND)");
    assert_eq!(reason(|r| refuses(r, "14", "warming%20up")).await, "answered gRPC status 14 (warming up)");
    let plain = |r: &mut SendResponse<Bytes>| {
        r.send_response(Response::builder().status(404).body(()).unwrap(), true).unwrap();
    };
    assert_eq!(reason(plain).await, "answered 404, which is no gRPC");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let _ = tcp.read(&mut [0; 1024]).await;
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let reason = probed(&pool("p", &[at], grpc(""))).await.unwrap_err();
    assert!(reason.starts_with("what it answered is not HTTP/2"), "{reason}");
}

#[tokio::test]
async fn who_is_spoken_to_by_http2_is_checked_by_it() {
    let answer = |respond: &mut SendResponse<Bytes>| {
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"all is well"), true).unwrap();
    };
    let (at, _asked) = http2(answer).await;
    for protocol in [ir::Protocol::H2c, ir::Protocol::Grpc] {
        let with = |check| ir::Pool { protocol, ..pool("p", &[at], check) };
        assert_eq!(probed(&with(get((200, 200), "well"))).await, Ok(()));
        let missing = Err("its answer does not hold \"fine\"".to_owned());
        assert_eq!(probed(&with(get((200, 200), "fine"))).await, missing);
        assert_eq!(probed(&with(get((204, 204), ""))).await, Err("answered 200, expected 204".into()));
        let http = ir::Probe::Http { method: "GET".into(), path: "/".into(), expect: (200, 200), body: None };
        assert_eq!(probed(&with(check(http))).await, Ok(()));
    }
}

#[tokio::test]
async fn over_tls_http2_is_agreed_on() {
    let dir = std::env::temp_dir().join(format!("sluice-probe-{}", std::process::id()));
    let ca = crate::tls::InternalCa::load_or_create(&dir).unwrap();
    let leaf = rustls::sign::CertifiedKey::clone(&ca.issue(&["127.0.0.1"]).unwrap());
    let config = |alpn: &[&[u8]]| {
        let provider = rustls::crypto::aws_lc_rs::default_provider().into();
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(leaf.clone())));
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        tokio_rustls::TlsAcceptor::from(Arc::new(config))
    };
    let trust: Arc<str> = ca.root_path().to_str().unwrap().into();
    let probed = async |alpn: &[&[u8]], check: ir::Check| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut pool = pool("p", &[listener.local_addr().unwrap()], check);
        pool.tls = Some(ir::PoolTls { trust: Some(Arc::clone(&trust)), ..ir::PoolTls::default() });
        let acceptor = config(alpn);
        tokio::spawn(async move {
            let asked = Asked::default();
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
                if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
                    serve(tls, &asked, |respond| says(respond, b"\0\0\0\0\x02\x08\x01", "0")).await;
                } else {
                    let _ = tls.write_all(b"HTTP/1.1 200 OK\r\n\r\nby HTTP/1").await;
                    let _ = tls.shutdown().await;
                }
            }
        });
        probed(&pool).await
    };
    assert_eq!(probed(&[b"h2"], grpc("")).await, Ok(()));
    // A GET is asked in whichever version was agreed on.
    assert_eq!(probed(&[b"h2"], get((200, 200), "\u{8}\u{1}")).await, Ok(()));
    assert_eq!(probed(&[b"http/1.1"], get((200, 200), "by HTTP/1")).await, Ok(()));
    let refused = probed(&[], grpc("")).await.unwrap_err();
    assert!(refused.starts_with("TLS: it did not agree to HTTP/2"), "{refused}");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_socket_in_the_file_system_is_checked_too() {
    let path = std::env::temp_dir().join(format!("sluice-probe-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut unix, _)) = listener.accept().await {
            let _ = unix.read(&mut [0; 1024]).await;
            let _ = unix.write_all(b"HTTP/1.1 200 OK\r\n\r\nok").await;
        }
    });
    let mut pool = pool("p", &[([127, 0, 0, 1], 1).into()], get((200, 200), "ok"));
    pool.endpoints[0].kind = ir::EndpointKind::Unix;
    pool.endpoints[0].host = path.to_str().unwrap().into();
    pool.endpoints[0].port = 0;
    assert_eq!(probed(&pool).await, Ok(()));
    std::fs::remove_file(&path).unwrap();
    let gone = probed(&pool).await.unwrap_err();
    assert!(gone.starts_with("cannot connect"), "{gone}");
}
