//! A request, as the program sees it.

use super::calls::Calls;
use super::ir::CertPart;
use crate::body::Taken;
use std::net::IpAddr;

/// What a decision may read. The data plane implements it over the received head without copying;
/// `explain`, witnesses and tests use [`Plain`].
pub trait Request {
    /// The method, as sent.
    fn method(&self) -> &str;
    /// The host: lower case, no port, no trailing dot.
    fn host(&self) -> &str;
    /// The canonical path, or as it was sent where its site says `paths raw`; starts with `/`.
    fn path(&self) -> &str;
    /// Whether its site says `paths raw`: captures are not decoded.
    fn raw_paths(&self) -> bool {
        false
    }
    /// The query, byte for byte, without `?`.
    fn query(&self) -> Option<&str>;
    /// `1.0`, `1.1`, `2`, `3`
    fn version(&self) -> &'static str;
    /// Calls `each` for every value of a header (name in lower case), in order.
    /// Values that are not UTF-8 are passed as bytes. They are slices of the request itself, so that
    /// copies can be compared without being kept.
    fn header<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8]));
    /// The client's address, IPv4-mapped ones as IPv4.
    fn client_ip(&self) -> IpAddr;
    /// The client's port.
    fn client_port(&self) -> u16;
    /// The country of the client's address: two capitals (ISO 3166-1), where it is known.
    fn country(&self) -> Option<&str> {
        None
    }
    /// Content-Length, where there is one.
    fn size(&self) -> Option<u64>;
    /// What the handshake said; `None` on clear ports.
    fn tls(&self) -> Option<TlsFacts<'_>>;
    /// What is known of its calls; `None` where nothing can be.
    fn calls(&self) -> Option<&Calls> {
        None
    }
    /// What was taken of its body so far; `None` before any of it was asked for.
    fn body(&self) -> Option<Taken<'_>> {
        None
    }
}

/// What a TLS handshake said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts<'a> {
    /// The server name.
    pub sni: Option<&'a str>,
    /// `1.2`, `1.3`
    pub version: &'a str,
    /// The protocol agreed on.
    pub alpn: Option<&'a str>,
    /// The certificate that the client proved.
    pub cert: Option<CertFacts<'a>>,
}

/// The certificate that a client proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertFacts<'a> {
    /// `tls.cert.subject`
    pub subject: &'a str,
    /// `tls.cert.issuer`
    pub issuer: &'a str,
    /// `tls.cert.serial`
    pub serial: &'a str,
    /// `tls.cert.san`
    pub san: Option<&'a str>,
    /// `tls.cert.fingerprint`
    pub fingerprint: &'a str,
}

impl<'a> CertFacts<'a> {
    /// A part of it.
    #[must_use]
    pub fn part(&self, part: CertPart) -> Option<&'a str> {
        match part {
            CertPart::Subject => Some(self.subject),
            CertPart::Issuer => Some(self.issuer),
            CertPart::Serial => Some(self.serial),
            CertPart::San => self.san,
            CertPart::Fingerprint => Some(self.fingerprint),
        }
    }
}

/// What a handshake said, as far as it is not the usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// `tls.sni`
    pub sni: Option<String>,
    /// `tls.version`
    pub version: Option<String>,
    /// `tls.alpn`
    pub alpn: Option<String>,
    /// `tls.cert`
    pub cert: Option<Box<Cert>>,
}

/// A client's certificate, as far as something is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cert {
    /// `tls.cert.subject`; empty where nothing is said.
    pub subject: String,
    /// `tls.cert.issuer`, likewise.
    pub issuer: String,
    /// `tls.cert.serial`, likewise.
    pub serial: String,
    /// `tls.cert.san`
    pub san: Option<String>,
    /// `tls.cert.fingerprint`; empty where nothing is said.
    pub fingerprint: String,
}

/// A request in plain memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// The method.
    pub method: String,
    /// `https` or `http`.
    pub https: bool,
    /// What its handshake said where that is not the host, TLS 1.3 and no protocol.
    pub tls: Handshake,
    /// The host.
    pub host: String,
    /// The canonical path; as it was sent where its site says `paths raw`.
    pub path: String,
    /// Whether its site says so.
    pub raw_paths: bool,
    /// The query.
    pub query: Option<String>,
    /// The version.
    pub version: &'static str,
    /// The headers: names in lower case, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The client.
    pub client: (IpAddr, u16),
    /// Its country, where it is known.
    pub country: Option<String>,
    /// What is known of its calls.
    pub calls: Calls,
    /// Its body, empty where it has none; `None` where nothing is known of it.
    pub body: Option<Vec<u8>>,
}

impl Default for Plain {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            https: true,
            tls: Handshake::default(),
            host: String::new(),
            path: "/".into(),
            raw_paths: false,
            query: None,
            version: "1.1",
            headers: Vec::new(),
            client: (IpAddr::from([203, 0, 113, 1]), 50_000),
            country: None,
            calls: Calls::default(),
            body: None,
        }
    }
}

impl Plain {
    /// A client that proved a certificate, of which this is said.
    pub fn prove(&mut self, part: CertPart, value: &str) {
        self.https = true;
        let cert = self.tls.cert.get_or_insert_default();
        let place = match part {
            CertPart::Subject => &mut cert.subject,
            CertPart::Issuer => &mut cert.issuer,
            CertPart::Serial => &mut cert.serial,
            CertPart::San => cert.san.get_or_insert_default(),
            CertPart::Fingerprint => &mut cert.fingerprint,
        };
        value.clone_into(place);
    }
}

impl Request for Plain {
    fn method(&self) -> &str {
        &self.method
    }
    fn host(&self) -> &str {
        &self.host
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn raw_paths(&self) -> bool {
        self.raw_paths
    }
    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
    fn version(&self) -> &'static str {
        self.version
    }
    fn header<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        for (n, v) in &self.headers {
            if n == name {
                each(v);
            }
        }
    }
    fn client_ip(&self) -> IpAddr {
        self.client.0
    }
    fn client_port(&self) -> u16 {
        self.client.1
    }
    fn country(&self) -> Option<&str> {
        self.country.as_deref()
    }
    fn size(&self) -> Option<u64> {
        let (_, v) = self.headers.iter().find(|(n, _)| n == "content-length")?;
        std::str::from_utf8(v).ok()?.parse().ok()
    }
    fn tls(&self) -> Option<TlsFacts<'_>> {
        let Handshake { sni, version, alpn, cert } = &self.tls;
        self.https.then(|| TlsFacts {
            sni: Some(sni.as_deref().unwrap_or(&self.host)),
            version: version.as_deref().unwrap_or("1.3"),
            alpn: alpn.as_deref(),
            cert: cert.as_deref().map(|cert| CertFacts {
                subject: &cert.subject,
                issuer: &cert.issuer,
                serial: &cert.serial,
                san: cert.san.as_deref(),
                fingerprint: &cert.fingerprint,
            }),
        })
    }
    fn calls(&self) -> Option<&Calls> {
        Some(&self.calls)
    }
    fn body(&self) -> Option<Taken<'_>> {
        self.body.as_ref().map(|bytes| Taken { bytes, whole: true })
    }
}
