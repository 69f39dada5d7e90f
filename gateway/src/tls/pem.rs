//! Files of certificates and keys, those of clients and of endpoints alike: read, and looked at whether they changed.

use crate::files::Stamp;
use crate::secrets::Secrets;
use crate::sites::paths;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A certificate file is not larger than this: the system's bundle has 200 KB.
const MOST_BYTES: u64 = 4 << 20;

/// Why nothing could be made of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// The file, or what stands for it.
    pub(crate) what: String,
    /// In words.
    pub(crate) reason: String,
}

/// Where a private key is.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    File(PathBuf),
    /// A secret, by its name.
    Secret(Arc<str>, Arc<Secrets>),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.reason)
    }
}

impl Trouble {
    /// With this file.
    pub(crate) fn with(path: &Path, reason: impl Into<String>) -> Self {
        Self { what: path.display().to_string(), reason: reason.into() }
    }
}

impl Key {
    /// How it is now.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::File(path) => Stamp::of(path),
            Self::Secret(name, secrets) => secrets.get(name).map(|secret| Stamp::numbered(secret.serial())),
        }
    }

    /// Reads it.
    pub(crate) fn read(&self) -> Result<PrivateKeyDer<'static>, Trouble> {
        match self {
            Self::File(path) => {
                let pem = zeroize::Zeroizing::new(content(path)?);
                PrivateKeyDer::from_pem_slice(&pem).map_err(|_| Trouble::with(path, "there is no private key in it"))
            }
            Self::Secret(name, secrets) => {
                let trouble = |reason| Trouble { what: self.to_string(), reason };
                let secret = secrets.get(name).ok_or_else(|| trouble(secrets.why_not(name)))?;
                PrivateKeyDer::from_pem_slice(secret.bytes())
                    .map_err(|_| trouble("there is no private key in it".to_owned()))
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Secret(name, _) => write!(f, "secret.{name}"),
        }
    }
}

/// Refuses files that lie, links followed, in another folder than the one that they must stay in, where there is one.
pub(crate) fn stay_within<'p>(within: Option<&Path>, mut paths: impl Iterator<Item = &'p Path>) -> Result<(), Trouble> {
    match within.and_then(|dir| paths.find(|path| !paths::inside(dir, path))) {
        Some(out) => Err(Trouble::with(out, "it leads out of this file's folder")),
        None => Ok(()),
    }
}

/// The authorities of a file.
pub(crate) fn roots(path: &Path) -> Result<RootCertStore, Trouble> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let no_sense = |e| Trouble::with(path, format!("one of its certificates makes no sense ({e})"));
        roots.add(certificate).map_err(no_sense)?;
    }
    Ok(roots)
}

/// The authorities that the system trusts, read once per process.
///
/// # Errors
/// There are none.
pub(crate) fn roots_of_system() -> Result<Arc<RootCertStore>, &'static str> {
    static ROOTS: Mutex<Option<Arc<RootCertStore>>> = Mutex::new(None);
    let mut known = ROOTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(roots) = &*known {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems carry a few that no library can read.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err("this system has none (is ca-certificates installed?)");
    }
    Ok(Arc::clone(known.insert(Arc::new(roots))))
}

/// The certificates of a file, in its order; one at least.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let pem = content(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(Trouble::with(path, "there is no certificate in it")),
        Ok(all) => Ok(all),
        Err(e) => Err(Trouble::with(path, format!("it is not PEM ({e})"))),
    }
}

/// The lists of revoked certificates of a file: PEM, or one list in DER.
pub(crate) fn revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, Trouble> {
    let bytes = content(path)?;
    // A DER sequence, which no text begins with.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes.into()]);
    }
    let all: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    match all {
        Ok(all) if all.is_empty() => Err(Trouble::with(path, "there is no list of revoked certificates in it")),
        Ok(all) => Ok(all),
        Err(e) => Err(Trouble::with(path, format!("it is neither PEM nor DER ({e})"))),
    }
}

/// What a file says, as long as that is something to read at once.
pub(crate) fn content(path: &Path) -> Result<Vec<u8>, Trouble> {
    let meta = fs::metadata(path).map_err(|e| Trouble::with(path, e.to_string()))?;
    // A pipe would be waited for.
    if !meta.is_file() {
        return Err(Trouble::with(path, "it is not a file"));
    }
    if meta.len() > MOST_BYTES {
        return Err(Trouble::with(path, format!("it is larger than {} MB", MOST_BYTES >> 20)));
    }
    fs::read(path).map_err(|e| Trouble::with(path, e.to_string()))
}
