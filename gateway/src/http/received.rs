//! A request as the program sees it, without copying.

use super::client::Client;
use dsl::body::Taken;
use dsl::tree::calls::Calls;
use dsl::tree::request::{CertFacts, Request, TlsFacts};
use http::{HeaderMap, Method, Version};
use std::net::IpAddr;

/// A request as it arrived, canonicalised.
#[derive(Clone, Copy)]
pub struct Received<'r> {
    /// The connection it came by.
    pub client: &'r Client,
    /// Who sent it, proxies that are trusted looked through.
    pub ip: IpAddr,
    /// Its method.
    pub method: &'r Method,
    /// Canonical.
    pub host: &'r str,
    /// Canonical.
    pub path: &'r str,
    /// Whether its site says `paths raw`; then the path is as it was sent.
    pub raw_paths: bool,
    /// Byte for byte.
    pub query: Option<&'r str>,
    /// Its version.
    pub version: Version,
    /// Its headers, without those in which clients speak for the gateway.
    pub headers: &'r HeaderMap,
    /// What is known of its calls; `None` where its site has none.
    pub calls: Option<&'r Calls>,
    /// What was taken of its body so far.
    pub body: Option<Taken<'r>>,
}

impl Request for Received<'_> {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &str {
        self.path
    }

    fn raw_paths(&self) -> bool {
        self.raw_paths
    }

    fn query(&self) -> Option<&str> {
        self.query
    }

    fn version(&self) -> &'static str {
        match self.version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            // Nothing else is served.
            _ => "1.1",
        }
    }

    fn header<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        let Some(values) = self.client.worker.names.with(name, |name| self.headers.get_all(name)) else { return };
        for value in values {
            each(value.as_bytes());
        }
    }

    fn client_ip(&self) -> IpAddr {
        self.ip
    }

    fn client_port(&self) -> u16 {
        self.client.port
    }

    fn country(&self) -> Option<&str> {
        self.client.worker.countries.of(self.ip)
    }

    fn size(&self) -> Option<u64> {
        let value = self.headers.get(http::header::CONTENT_LENGTH)?;
        value.to_str().ok()?.parse().ok()
    }

    fn tls(&self) -> Option<TlsFacts<'_>> {
        let tls = self.client.tls.as_ref()?;
        let cert = tls.shown.proved.as_ref().map(|proved| {
            let of = &proved.identity;
            CertFacts {
                subject: &of.subject,
                issuer: &of.issuer,
                serial: &of.serial,
                san: of.san.as_deref(),
                fingerprint: &of.fingerprint,
            }
        });
        Some(TlsFacts { sni: tls.sni.as_deref(), version: tls.version, alpn: tls.alpn, cert })
    }

    fn calls(&self) -> Option<&Calls> {
        self.calls
    }

    fn body(&self) -> Option<Taken<'_>> {
        self.body
    }
}
