//! The load of side-by-side's handshakes: TLS 1.3, full or resumed, one after the other on many connections.
//!
//!     handshakes KIND PORT SECONDS NAME GROUP
//!
//! A connection is opened, shakes hands, waits for the ticket it is given, and is closed; no request is
//! made. Each handshake is looked at: of another kind, version or group than asked for, or failed, it
//! ends the run without a figure. Certificates are not looked at, save that their key signed.

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, NamedGroup, ProtocolVersion,
    SignatureScheme,
};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections at a time.
const CLIENTS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(20);

/// What is asked for.
#[derive(Clone, Debug)]
struct Wanted {
    kind: HandshakeKind,
    port: u16,
    seconds: u64,
    name: String,
    group: NamedGroup,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(wanted) = Wanted::read(&arguments) else {
        eprintln!("usage: handshakes full|resumed PORT SECONDS NAME x25519|mlkem");
        return ExitCode::FAILURE;
    };
    let begin = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let wanted = wanted.clone();
            std::thread::spawn(move || client(&wanted, begin))
        })
        .collect();
    let mut units = 0;
    for client in clients {
        match client.join().expect("no client panics") {
            Ok(count) => units += count,
            Err(words) => {
                println!("{words}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{{\"units\": {units}}}");
    ExitCode::SUCCESS
}

impl Wanted {
    fn read(arguments: &[String]) -> Option<Self> {
        let [kind, port, seconds, name, group] = arguments else { return None };
        let kind = match kind.as_str() {
            "full" => HandshakeKind::Full,
            "resumed" => HandshakeKind::Resumed,
            _ => return None,
        };
        let group = match group.as_str() {
            "x25519" => NamedGroup::X25519,
            "mlkem" => NamedGroup::X25519MLKEM768,
            _ => return None,
        };
        Some(Self { kind, port: port.parse().ok()?, seconds: seconds.parse().ok()?, name: name.clone(), group })
    }

    /// A client's settings, with a memory for tickets of its own.
    fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups.retain(|group| group.name() == self.group);
        let provider = Arc::new(provider);
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.kind == HandshakeKind::Full {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }
}

/// Shakes hands until the time is over: how often, after a first one that brings a ticket.
fn client(wanted: &Wanted, begin: Instant) -> Result<u64, String> {
    let config = wanted.config().map_err(|e| e.to_string())?;
    let mut count = 0;
    shake(wanted, &config)?;
    while begin.elapsed() < Duration::from_secs(wanted.seconds) {
        let kind = shake(wanted, &config)?;
        if kind != wanted.kind {
            return Err(format!("a handshake was {kind:?} and not {:?}", wanted.kind));
        }
        count += 1;
    }
    // One more was paid for, in full, whatever was asked for.
    Ok(count + 1)
}

fn shake(wanted: &Wanted, config: &Arc<ClientConfig>) -> Result<HandshakeKind, String> {
    let name = ServerName::try_from(wanted.name.clone()).map_err(|e| e.to_string())?;
    let mut session = ClientConnection::new(Arc::clone(config), name).map_err(|e| e.to_string())?;
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, wanted.port)).map_err(|e| format!("connect: {e}"))?;
    let io = |e: std::io::Error| format!("handshake: {e}");
    socket.set_nodelay(true).and_then(|()| socket.set_read_timeout(Some(PATIENCE))).map_err(io)?;
    while session.is_handshaking() {
        session.complete_io(&mut socket).map_err(io)?;
    }
    let kind = session.handshake_kind().ok_or("no kind of handshake")?;
    if session.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return Err(format!("{:?} and not TLS 1.3", session.protocol_version()));
    }
    let group = session.negotiated_key_exchange_group().map(|group| group.name());
    if group != Some(wanted.group) {
        return Err(format!("{group:?} and not {:?}", wanted.group));
    }
    while session.tls13_tickets_received() == 0 {
        if session.read_tls(&mut socket).map_err(|e| format!("ticket: {e}"))? == 0 {
            return Err("closed before a ticket came".into());
        }
        session.process_new_packets().map_err(|e| format!("ticket: {e}"))?;
    }
    session.send_close_notify();
    let mut goodbye = Vec::new();
    session.write_tls(&mut goodbye).map_err(io)?;
    socket.write_all(&goodbye).and_then(|()| socket.shutdown(Shutdown::Write)).map_err(|e| format!("close: {e}"))?;
    // Whatever the server says to that; it may also have closed meanwhile.
    let mut rest = [0; 2048];
    while matches!(socket.read(&mut rest), Ok(1..)) {}
    Ok(kind)
}

/// Takes every certificate whose key signed the handshake.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
