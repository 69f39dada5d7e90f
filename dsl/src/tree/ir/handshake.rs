//! What a site says of its handshakes.

use super::KeyFrom;
use crate::syntax::span::Loc;
use std::fmt;
use std::sync::Arc;

/// What a site says of its handshakes, beside where its certificates come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// `tls file …`, in the order of the file; one at least where `tls` is [`super::Tls::File`].
    pub files: Vec<CertFile>,
    /// `tls min …`, `tls max …`
    pub versions: TlsVersions,
    /// `client cert …`
    pub client: Option<Arc<ClientCert>>,
    /// Whose site it is, where it is a tenant's.
    pub tenant: Option<Arc<str>>,
}

/// `tls file "cert.pem" key "key.pem"`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertFile {
    /// The chain, leaf first: PEM, relative to the folder of the route file.
    pub cert: Arc<str>,
    /// Its key.
    pub key: KeyFrom,
    /// Its line.
    pub loc: Loc,
}

/// The versions of TLS that a handshake may come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    Both,
    /// `tls max 1.2`
    Only12,
    /// `tls min 1.3`
    Only13,
}

/// `client cert [optional] from "pki/clients.pem" [crl "pki/crl.pem"]`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCert {
    /// The authorities that clients' certificates come from: PEM, relative to the folder of the route file.
    pub from: Arc<str>,
    /// Certificates that are revoked: PEM or DER, likewise.
    pub crl: Option<Arc<str>>,
    /// A client may come without one.
    pub optional: bool,
    /// The first host of the site that says so: who proved something to it has proved it to no other site.
    pub site: Arc<str>,
    /// Its line.
    pub loc: Loc,
}

impl Handshake {
    /// Whether what a handshake for one site has shown holds for another (LANGUAGE rule 26): the same versions, the
    /// same owner, and nothing that a client proved to one of them only.
    #[must_use]
    pub fn same_boundary(&self, other: &Self) -> bool {
        let client =
            |of: &Self| of.client.as_deref().map(|c| (c.from.clone(), c.crl.clone(), c.optional, c.site.clone()));
        self.versions == other.versions && self.tenant == other.tenant && client(self) == client(other)
    }

    /// The secrets that it names, and where.
    pub fn secrets(&self) -> impl Iterator<Item = (&Arc<str>, Loc)> {
        self.files.iter().filter_map(|file| match &file.key {
            KeyFrom::Secret(name) => Some((name, file.loc)),
            KeyFrom::File(_) => None,
        })
    }

    /// Whether nobody without a certificate is served.
    #[must_use]
    pub fn needs_client_cert(&self) -> bool {
        self.client.as_deref().is_some_and(|client| !client.optional)
    }
}

impl fmt::Display for CertFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            KeyFrom::File(key) => write!(f, "tls file \"{}\" key \"{key}\"", self.cert),
            KeyFrom::Secret(key) => write!(f, "tls file \"{}\" key secret.{key}", self.cert),
        }
    }
}

impl fmt::Display for TlsVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Both => "TLS 1.2 and 1.3",
            Self::Only12 => "tls max 1.2",
            Self::Only13 => "tls min 1.3",
        })
    }
}

impl fmt::Display for ClientCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let optional = if self.optional { " optional" } else { "" };
        write!(f, "client cert{optional} from \"{}\"", self.from)?;
        self.crl.iter().try_for_each(|crl| write!(f, " crl \"{crl}\""))
    }
}
