//! Real handshakes, with authorities made for the purpose.

use super::*;
use crate::runtime::notice;
use crate::secrets::Secrets;
use dsl::tree::ir::KeyFrom;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const DAY: Duration = Duration::from_secs(86_400);
const PATIENCE: Duration = Duration::from_secs(20);

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::default();
        let name = format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn leaf(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Leaf {
        self.leaf_with(name, usage, |_| {})
    }

    fn leaf_with(
        &self,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }

    fn server(&self, name: &str) -> Leaf {
        self.leaf(name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn pem(&self) -> String {
        self.certificate.pem()
    }
}

impl Leaf {
    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    fn pin(&self) -> [u8; 32] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.key.subject_public_key_info());
        digest.as_ref().try_into().unwrap()
    }
}

/// A directory of its own.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("sluice-upstream-tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn write(&self, name: &str, content: &str) {
        // As careful operators do it.
        let beside = self.0.join(format!("{name}.new"));
        fs::write(&beside, content).unwrap();
        fs::rename(beside, self.0.join(name)).unwrap();
    }

    fn tls(&self, settings: PoolTls) -> Arc<UpstreamTls> {
        Arc::new(UpstreamTls::new("ledger".into(), settings, &self.0, &Arc::default(), None))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn server(leaf: &Leaf) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(leaf.chain.clone(), leaf.key_der())
        .unwrap();
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(32);
    config
}

/// Serves one byte on each connection; returns its address.
async fn serve(config: ServerConfig) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let Ok((tcp, _)) = listener.accept().await else { return };
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut tls) = acceptor.accept(tcp).await {
                    let _ = tls.write_all(b"x").await;
                    let _ = tls.read(&mut [0]).await;
                }
            });
        }
    });
    address
}

/// A handshake and the byte behind it, which shows that the server is content too.
async fn shake(tls: &Arc<UpstreamTls>, host: &str, at: std::net::SocketAddr) -> Result<HandshakeKind, String> {
    let done = async {
        let tcp = TcpStream::connect(at).await.unwrap();
        let mut stream = tls.handshake(host, tcp).await?;
        stream.read_u8().await.map_err(|e| words::of(&e))?;
        Ok(stream.get_ref().1.handshake_kind().expect("it is done"))
    };
    tokio::time::timeout(PATIENCE, done).await.expect("in time")
}

fn named(name: &str) -> PoolTls {
    PoolTls { name: Some(name.into()), trust: Some("ca.pem".into()), ..PoolTls::default() }
}

fn refusal(outcome: Result<HandshakeKind, String>) -> String {
    outcome.expect_err("it must not be trusted")
}

#[tokio::test]
async fn a_trusted_authority_and_the_right_name() {
    let (dir, ca) = (Dir::new(), Authority::new());
    dir.write("ca.pem", &ca.pem());
    let at = serve(server(&ca.server("ledger.internal"))).await;
    let tls = dir.tls(named("ledger.internal"));
    assert_eq!(shake(&tls, "127.0.0.1", at).await, Ok(HandshakeKind::Full));
    // Sessions are resumed.
    assert_eq!(shake(&tls, "127.0.0.1", at).await, Ok(HandshakeKind::Resumed));
    // Without a name in the settings the endpoint's host is it.
    let host = dir.tls(PoolTls { name: None, ..named("") });
    assert!(shake(&host, "ledger.internal", at).await.is_ok());
    assert_eq!(
        refusal(shake(&host, "127.0.0.1", at).await),
        "its certificate is for ledger.internal, expected 127.0.0.1"
    );
    let address = serve(server(&ca.server("127.0.0.1"))).await;
    assert!(shake(&host, "127.0.0.1", address).await.is_ok());
    assert_eq!(
        refusal(shake(&host, "b.internal", address).await),
        "its certificate is for 127.0.0.1, expected b.internal"
    );
}

