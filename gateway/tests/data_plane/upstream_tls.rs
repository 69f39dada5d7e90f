//! Re-encryption: whom a pool's `tls` trusts, what is spoken inside, and which connections stand for
//! each other.

use super::support::{Origin, PATIENCE, Rig, plan, pool, proxy, read_request, site};
use super::upstream_h2::origin::{H2Origin, say};
use dsl::tree::ir::{self, PoolTls, Protocol, ProxyProtocol};
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use sluice::tls::InternalCa;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// An authority in a directory of its own.
struct Authority {
    dir: PathBuf,
    ca: InternalCa,
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Authority {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("sluice-upstream-{}-{number}", std::process::id()));
        let ca = InternalCa::load_or_create(&dir).unwrap();
        Self { dir, ca }
    }

    /// A server that is called so.
    fn server(&self, name: &str, alpn: &[&[u8]]) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        self.finish(builder.with_no_client_auth(), name, alpn)
    }

    fn finish(
        &self,
        builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
        name: &str,
        alpn: &[&[u8]],
    ) -> ServerConfig {
        let key = Arc::unwrap_or_clone(self.ca.issue(&[name]).unwrap());
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config.session_storage = ServerSessionMemoryCache::new(32);
        config
    }

    fn trust(&self) -> String {
        self.ca.root_path().to_str().unwrap().to_owned()
    }

    /// `tls { name "ledger.internal"  trust "…" }`
    fn trusted(&self) -> PoolTls {
        PoolTls { name: Some("ledger.internal".into()), trust: Some(self.trust().into()), ..PoolTls::default() }
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// An HTTP/1 origin over TLS: how its handshakes went is noted; it closes after each answer if it is to.
fn https(config: ServerConfig, close: bool) -> (SocketAddr, Arc<Mutex<Vec<HandshakeKind>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (address, config) = (listener.local_addr().unwrap(), Arc::new(config));
    let kinds: Arc<Mutex<Vec<HandshakeKind>>> = Arc::default();
    let noted = Arc::clone(&kinds);
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            tcp.set_read_timeout(Some(PATIENCE)).unwrap();
            let (config, noted) = (Arc::clone(&config), Arc::clone(&noted));
            thread::spawn(move || {
                let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
                loop {
                    let mut lines = BufReader::new(&mut tls).lines();
                    if !lines.by_ref().map_while(Result::ok).any(|line| line.is_empty()) {
                        return;
                    }
                    noted.lock().unwrap().extend(tls.conn.handshake_kind());
                    let end = if close { "Connection: close\r\n" } else { "" };
                    let answer = format!("HTTP/1.1 200 OK\r\n{end}X-Origin: h1\r\nContent-Length: 2\r\n\r\nhi");
                    if tls.write_all(answer.as_bytes()).is_err() || close {
                        tls.conn.send_close_notify();
                        let _ = tls.flush();
                        return;
                    }
                }
            });
        }
    });
    (address, kinds)
}

fn over(protocol: Protocol, tls: PoolTls, origin: SocketAddr) -> ir::Site {
    let pool = ir::Pool { protocol, tls: Some(tls), ..pool(&[origin]) };
    site(vec![("/*", plan(proxy()))], vec![pool])
}

