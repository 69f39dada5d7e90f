//! Whether an endpoint is who it shall be.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, danger};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::fmt;
use std::sync::Arc;

/// The key of a certificate is none of those that are pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotPinned;

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its key is none of the pinned ones")
    }
}

impl std::error::Error for NotPinned {}

/// By authority and name, by key, or by both.
#[derive(Debug)]
pub(super) struct Verifier {
    /// `None`: the key alone counts, and there is a pin.
    chain: Option<Arc<WebPkiServerVerifier>>,
    pins: Vec<[u8; 32]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(
        chain: Option<Arc<WebPkiServerVerifier>>,
        pins: Vec<[u8; 32]>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { chain, pins, algorithms }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(chain) = &self.chain {
            let _: danger::ServerCertVerified = chain.verify_server_cert(end_entity, intermediates, name, ocsp, now)?;
            if self.pins.is_empty() {
                return Ok(ServerCertVerified::assertion());
            }
        }
        // The pin of RFC 7469 section 2.4: SHA-256 of the SubjectPublicKeyInfo.
        let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let pin = digest(&SHA256, &key);
        if self.pins.iter().any(|pinned| pinned == pin.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::Other(OtherError(Arc::new(NotPinned))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