#[tokio::test]
async fn reasons_are_told_in_words() {
    let (dir, ca) = (Dir::new(), Authority::new());
    dir.write("ca.pem", &ca.pem());
    let tls = dir.tls(named("ledger.internal"));
    let usage = ExtendedKeyUsagePurpose::ServerAuth;
    let now = SystemTime::now();
    let expired = ca.leaf_with("ledger.internal", usage.clone(), |params| {
        params.not_before = (SystemTime::UNIX_EPOCH + DAY * 19_000).into();
        params.not_after = (SystemTime::UNIX_EPOCH + DAY * 20_000).into();
    });
    let at = serve(server(&expired)).await;
    assert_eq!(refusal(shake(&tls, "", at).await), "its certificate expired on 04 Oct 2024");
    let early = ca.leaf_with("ledger.internal", usage, |params| params.not_before = (now + DAY * 2).into());
    let at = serve(server(&early)).await;
    assert!(refusal(shake(&tls, "", at).await).starts_with("its certificate is not valid before "));
    let at = serve(server(&Authority::new().server("ledger.internal"))).await;
    assert_eq!(refusal(shake(&tls, "", at).await), "its certificate comes from an unknown authority");
    let at = serve(server(&ca.leaf("ledger.internal", ExtendedKeyUsagePurpose::ClientAuth))).await;
    assert_eq!(refusal(shake(&tls, "", at).await), "its certificate is not one for servers");
    // The system's authorities know nothing of a name that was made up here.
    let system = dir.tls(PoolTls { trust: None, ..named("ledger.internal") });
    let at = serve(server(&ca.server("ledger.internal"))).await;
    let refused = refusal(shake(&system, "", at).await);
    assert!(refused.contains("unknown authority") || refused.contains("ca-certificates"), "{refused}");
}

#[tokio::test]
async fn what_is_not_tls_is_told() {
    let (dir, ca) = (Dir::new(), Authority::new());
    dir.write("ca.pem", &ca.pem());
    let tls = dir.tls(named("ledger.internal"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        let _ = tcp.read_to_end(&mut Vec::new()).await;
        let (tcp, _) = listener.accept().await.unwrap();
        drop(tcp);
    });
    assert_eq!(refusal(shake(&tls, "", at).await), "what it answered is not TLS");
    let closed = refusal(shake(&tls, "", at).await);
    assert!(closed.contains("closed") || closed.contains("broke off"), "{closed}");
}

#[tokio::test]
async fn a_pin_alone_stands_for_the_authority_and_both_must_hold_where_both_are_said() {
    let (dir, ca) = (Dir::new(), Authority::new());
    dir.write("ca.pem", &ca.pem());
    let leaf = Authority::new().server("somebody.else");
    let at = serve(server(&leaf)).await;
    let pinned = |pins| PoolTls { pins, trust: None, ..named("ledger.internal") };
    assert!(shake(&dir.tls(pinned(vec![[7; 32], leaf.pin()])), "", at).await.is_ok());
    assert_eq!(refusal(shake(&dir.tls(pinned(vec![[7; 32]])), "", at).await), "its key is none of the pinned ones");
    let both = |pins| PoolTls { pins, ..named("ledger.internal") };
    assert_eq!(
        refusal(shake(&dir.tls(both(vec![leaf.pin()])), "", at).await),
        "its certificate comes from an unknown authority"
    );
    let leaf = ca.server("ledger.internal");
    let at = serve(server(&leaf)).await;
    assert!(shake(&dir.tls(both(vec![leaf.pin()])), "", at).await.is_ok());
    assert_eq!(refusal(shake(&dir.tls(both(vec![[7; 32]])), "", at).await), "its key is none of the pinned ones");
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let (dir, ca) = (Dir::new(), Authority::new());
    dir.write("ca.pem", &ca.pem());
    let client = ca.leaf("gateway.internal", ExtendedKeyUsagePurpose::ClientAuth);
    dir.write("gw.pem", &client.pem);
    dir.write("gw.key", &client.key.serialize_pem());
    let leaf = ca.server("ledger.internal");
    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(leaf.chain.clone(), leaf.key_der())
        .unwrap();
    let at = serve(config).await;
    let with = PoolTls { client: Some(("gw.pem".into(), KeyFrom::File("gw.key".into()))), ..named("ledger.internal") };
    assert!(shake(&dir.tls(with), "", at).await.is_ok());
    assert_eq!(
        refusal(shake(&dir.tls(named("ledger.internal")), "", at).await),
        "it asks for a client certificate; name one with `client`"
    );
    // Its key may be a secret, which may come late and be broken later.
    let secrets = Arc::new(Secrets::new(Some(dir.0.join("secrets"))));
    secrets.look();
    let settings =
        PoolTls { client: Some(("gw.pem".into(), KeyFrom::Secret("gw-key".into()))), ..named("ledger.internal") };
    let (sender, notices) = notice::channel();
    let tls = Arc::new(UpstreamTls::new("ledger".into(), settings, &dir.0, &secrets, Some(sender)));
    let later = || tls.look_at_ms.store(0, Ordering::Relaxed);
    let told = || notices.try_iter().map(|n| n.to_string()).collect::<Vec<_>>();
    assert!(told()[0].starts_with("tls of pool ledger: secret.gw-key: "));
    fs::create_dir(dir.0.join("secrets")).unwrap();
    dir.write("secrets/gw-key.pem", &client.key.serialize_pem());
    secrets.look();
    later();
    assert!(shake(&tls, "", at).await.is_ok());
    dir.write("secrets/gw-key.pem", "hunter2");
    secrets.look();
    later();
    assert!(shake(&tls, "", at).await.is_ok(), "the last good one");
    assert_eq!(told(), ["tls of pool ledger: secret.gw-key: there is no private key in it"]);
}

