//! Certificates from authorities: the gateway's issuers, against pebble and against an authority of the tests' own.

mod authorities;
mod by_dns;
mod here;
mod named;

use dsl::syntax::span::Loc;
use dsl::tree::ir::{Acme, Authority, Challenge, DnsProvider, Via};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use sluice::secrets::Secrets;
use sluice::tls::acme::{AccountFiles, Board, IssueError, Issued, Issuer, Issuers, Means, Order};
use sluice_tests::sluice::TempDir;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What answers challenges: as the data plane does, on ports of its own.
struct Front {
    board: Arc<Board>,
    http: SocketAddr,
    tls: SocketAddr,
}

impl Front {
    async fn start() -> Self {
        let board = Board::new();
        let (http, tls) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let made = Self { http: http.local_addr().unwrap(), tls: tls.local_addr().unwrap(), board };
        let acceptor = TlsAcceptor::from(made.board.server_config().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = tls.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(mut stream) = acceptor.accept(stream).await {
                        let _ = stream.shutdown().await;
                    }
                });
            }
        });
        let board = Arc::clone(&made.board);
        tokio::spawn(async move {
            while let Ok((stream, _)) = http.accept().await {
                let board = Arc::clone(&board);
                tokio::spawn(async move { clear(stream, &board).await });
            }
        });
        made
    }
}

async fn clear(stream: tokio::net::TcpStream, board: &Board) {
    let mut stream = BufReader::new(stream);
    let (mut request, mut host, mut line) = (String::new(), String::new(), String::new());
    stream.read_line(&mut request).await.unwrap();
    while stream.read_line(&mut line).await.unwrap_or(0) > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("host:") {
            host = value.trim().split(':').next().unwrap().to_owned();
        }
        line.clear();
    }
    let token = request.split(' ').nth(1).and_then(|path| path.strip_prefix("/.well-known/acme-challenge/"));
    let answer = match token.and_then(|token| board.http(&host, token)) {
        Some(body) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()),
        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// What `gateway.route` says, and what lies beside it.
struct Said {
    dir: TempDir,
    acme: Acme,
    resolver: Vec<SocketAddr>,
}

impl Said {
    fn of(authorities: Vec<Authority>) -> Self {
        let acme = Acme {
            contact: vec!["ops@sluice-tests.net".into()],
            authorities,
            challenges: vec![Challenge::TlsAlpn, Challenge::Http],
            providers: Vec::new(),
            loc: Loc::default(),
        };
        Self { dir: TempDir::new(), acme, resolver: Vec::new() }
    }

    fn challenges(mut self, challenges: &[Challenge]) -> Self {
        self.acme.challenges = challenges.to_vec();
        self
    }

    fn provider(mut self, provider: DnsProvider) -> Self {
        self.acme.providers.push(("corp".into(), provider));
        self
    }

    fn secret(self, name: &str, content: &str) -> Self {
        std::fs::create_dir_all(self.dir.path().join("secrets")).unwrap();
        std::fs::write(self.dir.path().join("secrets").join(name), content).unwrap();
        self
    }

    /// As after a start: what was kept is read from files.
    fn issuers(&self, board: &Arc<Board>) -> Arc<dyn Issuer> {
        let secrets = Arc::new(Secrets::new(Some(self.dir.path().join("secrets"))));
        secrets.look();
        let means = Means {
            sites: self.dir.path().to_owned(),
            secrets,
            accounts: Arc::new(AccountFiles::new(self.dir.path().join("account"))),
            board: Arc::clone(board),
            resolver: self.resolver.clone().into(),
        };
        Issuers::new(&Arc::new(self.acme.clone()), means)
    }
}

fn authority(directory: &str, root: Option<&Path>) -> Authority {
    let root = root.map(|root| root.display().to_string().into());
    Authority { directory: directory.into(), root, eab: None, profile: None, orders: (300, 10_800_000) }
}

fn order(name: &str) -> Order {
    Order { name: name.into(), via: None, replaces: None }
}

fn via_corp(name: &str) -> Order {
    let via = Via { provider: "corp".into(), key: None, loc: Loc::default() };
    Order { via: Some(via), ..order(name) }
}

/// The certificate is for the name, from the authority, and has its key.
#[track_caller]
fn is_good(issued: &Issued, name: &str, root: &str) {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(issued.chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let signing = provider.key_provider.load_private_key(key).unwrap();
    rustls::sign::CertifiedKey::new(chain.clone(), signing).keys_match().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let verify = |name: &str| {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now())
    };
    verify(&name.replace('*', "any")).unwrap();
    let other = verify("other.sluice-elsewhere.net").unwrap_err();
    assert!(
        matches!(
            other,
            Error::InvalidCertificate(
                CertificateError::NotValidForNameContext { .. } | CertificateError::NotValidForName
            )
        ),
        "{other}"
    );
}

fn failed(result: Result<Issued, IssueError>) -> IssueError {
    result.map(|issued| issued.chain).unwrap_err()
}
