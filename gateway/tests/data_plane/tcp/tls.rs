//! TLS that ends at the gateway, and TLS that begins there.

use super::rig::*;
use crate::support::pool;
use dsl::tree::ir::{PoolTls, ProxyProtocol};
use dsl::tree::l4::Rules;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use sluice::l4::End;
use sluice::tls::InternalCa;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

type Secure = StreamOwned<ClientConnection, TcpStream>;

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A client that trusts the gateway's CA.
fn client(carrier: &Carrier, name: &str, sni: bool, alpn: &[&[u8]]) -> Secure {
    let mut roots = RootCertStore::empty();
    roots.add(carrier.ca.root().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.enable_sni = sni;
    config.alpn_protocols = alpn.iter().map(|a| a.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), carrier.connect())
}

fn ending(origin: SocketAddr) -> Rules {
    let mut rules = to(&[origin]);
    rules.settings.tls = true;
    rules
}

#[track_caller]
fn echoes(client: &mut Secure) {
    client.write_all(b"hello").unwrap();
    client.flush().unwrap();
    assert_eq!(read(client, 5), b"hello");
}

#[test]
fn whichever_name_is_asked_for_has_a_certificate() {
    let carrier = Carrier::new(ending(echo()));
    for (name, sni) in [("db.bank.example", true), ("Localhost", true), ("localhost", false), ("127.0.0.1", false)] {
        echoes(&mut client(&carrier, name, sni, &[]));
    }
}

#[test]
fn a_single_protocol_that_is_offered_is_spoken() {
    let carrier = Carrier::new(ending(echo()));
    for (offer, agreed) in
        [(&[&b"postgresql"[..]][..], Some(&b"postgresql"[..])), (&[b"h2", b"http/1.1"], None), (&[], None)]
    {
        let mut client = client(&carrier, "localhost", true, offer);
        echoes(&mut client);
        assert_eq!(client.conn.alpn_protocol(), agreed);
    }
}

#[test]
fn half_closes_are_kept_within_tls() {
    let origin = Accepting::new();
    let carrier = Carrier::new(ending(origin.address));
    let mut client = client(&carrier, "localhost", true, &[]);
    client.write_all(b"question").unwrap();
    client.conn.send_close_notify();
    client.flush().unwrap();
    let mut upstream = origin.accept();
    assert_eq!(rest(&mut upstream), b"question");
    upstream.write_all(b"answer").unwrap();
    drop(upstream);
    let mut answer = Vec::new();
    // Without a close_notify of the gateway's this would be an error.
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"answer");
    carrier.ends(End::ClientClosed);
}

#[test]
fn who_closes_without_a_word_in_tls_has_closed() {
    let origin = Accepting::new();
    let carrier = Carrier::new(ending(origin.address));
    let mut client = client(&carrier, "localhost", true, &[]);
    client.write_all(b"question").unwrap();
    client.flush().unwrap();
    client.sock.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(&mut origin.accept()), b"question");
}

#[test]
fn much_data_through_tls_is_whole() {
    let carrier = Carrier::new(ending(echo()));
    let mut client = client(&carrier, "localhost", true, &[]);
    let piece: Vec<u8> = (0..1_000_000_u32).map(|i| (i * 7 / 3) as u8).collect();
    for _ in 0..4 {
        // Less than what the buffers on the way hold.
        for part in piece.chunks(50_000) {
            client.write_all(part).unwrap();
            client.flush().unwrap();
            assert!(read(&mut client, part.len()) == part);
        }
    }
}

#[test]
fn what_is_no_tls_is_refused_and_nobody_is_called() {
    let origin = Accepting::new();
    let carrier = Carrier::new(ending(origin.address));
    let mut stream = carrier.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    carrier.ends(End::ClientTls);
    assert!(origin.is_quiet());
}

