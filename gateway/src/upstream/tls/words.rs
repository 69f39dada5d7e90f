//! Why a handshake failed, for the person who reads it.

use super::verify::NotPinned;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
use std::io;
use std::time::{Duration, SystemTime};

/// In words.
pub(super) fn of(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => of_tls(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "it closed the connection in the handshake".to_owned(),
        None => format!("the handshake broke off ({error})"),
    }
}

/// In words, where TLS is what lies below an error.
pub(super) fn within(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<Error>() {
            return Some(of_tls(tls));
        }
        // An io::Error's source is that of what it wraps.
        if let Some(io) = error.downcast_ref::<io::Error>()
            && let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
        {
            return Some(of_tls(tls));
        }
        next = error.source();
    }
    None
}

fn of_tls(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::InvalidMessage(_) => "what it answered is not TLS".to_owned(),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it asks for a client certificate; name one with `client`".to_owned()
        }
        Error::AlertReceived(AlertDescription::UnknownCA) => {
            "it does not know the authority of our client certificate".to_owned()
        }
        Error::AlertReceived(AlertDescription::BadCertificate | AlertDescription::CertificateUnknown) => {
            "it refused our client certificate, or asks for one".to_owned()
        }
        Error::AlertReceived(AlertDescription::CertificateExpired) => "our client certificate has expired".to_owned(),
        Error::AlertReceived(AlertDescription::UnrecognisedName) => "it does not serve that name".to_owned(),
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "it speaks no version of TLS that is allowed here".to_owned()
        }
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "it speaks none of the versions of HTTP that this pool's `protocol` allows (ALPN)".to_owned()
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            "it ended the handshake: no cipher in common, or it wants a client certificate (`client`)".to_owned()
        }
        Error::AlertReceived(alert) => format!("it ended the handshake ({alert:?})"),
        other => format!("the handshake failed ({other})"),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
            let names = match names.len() {
                0 => "no name".to_owned(),
                1..=4 => names.join(", "),
                more => format!("{} and {} more", names[..3].join(", "), more - 3),
            };
            format!("its certificate is for {names}, expected {}", expected.to_str())
        }
        CertificateError::NotValidForName => "its certificate is for another name".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => format!("its certificate expired on {}", day(*not_after)),
        CertificateError::Expired => "its certificate has expired".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is not valid before {}", day(*not_before))
        }
        CertificateError::NotValidYet => "its certificate is not valid yet".to_owned(),
        CertificateError::UnknownIssuer => "its certificate comes from an unknown authority".to_owned(),
        CertificateError::BadSignature => "its certificate was not signed by the authority that it names".to_owned(),
        CertificateError::Revoked => "its certificate was revoked".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not one for servers".to_owned()
        }
        CertificateError::Other(other) if other.0.downcast_ref::<NotPinned>().is_some() => NotPinned.to_string(),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "it shows an authority's own certificate; give it one for servers, or pin its key".to_owned()
        }
        other => format!("its certificate is not accepted ({other})"),
    }
}

/// `DnsName("b.internal")`, `IpAddress(10.0.0.1)`: what is between.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

fn day(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs());
    // "Fri, 02 Jan 2026 10:00:00 GMT": the day of it.
    let date = httpdate::fmt_http_date(time);
    date.get(5..16).unwrap_or(&date).to_owned()
}
