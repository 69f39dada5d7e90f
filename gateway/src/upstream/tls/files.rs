//! The files that `tls { … }` names, and what is made of them.

use super::verify::{Verifier, roots_of_system};
use crate::secrets::Secrets;
use dsl::tree::ir::{KeyFrom, PoolTls};
use rustls::client::{ClientConfig, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, version};
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A certificate file is not larger than this: the system's bundle has 200 KB.
const MOST_BYTES: u64 = 4 << 20;

/// Where the files are.
pub(super) struct Files {
    trust: Option<PathBuf>,
    client: Option<(PathBuf, Key)>,
}

/// Where the key of the client certificate is.
enum Key {
    File(PathBuf),
    /// A secret, by its name.
    Secret(Arc<str>, Arc<Secrets>),
}

/// What tells a file that changed from the one before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps(Vec<Option<(u64, u64, i64, i64)>>);

/// Why nothing could be made of a file.
pub(super) struct Trouble {
    what: String,
    reason: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.reason)
    }
}

impl Files {
    /// Those that the settings name, in a route file's directory; keys may be secrets.
    pub(super) fn of(settings: &PoolTls, dir: &Path, secrets: &Arc<Secrets>) -> Self {
        let at = |name: &Arc<str>| dir.join(&**name);
        let key = |from: &KeyFrom| match from {
            KeyFrom::File(name) => Key::File(at(name)),
            KeyFrom::Secret(name) => Key::Secret(Arc::clone(name), Arc::clone(secrets)),
        };
        Self {
            trust: settings.trust.as_ref().map(at),
            client: settings.client.as_ref().map(|(certificate, from)| (at(certificate), key(from))),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.trust.is_none() && self.client.is_none()
    }

    /// As they are now.
    pub(super) fn stamps(&self) -> Stamps {
        let stamp = |path: &PathBuf| {
            let meta = fs::metadata(path).ok()?;
            // A change of the inode's own time is seen where the content's was put back.
            Some((
                meta.ino(),
                meta.size(),
                meta.mtime() ^ (meta.mtime_nsec() << 32),
                meta.ctime() ^ (meta.ctime_nsec() << 32),
            ))
        };
        let client = self.client.iter().flat_map(|(certificate, key)| {
            let key = match key {
                Key::File(path) => stamp(path),
                Key::Secret(name, secrets) => secrets.get(name).map(|secret| (secret.serial(), 0, 0, 0)),
            };
            [stamp(certificate), key]
        });
        Stamps(self.trust.iter().map(stamp).chain(client).collect())
    }

    /// Reads them and makes a client of it.
    pub(super) fn read(&self, settings: &PoolTls) -> Result<Arc<ClientConfig>, Trouble> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let roots = match &self.trust {
            Some(path) => Some(Arc::new(trusted(path)?)),
            None if settings.pins.is_empty() => Some(
                roots_of_system()
                    .map_err(|reason| Trouble { what: "the system's certificate authorities".to_owned(), reason })?,
            ),
            // Whoever pins a key knows whom they talk to.
            None => None,
        };
        let other = |what: &str, e: rustls::Error| Trouble { what: what.to_owned(), reason: e.to_string() };
        let chain = match roots {
            Some(roots) => Some(
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(|e| Trouble { what: "the trusted authorities".to_owned(), reason: e.to_string() })?,
            ),
            None => None,
        };
        let verifier = Verifier::new(chain, settings.pins.clone(), provider.signature_verification_algorithms);
        let versions: &[_] = if settings.min_13 { &[&version::TLS13] } else { &[&version::TLS13, &version::TLS12] };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|e| other("the protocol versions", e))?
            .dangerous() // it verifies more than the usual one does, never less than a key
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificates(certificate)?, key.read()?)
                .map_err(|e| other(&format!("{} with {key}", certificate.display()), e))?,
        };
        // Sessions are kept in memory and resumed, which is rustls's default.
        Ok(Arc::new(config))
    }
}

impl Key {
    fn read(&self) -> Result<PrivateKeyDer<'static>, Trouble> {
        match self {
            Self::File(path) => private_key(path),
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

fn trusted(path: &Path) -> Result<RootCertStore, Trouble> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| trouble(path, format!("one of its certificates makes no sense ({e})")))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let pem = content(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(trouble(path, "there is no certificate in it".to_owned())),
        Ok(all) => Ok(all),
        Err(e) => Err(trouble(path, format!("it is not PEM ({e})"))),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Trouble> {
    let pem = content(path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| trouble(path, "there is no private key in it".to_owned()))
}

fn content(path: &Path) -> Result<Vec<u8>, Trouble> {
    let meta = fs::metadata(path).map_err(|e| trouble(path, e.to_string()))?;
    // A pipe would be waited for.
    if !meta.is_file() {
        return Err(trouble(path, "it is not a file".to_owned()));
    }
    if meta.len() > MOST_BYTES {
        return Err(trouble(path, format!("it is larger than {} MB", MOST_BYTES >> 20)));
    }
    fs::read(path).map_err(|e| trouble(path, e.to_string()))
}

fn trouble(path: &Path, reason: String) -> Trouble {
    Trouble { what: path.display().to_string(), reason }
}