#[test]
fn the_upstream_is_told_what_tls_said() {
    let origin = Accepting::new();
    let mut rules = ending(origin.address);
    Arc::make_mut(&mut rules.pools[0]).proxy_protocol = Some(ProxyProtocol::V2);
    let carrier = Carrier::new(rules);
    let mut client = client(&carrier, "DB.bank.example", true, &[b"postgresql"]);
    client.write_all(b"hello").unwrap();
    client.flush().unwrap();
    let mut upstream = origin.accept();
    let fixed = read(&mut upstream, 16);
    let len = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let block = read(&mut upstream, len);
    let text = block.escape_ascii().to_string();
    for tlv in [
        "\\x01\\x00\\npostgresql",
        "\\x02\\x00\\x0fdb.bank.example",
        "\\x05\\x00\\x10",
        "\\x01\\x00\\x00\\x00\\x01!\\x00\\x07TLSv1.3#\\x00\\x16TLS_AES_",
    ] {
        assert!(text.contains(tlv), "{tlv} in {text}");
    }
    assert_eq!(read(&mut upstream, 5), b"hello");
}

/// An origin that speaks TLS and sends back what it gets, with a certificate for `localhost`.
struct SecureOrigin {
    address: SocketAddr,
    trust: Arc<str>,
    _dir: Dir,
}

struct Dir(std::path::PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `before` is what happens on the connection before its TLS.
fn secure_origin(name: &str, before: impl Fn(&mut TcpStream) + Send + 'static) -> SecureOrigin {
    let dir = Dir(std::env::temp_dir().join(format!("sluice-tcp-{name}-{}", std::process::id())));
    let ca = InternalCa::load_or_create(&dir.0).unwrap();
    let trust = ca.root_path().to_str().unwrap().into();
    let resolver = SingleCertAndKey::from(Arc::unwrap_or_clone(ca.issue(&["localhost"]).unwrap()));
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver)));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            patient(&stream);
            before(&mut stream);
            let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(n) = tls.read(&mut piece) {
                    if n == 0 {
                        tls.conn.send_close_notify();
                        let _ = tls.flush();
                        return;
                    }
                    tls.write_all(&piece[..n]).unwrap();
                }
            });
        }
    });
    SecureOrigin { address, trust, _dir: dir }
}

fn beginning(origin: &SecureOrigin, name: &str) -> Rules {
    let mut pool = pool(&[origin.address]);
    pool.tls = Some(PoolTls { name: Some(name.into()), trust: Some(Arc::clone(&origin.trust)), ..PoolTls::default() });
    rules(vec![pool])
}

#[test]
fn plain_clients_reach_an_upstream_with_tls() {
    let origin = secure_origin("out", |_| {});
    let carrier = Carrier::new(beginning(&origin, "localhost"));
    let mut client = carrier.connect();
    round_trip(&mut client, "hello");
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client), b"");
    carrier.ends(End::ClientClosed);
}

#[test]
fn an_upstream_with_another_name_is_none() {
    let origin = secure_origin("name", |_| {});
    let carrier = Carrier::new(beginning(&origin, "ledger.internal"));
    is_reset(&mut carrier.connect());
    carrier.ends(End::UpstreamTls);
    let notice = carrier.notices.recv_timeout(crate::support::PATIENCE).unwrap().to_string();
    assert!(notice.contains("TLS"), "{notice}");
}

#[test]
fn tls_may_end_and_begin_at_the_gateway() {
    let origin = secure_origin("both", |stream| {
        // The PROXY header comes before TLS.
        let head = read(stream, 16);
        assert_eq!(&head[..12], b"\r\n\r\n\0\r\nQUIT\n");
        let len = usize::from(u16::from_be_bytes([head[14], head[15]]));
        read(stream, len);
    });
    let mut rules = beginning(&origin, "localhost");
    rules.settings.tls = true;
    Arc::make_mut(&mut rules.pools[0]).proxy_protocol = Some(ProxyProtocol::V2);
    let carrier = Carrier::new(rules);
    echoes(&mut client(&carrier, "localhost", true, &[]));
}