#[test]
fn http2_is_spoken_where_the_endpoint_agrees() {
    let authority = Authority::new();
    let config = Arc::new(authority.server("ledger.internal", &[b"h2", b"http/1.1"]));
    let origin = H2Origin::with(h2::server::Builder::new(), Some(config), |_, respond| async { say(respond, "hi") });
    let rig = Rig::new(vec![over(Protocol::Auto, authority.trusted(), origin.address)]);
    for _ in 0..3 {
        assert_eq!(rig.get("/x").header("x-origin"), Some("h2"));
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(origin.seen.lock().unwrap()[0].uri, "https://a.test/x");
    rig.publish(vec![over(Protocol::Grpc, authority.trusted(), origin.address)]);
    assert_eq!(rig.get("/x").header("x-origin"), Some("h2"));
    assert_eq!(origin.connections(), 2, "what was agreed on is not what must be");
}

#[test]
fn http1_is_spoken_where_it_does_not_and_sessions_are_resumed() {
    let authority = Authority::new();
    for (close, kinds) in
        [(true, &[HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed][..]), (false, &[])]
    {
        let (origin, noted) = https(authority.server("ledger.internal", &[b"http/1.1"]), close);
        let rig = Rig::new(vec![over(Protocol::Auto, authority.trusted(), origin)]);
        for _ in 0..3 {
            assert_eq!(rig.get("/").header("x-origin"), Some("h1"));
        }
        if close {
            assert_eq!(*noted.lock().unwrap(), kinds);
        }
        // An endpoint that never heard of ALPN.
        let (origin, _) = https(authority.server("ledger.internal", &[]), close);
        let rig = Rig::new(vec![over(Protocol::Auto, authority.trusted(), origin)]);
        assert_eq!(rig.get("/").header("x-origin"), Some("h1"));
    }
}

/// The answer's status, and what the operator is told.
fn refused(site: ir::Site) -> (u16, String) {
    let rig = Rig::new(vec![site]);
    let status = rig.get("/").status;
    (status, rig.notice())
}

#[test]
fn reasons_are_told_in_words() {
    let authority = Authority::new();
    let tls = || authority.trusted();
    let (h1, _) = https(authority.server("ledger.internal", &[b"http/1.1"]), false);
    let (silent, _) = https(authority.server("ledger.internal", &[]), false);
    let (other, _) = https(authority.server("b.internal", &[b"http/1.1"]), false);
    let (stranger, _) = https(Authority::new().server("ledger.internal", &[]), false);
    let plain = Origin::raw(|mut stream, _| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")));
    let mut roots = RootCertStore::empty();
    roots.add(authority.ca.root().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider()).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let mutual = authority.finish(builder.with_client_cert_verifier(verifier), "ledger.internal", &[b"http/1.1"]);
    let (mutual, _) = https(mutual, false);
    let pinned = || PoolTls { pins: vec![[7; 32]], ..tls() };
    for (protocol, tls, origin, words) in [
        (Protocol::H2, tls(), h1, "it speaks none of the versions of HTTP that this pool's `protocol` allows (ALPN)"),
        (Protocol::H2, tls(), silent, "it did not agree to HTTP/2 (ALPN `h2`); write `protocol h1`"),
        (Protocol::Auto, tls(), other, "its certificate is for b.internal, expected ledger.internal"),
        // Of an authority that is called the same.
        (Protocol::Auto, tls(), stranger, "its certificate was not signed by the authority that it names"),
        (Protocol::Auto, pinned(), h1, "its key is none of the pinned ones"),
        (Protocol::Auto, tls(), plain.address, "what it answered is not TLS"),
        (Protocol::Auto, tls(), mutual, "it asks for a client certificate; name one with `client`"),
    ] {
        let (status, notice) = refused(over(protocol, tls, origin));
        assert!(status == 502 && notice.contains(&format!("TLS: {words}")), "{status} {notice:?}: {words:?}");
    }
}

#[test]
fn connections_verified_by_files_that_are_gone_serve_nobody() {
    let (first, second) = (Authority::new(), Authority::new());
    let trust = first.dir.join("trust.pem");
    std::fs::copy(first.ca.root_path(), &trust).unwrap();
    let (origin, noted) = https(first.server("ledger.internal", &[]), false);
    let tls = PoolTls { trust: Some(trust.to_str().unwrap().into()), ..first.trusted() };
    let rig = Rig::new(vec![over(Protocol::H1, tls, origin)]);
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(rig.get("/").status, 200);
    std::fs::copy(second.ca.root_path(), first.dir.join("new.pem")).unwrap();
    std::fs::rename(first.dir.join("new.pem"), &trust).unwrap();
    let begun = Instant::now();
    while rig.get("/").status == 200 {
        assert!(begun.elapsed() < PATIENCE, "it is still trusted");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(rig.notice().contains("was not signed by the authority"));
    // All of them came by one connection.
    assert!(noted.lock().unwrap().len() >= 2);
}

#[test]
fn each_request_has_a_proxy_header_and_a_connection() {
    let heads: Arc<Mutex<Vec<(usize, String)>>> = Arc::default();
    let noted = Arc::clone(&heads);
    let origin = Origin::raw(move |mut stream, number| {
        while let Some((head, _)) = read_request(&mut stream) {
            noted.lock().unwrap().push((number, head));
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    });
    let telling = ir::Pool { proxy_protocol: Some(ProxyProtocol::V1), ..pool(&[origin.address]) };
    let routes = || vec![("/told", plan(proxy())), ("/plain", plan(to_second()))];
    let rig = Rig::new(vec![site(routes(), vec![telling, pool(&[origin.address])])]);
    let mut client = rig.connect();
    let mut ask = |path: &str| {
        write!(client, "GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        assert_eq!(super::support::Reply::read(&mut client).status, 200);
    };
    for path in ["/plain", "/told", "/told", "/plain"] {
        ask(path);
    }
    let (from, to) = (client.local_addr().unwrap(), rig.http);
    let header = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), to.port());
    let heads = heads.lock().unwrap();
    let seen: Vec<_> = heads.iter().map(|(number, head)| (*number, head.starts_with(&header))).collect();
    assert_eq!(seen, [(0, false), (1, true), (2, true), (0, false)], "{heads:?}");
}

fn to_second() -> ir::Answer {
    ir::Answer::Proxy { to: ir::Destination::Pool(ir::PoolIdx(1)), at: None, host: None }
}

#[test]
fn a_pool_with_tls_never_gets_a_clear_connection() {
    let authority = Authority::new();
    // It answers both: by the first byte.
    let (secure, _) = https(authority.server("ledger.internal", &[]), false);
    let rig = Rig::new(vec![over(Protocol::H1, authority.trusted(), secure)]);
    assert_eq!(rig.get("/").status, 200);
    // The same endpoint, clear: the idle connection that is encrypted is none of it.
    rig.publish(vec![site(vec![("/*", plan(proxy()))], vec![pool(&[secure])])]);
    assert_eq!(rig.get("/").status, 502);
    // Verified otherwise.
    let other = PoolTls { name: Some("b.internal".into()), ..authority.trusted() };
    rig.publish(vec![over(Protocol::H1, other, secure)]);
    assert_eq!(rig.get("/").status, 502);
    rig.publish(vec![over(Protocol::H1, authority.trusted(), secure)]);
    assert_eq!(rig.get("/").status, 200);
}
