//! What certificates say, as far as we tell it on: names and times of our own, the identity of a client's.

use aws_lc_rs::digest;
use std::fmt::Write;
use std::net::IpAddr;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Names of a certificate that are kept: no authority signs as many.
const NAMES: usize = 1_000;

/// What a certificate of ours is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The hosts, `*.` included, and addresses.
    pub names: Vec<Box<str>>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
}

/// What a client's certificate says of it: what `tls.cert.…` reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Whose it is, as RFC 4514 writes it: `CN=ann,O=Example`.
    pub subject: Box<str>,
    /// Whose signature it bears, likewise.
    pub issuer: Box<str>,
    /// Its number, hexadecimal, lower case.
    pub serial: Box<str>,
    /// The first alternative name that is a host, a URI or an address of mail.
    pub san: Option<Box<str>>,
    /// SHA-256 of all of it, hexadecimal, lower case.
    pub fingerprint: Box<str>,
}

impl Leaf {
    /// Reads a certificate. `None`: it makes no sense.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let (_, cert) = X509Certificate::from_der(der).ok()?;
        let names = alternatives(&cert).filter_map(|name| match name {
            GeneralName::DNSName(host) => Some(host.to_ascii_lowercase().into()),
            GeneralName::IPAddress(bytes) => Some(address(bytes)?.to_string().into()),
            _ => None,
        });
        let validity = cert.validity();
        Some(Self {
            names: names.take(NAMES).collect(),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }
}

impl Identity {
    /// Reads a certificate that was proved. `None`: it makes no sense.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let (_, cert) = X509Certificate::from_der(der).ok()?;
        let san = alternatives(&cert).find_map(|name| match name {
            GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => Some((*text).into()),
            _ => None,
        });
        Some(Self {
            subject: distinguished(cert.subject()).into(),
            issuer: distinguished(cert.issuer()).into(),
            serial: hex(cert.raw_serial()).into(),
            san,
            fingerprint: hex(digest::digest(&digest::SHA256, der).as_ref()).into(),
        })
    }
}

/// When a list of revoked certificates is due to be replaced by a newer one, seconds since 1970 (RFC 5280 section
/// 5.1.2.5). `None` where it does not say, or makes no sense.
pub(crate) fn due(list: &[u8]) -> Option<i64> {
    let (_, list) = CertificateRevocationList::from_der(list).ok()?;
    list.next_update().map(|at| at.timestamp())
}

fn alternatives<'c>(cert: &'c X509Certificate<'_>) -> impl Iterator<Item = &'c GeneralName<'c>> {
    let san = cert.subject_alternative_name().ok().flatten();
    san.map(|san| san.value.general_names.as_slice()).unwrap_or_default().iter()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four: Result<[u8; 4], _> = bytes.try_into();
    let sixteen: Result<[u8; 16], _> = bytes.try_into();
    four.map(IpAddr::from).or(sixteen.map(IpAddr::from)).ok()
}

/// A name as RFC 4514 writes it: the last part first, and nothing in a value can be taken for another part.
fn distinguished(name: &X509Name<'_>) -> String {
    let mut parts: Vec<_> = name.iter_rdn().collect();
    parts.reverse();
    let mut out = String::new();
    for (n, part) in parts.into_iter().enumerate() {
        for (m, attribute) in part.iter().enumerate() {
            if n + m > 0 {
                out.push(if m > 0 { '+' } else { ',' });
            }
            attribute_into(attribute, &mut out);
        }
    }
    out
}

fn attribute_into(attribute: &AttributeTypeAndValue<'_>, out: &mut String) {
    let oid = attribute.attr_type().to_id_string();
    // RFC 4514 section 3, and two that every tool writes so.
    let short = match oid.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => "",
    };
    match (short, attribute.as_str()) {
        ("", _) | (_, Err(_)) => {
            let value = attribute.as_slice();
            let _ = write!(out, "{}=#{}", if short.is_empty() { &oid } else { short }, hex(value));
        }
        (short, Ok(text)) => {
            out.push_str(short);
            out.push('=');
            escaped(text, out);
        }
    }
}

/// RFC 4514 section 2.4.
fn escaped(text: &str, out: &mut String) {
    let last = text.chars().count().saturating_sub(1);
    for (n, c) in text.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', c]),
            ' ' if n == 0 || n == last => out.push_str("\\ "),
            '#' if n == 0 => out.push_str("\\#"),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(out, "\\{byte:02x}");
                }
            }
            c => out.push(c),
        }
    }
}

/// Hexadecimal, lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Memory takes all of it.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["A.example.com".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_are_those_that_clients_compare() {
        let leaf = Leaf::of(&made(|_| {})).unwrap();
        assert_eq!(leaf.names.iter().map(|n| &**n).collect::<Vec<_>>(), ["a.example.com", "192.0.2.1"]);
        assert!(leaf.not_before < leaf.not_after);
        assert_eq!(Leaf::of(b"no certificate"), None);
    }

    #[test]
    fn a_value_cannot_pass_for_another_part_of_the_name() {
        let der = made(|params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
            params.distinguished_name.push(DnType::CommonName, "ann,O=Admins+OU=\"x\"\n");
            params.subject_alt_names = vec![SanType::URI("spiffe://example/ann".try_into().unwrap())];
            params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x0a, 0xff]));
        });
        let identity = Identity::of(&der).unwrap();
        assert_eq!(&*identity.subject, "CN=ann\\,O=Admins\\+OU=\\\"x\\\"\\0a,O=Example\\, Inc.");
        assert_eq!(identity.san.as_deref(), Some("spiffe://example/ann"));
        assert_eq!(&*identity.serial, "0aff");
        assert_eq!(identity.fingerprint.len(), 64);
    }
}
