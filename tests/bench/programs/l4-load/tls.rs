//! TLS from load to origin: the certificate in the given file and no other, nothing resumed.

use crate::shape::{BULK, RAW};
use crate::streams::PATIENCE;
use crate::{Outcome, because};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, SignatureScheme, Stream};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The name that is sent in the hello, by which proxies tell the connections apart.
pub const NAME: &str = "pass.bench.test";

/// [`NAME`], as rustls wants it.
pub fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).expect("it is a host name")
}

/// Accepts exactly one certificate.
#[derive(Debug)]
struct Exactly(CertificateDer<'static>, Arc<CryptoProvider>);

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("this is not the origin's certificate".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.1.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.1.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}

fn client(certificate: &str) -> Outcome<Arc<ClientConfig>> {
    let certificate = CertificateDer::from_pem_file(certificate).map_err(because("certificate"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(because("TLS 1.3"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Exactly(certificate, provider)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// For clients.
pub fn connector(certificate: &str) -> Outcome<TlsConnector> {
    client(certificate).map(TlsConnector::from)
}

/// For the origin.
pub fn acceptor(certificate: &str, key: &str) -> Outcome<TlsAcceptor> {
    let certificate = CertificateDer::from_pem_file(certificate).map_err(because("certificate"))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(because("key"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(because("TLS 1.3"))?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(because("certificate"))?;
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A connection that began with TLS and a byte each way in it, and then goes on without: who carries it
/// cannot tell, and neither end spends its time on ciphers.
pub fn raw_after_handshake(to: SocketAddr, certificate: &str) -> Outcome<TcpStream> {
    let mut tcp = TcpStream::connect_timeout(&to, PATIENCE).map_err(because("connect"))?;
    tcp.set_read_timeout(Some(PATIENCE)).map_err(because("timeout"))?;
    tcp.set_write_timeout(Some(PATIENCE)).map_err(because("timeout"))?;
    let mut session = ClientConnection::new(client(certificate)?, name()).map_err(because("TLS"))?;
    let mut tls = Stream::new(&mut session, &mut tcp);
    tls.write_all(&[RAW]).map_err(because("handshake"))?;
    let mut answer = [0];
    tls.read_exact(&mut answer).map_err(because("handshake"))?;
    if answer == [BULK] { Ok(tcp) } else { Err(format!("answered {answer:?} within TLS")) }
}
