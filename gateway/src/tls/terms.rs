//! The terms of a site's handshakes where they are its own: versions, and whom clients' certificates come from.

use super::pair::Told;
use super::pem::{self, Stamp, Trouble};
use super::tickets::{Boundary, boundary};
use super::x509::Identity;
use crate::sites::paths;
use arc_swap::ArcSwapOption;
use dsl::tree::ir::{ClientCert, TlsVersions};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Where clients' certificates come from.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    from: PathBuf,
    crl: Option<PathBuf>,
    optional: bool,
    /// The folder that both stay in, links resolved.
    within: Option<PathBuf>,
}

/// Terms of handshakes, the same object over reloads for as long as they are written the same.
pub struct Terms {
    versions: TlsVersions,
    clients: Option<Clients>,
    /// What is written; with the content of the files it makes the boundary of tickets.
    written: Boundary,
    current: ArcSwapOption<Current>,
    /// That of `current`.
    generation: AtomicU64,
    looked: Mutex<Looked>,
}

/// Terms as the files make them now.
pub(crate) struct Current {
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    generation: u64,
    /// Of tickets: another one whenever an authority or what it revoked changes, so that no ticket from
    /// before is opened.
    pub(crate) boundary: Boundary,
    /// Made by the first handshake.
    pub(crate) config: OnceLock<Arc<ServerConfig>>,
}

#[derive(Default)]
struct Looked {
    stamps: Option<[Option<Stamp>; 2]>,
    trouble: Option<(Trouble, bool)>,
}

/// A client's certificate that was proved in a handshake.
#[derive(Debug)]
pub struct Proved {
    /// What it says.
    pub identity: Identity,
    chain: Vec<CertificateDer<'static>>,
    /// The terms that it was verified by last.
    generation: AtomicU64,
}

impl Clients {
    /// Those of a site, in the folder of its route file.
    pub(crate) fn of(client: &ClientCert, dir: &Path, tenant: bool) -> Self {
        Self {
            from: dir.join(&*client.from),
            crl: client.crl.as_ref().map(|crl| dir.join(&**crl)),
            optional: client.optional,
            within: tenant.then(|| dir.to_path_buf()),
        }
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [pem::stamp(&self.from), self.crl.as_deref().and_then(pem::stamp)]
    }

    /// The files, for messages.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.from.as_path()).chain(self.crl.as_deref())
    }

    /// Reads them. With the verifier goes what tells these files from others.
    pub(crate) fn read(&self) -> Result<(Arc<dyn ClientCertVerifier>, Boundary), Trouble> {
        if let Some(dir) = &self.within
            && let Some(out) = self.files().find(|path| !paths::inside(dir, path))
        {
            return Err(Trouble::with(out, "it leads out of this file's folder"));
        }
        let roots: RootCertStore = pem::roots(&self.from)?;
        let crls = self.crl.as_deref().map(pem::revoked).transpose()?.unwrap_or_default();
        let of_root = |root: &TrustAnchor<'_>| {
            boundary(&[
                &root.subject,
                &root.subject_public_key_info,
                root.name_constraints.as_deref().unwrap_or_default(),
            ])
        };
        let of_roots: Vec<Boundary> = roots.roots.iter().map(of_root).collect();
        let mut content: Vec<&[u8]> = of_roots.iter().map(<Boundary>::as_slice).collect();
        content.extend(crls.iter().map(AsRef::as_ref));
        let digest = boundary(&content);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // Where there is a list, each certificate of a chain is looked up, and one that no list speaks of is
        // refused: a list that is missing must not let in whom it would keep out.
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).with_crls(crls);
        let builder = if self.optional { builder.allow_unauthenticated() } else { builder };
        let about = self.crl.as_ref().unwrap_or(&self.from);
        let verifier = builder.build().map_err(|e| Trouble::with(about, format!("it cannot be gone by ({e})")))?;
        Ok((verifier, digest))
    }
}

