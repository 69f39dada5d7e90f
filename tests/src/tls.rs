//! TLS clients that trust one root, or look at what they are shown.

use crate::pki::Identity;
use crate::wire::Wire;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

/// What a client offers.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    /// The name it asks for and verifies.
    pub name: &'a str,
    /// Whether the name is sent.
    pub sni: bool,
    /// The protocols it offers, best first.
    pub alpn: &'a [&'a str],
    /// TLS 1.2 only.
    pub old: bool,
    /// The certificate that it shows when it is asked for one.
    pub identity: Option<&'a Identity>,
}

impl<'a> Offer<'a> {
    /// HTTP/1.1 for a name.
    pub fn h1(name: &'a str) -> Self {
        Self { name, sni: true, alpn: &["http/1.1"], old: false, identity: None }
    }

    /// The same, with a certificate to show.
    pub fn showing(self, identity: &'a Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }

    /// HTTP/2 for a name.
    pub fn h2(name: &'a str) -> Self {
        Self { alpn: &["h2"], ..Self::h1(name) }
    }
}

/// The configuration of a client that trusts the certificate in a file and nothing else.
pub fn config(root: &Path, offer: &Offer<'_>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(root).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] =
        if offer.old { &[&rustls::version::TLS12] } else { &[&rustls::version::TLS13] };
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match offer.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_auth_cert(identity.chain(), identity.private_key()).unwrap(),
    };
    config.alpn_protocols = offer.alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    config.enable_sni = offer.sni;
    Arc::new(config)
}

/// A handshake that succeeded.
pub struct Secured {
    /// The connection.
    pub wire: Wire,
    /// The protocol that was chosen.
    pub alpn: Option<String>,
    /// The certificates that were shown, leaf first.
    pub shown: Vec<CertificateDer<'static>>,
}

/// Shakes hands, or says why not.
pub fn connect(addr: SocketAddr, root: &Path, offer: &Offer<'_>) -> std::io::Result<Secured> {
    let name = ServerName::try_from(offer.name.to_owned()).unwrap();
    let session = ClientConnection::new(config(root, offer), name).unwrap();
    let socket = TcpStream::connect(addr)?;
    socket.set_nodelay(true)?;
    over(socket, session)
}

/// Shakes hands from an address of this machine, or says why not.
pub fn connect_from(source: IpAddr, addr: SocketAddr, root: &Path, offer: &Offer<'_>) -> std::io::Result<Secured> {
    shake(source, addr, config(root, offer), offer.name)
}

/// Likewise, as a configuration says that was made before.
pub fn shake(source: IpAddr, addr: SocketAddr, config: Arc<ClientConfig>, name: &str) -> std::io::Result<Secured> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let session = ClientConnection::new(config, name).unwrap();
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect(&addr.into())?;
    socket.set_tcp_nodelay(true)?;
    over(socket.into(), session)
}

/// Shakes hands, waits for a ticket (TLS 1.3 brings it later), and closes: of which kind the handshake was. Who
/// passes the same configuration again shows what it was given.
pub fn kind(addr: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<rustls::HandshakeKind> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut session = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut socket = TcpStream::connect(addr)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(crate::wait::PATIENCE))?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    let old = session.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_2);
    while !old && session.tls13_tickets_received() == 0 && session.read_tls(&mut socket)? > 0 {
        session.process_new_packets().map_err(std::io::Error::other)?;
    }
    Ok(session.handshake_kind().expect("the handshake is over"))
}

/// Shakes hands over a connection that is open already.
pub fn over(mut socket: TcpStream, mut session: ClientConnection) -> std::io::Result<Secured> {
    socket.set_read_timeout(Some(crate::wait::PATIENCE))?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    let alpn = session.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned());
    let shown = session.peer_certificates().unwrap_or_default().iter().map(|c| c.clone().into_owned()).collect();
    let below = socket.try_clone()?;
    Ok(Secured { wire: Wire::over(Box::new(StreamOwned::new(session, socket)), below), alpn, shown })
}
