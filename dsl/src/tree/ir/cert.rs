//! A client's certificate, as conditions and templates read it.

use std::fmt;

/// What is read of the certificate that a client proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CertPart {
    /// `tls.cert.subject`: whose it is, as RFC 4514 writes it.
    Subject,
    /// `tls.cert.issuer`: whose signature it bears, likewise.
    Issuer,
    /// `tls.cert.serial`: its number, hexadecimal.
    Serial,
    /// `tls.cert.san`: its first alternative name that is a host, a URI or an address of mail.
    San,
    /// `tls.cert.fingerprint`, and `tls.cert` itself: SHA-256 of it, hexadecimal. Always there where a
    /// certificate is.
    Fingerprint,
}

impl CertPart {
    /// All of them, in the order of the reference.
    pub const ALL: [Self; 5] = [Self::Subject, Self::Issuer, Self::Serial, Self::San, Self::Fingerprint];

    /// The member of `tls.cert`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Issuer => "issuer",
            Self::Serial => "serial",
            Self::San => "san",
            Self::Fingerprint => "fingerprint",
        }
    }

    /// The part of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }
}

impl fmt::Display for CertPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls.cert.{}", self.name())
    }
}