impl Terms {
    /// Reads the files for the first time. Where they make no sense every handshake is refused.
    pub(crate) fn new(versions: TlsVersions, clients: Option<Clients>, written: Boundary) -> Self {
        let terms = Self {
            versions,
            clients,
            written,
            current: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            looked: Mutex::default(),
        };
        {
            let mut looked = terms.looked();
            looked.stamps = terms.clients.as_ref().map(Clients::stamps);
            if let Err(trouble) = terms.read() {
                looked.trouble = Some((trouble, false));
            }
        }
        terms
    }

    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Result<(), Trouble> {
        let (verifier, content) = match &self.clients {
            Some(clients) => clients.read().map(|(verifier, content)| (Some(verifier), content))?,
            None => (None, [0; 32]),
        };
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        let boundary = boundary(&[&self.written, &content]);
        self.current.store(Some(Arc::new(Current { verifier, generation, boundary, config: OnceLock::new() })));
        self.generation.store(generation, Ordering::Release);
        Ok(())
    }

    /// Reads the files if they changed, and tells what is new.
    pub(crate) fn look(&self, told: &mut Vec<Told>) {
        let Some(clients) = &self.clients else { return };
        let mut looked = self.looked();
        let stamps = clients.stamps();
        if looked.stamps != Some(stamps) {
            looked.stamps = Some(stamps);
            match self.read() {
                Ok(()) => {
                    looked.trouble = None;
                    let words = format!("client certificates read again: {}", clients.from.display());
                    told.push(Told { wrong: false, words });
                }
                Err(trouble) => {
                    let same = looked.trouble.as_ref().is_some_and(|(known, told)| *told && *known == trouble);
                    looked.trouble = Some((trouble, same));
                }
            }
        } else if let Some((trouble, said @ false)) = &mut looked.trouble {
            *said = true;
            let goes_on = match self.current.load().as_deref() {
                Some(_) => "what was read before is gone by",
                None => "its handshakes are refused",
            };
            let words = format!("{trouble}; {goes_on}. Put the file in its place, it is read at once");
            told.push(Told { wrong: true, words });
        }
    }

    /// As they are now. `None`: nothing could be made of the files yet, and nobody gets in.
    pub(crate) fn current(&self) -> Option<Arc<Current>> {
        self.current.load_full()
    }

    /// The versions that it accepts.
    pub(crate) fn versions(&self) -> TlsVersions {
        self.versions
    }

    /// Whether what a connection proved is still so: files of authorities and of what they revoked may have
    /// changed since its handshake.
    pub(crate) fn holds(&self, proved: Option<&Proved>) -> bool {
        let Some(clients) = &self.clients else { return true };
        let Some(proved) = proved else { return clients.optional };
        if proved.generation.load(Ordering::Relaxed) == self.generation.load(Ordering::Acquire) {
            return true;
        }
        let Some(current) = self.current() else { return false };
        let Some((leaf, rest)) = proved.chain.split_first() else { return false };
        let holds = current.verifies(leaf, rest);
        if holds {
            proved.generation.store(current.generation, Ordering::Relaxed);
        }
        holds
    }
}

impl Current {
    /// What clients' certificates are verified by, where they are asked for.
    pub(crate) fn verifier(&self) -> Option<&Arc<dyn ClientCertVerifier>> {
        self.verifier.as_ref()
    }

    fn verifies(&self, leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> bool {
        let verified = self.verifier.as_ref().map(|v| v.verify_client_cert(leaf, rest, UnixTime::now()));
        matches!(verified, Some(Ok(_)))
    }

    /// What a handshake by these terms has proved. A ticket tells a chain from before, which may have ended since:
    /// `resumed` ones are verified again. `None` where it does not hold.
    pub(crate) fn proved(&self, chain: &[CertificateDer<'_>], resumed: bool) -> Option<Proved> {
        let (leaf, rest) = chain.split_first()?;
        let identity = Identity::of(leaf)?;
        if resumed && !self.verifies(leaf, rest) {
            return None;
        }
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Some(Proved { identity, chain, generation: AtomicU64::new(self.generation) })
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("versions", &self.versions)
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}
