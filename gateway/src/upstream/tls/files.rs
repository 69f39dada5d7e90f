//! The files that `tls { … }` names, and what is made of them.

use super::verify::Verifier;
use crate::files::Stamp;
use crate::secrets::Secrets;
use crate::tls::pem::{self, Key, Trouble};
use dsl::tree::ir::{KeyFrom, PoolTls};
use rustls::client::{ClientConfig, WebPkiServerVerifier};
use rustls::version;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the files are.
pub(super) struct Files {
    trust: Option<PathBuf>,
    client: Option<(PathBuf, Key)>,
}

/// What tells a file that changed from the one before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps(Vec<Option<Stamp>>);

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
        let client = self.client.iter().flat_map(|(certificate, key)| [Stamp::of(certificate), key.stamp()]);
        Stamps(self.trust.iter().map(|path| Stamp::of(path)).chain(client).collect())
    }

    /// Reads them and makes a client of it.
    pub(super) fn read(&self, settings: &PoolTls) -> Result<Arc<ClientConfig>, Trouble> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let roots = match &self.trust {
            Some(path) => Some(Arc::new(pem::roots(path)?)),
            None if settings.pins.is_empty() => Some(pem::roots_of_system().map_err(|why| Trouble {
                what: "the system's certificate authorities".to_owned(),
                reason: format!("{why}; name a `trust` file"),
            })?),
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
                .with_client_auth_cert(pem::certificates(certificate)?, key.read()?)
                .map_err(|e| other(&format!("{} with {key}", certificate.display()), e))?,
        };
        // Sessions are kept in memory and resumed, which is rustls's default.
        Ok(Arc::new(config))
    }
}
