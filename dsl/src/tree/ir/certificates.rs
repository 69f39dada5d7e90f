//! Where certificates come from: what `acme { … }` in `gateway.route` says, and `via` behind `tls auto`.

use super::{HostHead, HostPattern, Segment};
use crate::syntax::span::Loc;
use std::net::SocketAddr;
use std::sync::Arc;

/// The directory of Let's Encrypt, where none is written.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// `acme { … }`: who issues the certificates of public names, and how a name is proved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acme {
    /// `contact "ops@example.com"`: mail addresses, without `mailto:`. Never empty.
    pub contact: Vec<Arc<str>>,
    /// Whom certificates are ordered from: the first, then the fallbacks as written. Never empty.
    pub authorities: Vec<Authority>,
    /// `challenges […]`: in the order of trial. Never empty.
    pub challenges: Vec<Challenge>,
    /// `dns NAME = …`, by name.
    pub providers: Vec<(Arc<str>, DnsProvider)>,
    /// Its line.
    pub loc: Loc,
}

impl Acme {
    /// The provider of this name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&DnsProvider> {
        self.providers.iter().find(|(known, _)| **known == *name).map(|(_, provider)| provider)
    }

    /// The secrets that it names.
    pub fn secrets(&self) -> impl Iterator<Item = &Arc<str>> {
        let eab = self.authorities.iter().filter_map(|authority| authority.eab.as_ref()).map(|eab| &eab.key);
        eab.chain(self.providers.iter().filter_map(|(_, provider)| provider.key()))
    }
}

/// A certificate authority that speaks ACME (RFC 8555).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    /// `directory "https://…"`; `http://` only where the host is a loopback address.
    pub directory: Arc<str>,
    /// `root "pki/root.pem"`: the trust anchors of the directory's own TLS, relative to the sites
    /// directory; those of the system where it is not written.
    pub root: Option<Arc<str>>,
    /// `eab …`
    pub eab: Option<Eab>,
    /// `profile "shortlived"`
    pub profile: Option<Arc<str>>,
    /// `limit 300/3h`: how many orders, in so many milliseconds.
    pub orders: (u32, u64),
}

/// `eab "kid-1" key secret.eab`: external account binding (RFC 8555 section 7.3.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Eab {
    /// The key's identifier, as the authority gave it.
    pub kid: Arc<str>,
    /// The secret with the MAC key, in base64url as the authority gave it.
    pub key: Arc<str>,
}

/// How a name that this gateway answers for is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Challenge {
    /// `tls-alpn`: TLS-ALPN-01 on port 443 (RFC 8737).
    TlsAlpn,
    /// `http`: HTTP-01 on port 80 (RFC 8555 section 8.3).
    Http,
}

/// `dns NAME = …`: how the record that proves a name by DNS-01 (RFC 8555 section 8.4) is put in place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DnsProvider {
    /// `rfc2136(server: "10.0.0.53:53", name: "sluice.", key: secret.tsig)`: dynamic update, signed (RFC 8945).
    Rfc2136 {
        /// Where updates are sent, by TCP.
        server: SocketAddr,
        /// The name of the TSIG key, as the server knows it.
        name: Arc<str>,
        /// `algorithm: "hmac-sha256"`
        algorithm: Tsig,
        /// The secret with the TSIG key, in base64; `key:` behind `via dns(…)` stands for it where it is missing.
        key: Option<Arc<str>>,
        /// `wait: 30s`: how long to wait, instead of asking the zone's servers for the record; milliseconds.
        wait: Option<u64>,
    },
    /// `acme-dns(server: "https://…", key: secret.adns)`: a server that only answers challenges.
    AcmeDns {
        /// Its API.
        server: Arc<str>,
        /// The secret with what it answered to the registration, as JSON.
        key: Option<Arc<str>>,
        /// As for the other one.
        wait: Option<u64>,
    },
    /// `hook("/usr/local/bin/dns-hook")`: a command of the operator's.
    Hook {
        /// The program, an absolute path.
        command: Arc<str>,
        /// The secret that it gets on its standard input, if any.
        key: Option<Arc<str>>,
        /// As for the other ones.
        wait: Option<u64>,
    },
    /// `persist()`: a record that the operator has put in place for good (dns-persist-01); nothing is changed.
    Persist,
}

impl DnsProvider {
    /// The secret that it names.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<str>> {
        match self {
            Self::Rfc2136 { key, .. } | Self::AcmeDns { key, .. } | Self::Hook { key, .. } => key.as_ref(),
            Self::Persist => None,
        }
    }
}

/// How dynamic updates are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tsig {
    /// `hmac-sha256`
    #[default]
    Sha256,
    /// `hmac-sha512`
    Sha512,
}

/// `via dns(NAME, key: secret.x)` behind `tls auto`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Via {
    /// The provider, as `gateway.route` names it.
    pub provider: Arc<str>,
    /// The secret that stands for the provider's own.
    pub key: Option<Arc<str>>,
    /// The name of the provider.
    pub loc: Loc,
}

/// The name of the certificate for hosts of a pattern: the host itself, or `*.` and the parent where one
/// label is open. `None` where no certificate covers the pattern: below `**`, and `*` alone.
#[must_use]
pub fn certificate_name(host: &HostPattern) -> Option<String> {
    match &host.head {
        HostHead::Label(Segment::Lit(_)) => host.literal(),
        HostHead::Label(Segment::Capture { .. }) if !host.parent.is_empty() => Some(format!("*.{}", host.parent)),
        HostHead::Label(Segment::Capture { .. }) | HostHead::Many => None,
    }
}

/// Whether a public authority may issue for a name: a host in lower case, or `*.` and one. Reserved names
/// (RFC 6761, RFC 6762, RFC 9476), names of one label and addresses have certificates of the internal CA.
#[must_use]
pub fn is_public(name: &str) -> bool {
    const RESERVED: [&str; 7] = ["localhost", "test", "example", "invalid", "local", "internal", "alt"];
    const DOCUMENTATION: [&str; 3] = ["example.com", "example.net", "example.org"];
    let name = name.strip_prefix("*.").unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    let Some((_, last)) = name.rsplit_once('.') else { return false };
    let below = |domain: &str| name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    let address = name.starts_with('[') || last.bytes().all(|b| b.is_ascii_digit());
    !address && !name.contains(':') && !RESERVED.contains(&last) && !DOCUMENTATION.iter().any(|d| below(d))
        // The root of reverse look-ups, and names of onion services.
        && !matches!(last, "arpa" | "onion")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_not_public() {
        for name in [
            "localhost",
            "app.localhost",
            "a.test",
            "example.com",
            "*.example.com",
            "a.b.example.org",
            "printer.local",
            "db.internal",
            "203.0.113.7",
            "[2001:db8::1]",
            "intranet",
            "x.invalid",
        ] {
            assert!(!is_public(name), "{name}");
        }
        for name in ["a.sluice-tests.net", "*.sluice-tests.net", "myexample.com", "example.app", "1and1.com"] {
            assert!(is_public(name), "{name}");
        }
    }
}