#[tokio::test]
async fn the_least_version_is_kept() {
    let (dir, ca) = (Dir::new(), Authority::new());
    dir.write("ca.pem", &ca.pem());
    let leaf = ca.server("ledger.internal");
    let old = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(leaf.chain.clone(), leaf.key_der())
        .unwrap();
    let at = serve(old).await;
    assert!(shake(&dir.tls(named("ledger.internal")), "", at).await.is_ok());
    let strict = PoolTls { min_13: true, ..named("ledger.internal") };
    assert_eq!(refusal(shake(&dir.tls(strict), "", at).await), "it speaks no version of TLS that is allowed here");
}

#[tokio::test]
async fn files_are_read_again_and_the_last_good_ones_kept() {
    let (dir, first, second) = (Dir::new(), Authority::new(), Authority::new());
    let (sender, notices) = notice::channel();
    let tls =
        Arc::new(UpstreamTls::new("ledger".into(), named("ledger.internal"), &dir.0, &Arc::default(), Some(sender)));
    let told = || notices.try_iter().map(|n| n.to_string().replace(dir.0.to_str().unwrap(), "")).collect::<Vec<_>>();
    assert_eq!(told(), ["tls of pool ledger: /ca.pem: No such file or directory (os error 2)"]);
    let one = serve(server(&first.server("ledger.internal"))).await;
    let two = serve(server(&second.server("ledger.internal"))).await;
    // As if the last look were long ago.
    let later = || tls.look_at_ms.store(0, Ordering::Relaxed);
    assert!(refusal(shake(&tls, "", one).await).contains("No such file"));
    dir.write("ca.pem", &first.pem());
    later();
    assert!(shake(&tls, "", one).await.is_ok());
    refusal(shake(&tls, "", two).await);
    dir.write("ca.pem", &second.pem());
    later();
    assert!(shake(&tls, "", two).await.is_ok());
    refusal(shake(&tls, "", one).await);
    assert_eq!(told(), [""; 0]);
    dir.write("ca.pem", "half a fi");
    later();
    assert!(shake(&tls, "", two).await.is_ok(), "the last good one");
    assert_eq!(told(), ["tls of pool ledger: /ca.pem: there is no certificate in it"]);
    later();
    assert!(shake(&tls, "", two).await.is_ok());
    assert_eq!(told(), [""; 0], "told once");
}
