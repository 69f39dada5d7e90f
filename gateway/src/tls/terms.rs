//! The terms of a site's handshakes where they are its own: versions, and whom clients' certificates come from.

use super::certificates::tell::date;
use super::looked::{Looked, Told};
use super::pem::{self, Trouble};
use super::tickets::{Boundary, boundary};
use super::x509::{self, Identity};
use crate::files::Stamp;
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

/// Seconds.
const DAY: i64 = 86_400;

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
    /// That of `current`: read for each request, which an `ArcSwap` would make dearer.
    generation: AtomicU64,
    /// What was found, and for how many days a list of what is revoked was said to be overdue.
    looked: Mutex<(Looked, Option<i64>)>,
}

/// Terms as the files make them now.
pub(crate) struct Current {
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    generation: u64,
    /// When the first of the lists of what is revoked is due to be replaced, seconds since 1970.
    due: Option<i64>,
    /// Of tickets: another one whenever an authority or what it revoked changes, so that no ticket from
    /// before is opened.
    pub(crate) boundary: Boundary,
    /// Made by the first handshake.
    pub(crate) config: OnceLock<Arc<ServerConfig>>,
}

/// What the files of clients' certificates come to.
pub(crate) struct Read {
    verifier: Arc<dyn ClientCertVerifier>,
    /// What tells these files from others.
    content: Boundary,
    due: Option<i64>,
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
        [Stamp::of(&self.from), self.crl.as_deref().and_then(Stamp::of)]
    }

    /// The files, for messages.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.from.as_path()).chain(self.crl.as_deref())
    }

    /// Reads them.
    pub(crate) fn read(&self) -> Result<Read, Trouble> {
        pem::stay_within(self.within.as_deref(), self.files())?;
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
        let content = boundary(&content);
        let due = crls.iter().filter_map(|list| x509::due(list)).min();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // Where there is a list, each certificate of a chain is looked up, and one that no list speaks of is
        // refused: a list that is missing must not let in whom it would keep out.
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).with_crls(crls);
        let builder = if self.optional { builder.allow_unauthenticated() } else { builder };
        let about = self.crl.as_ref().unwrap_or(&self.from);
        let verifier = builder.build().map_err(|e| Trouble::with(about, format!("it cannot be gone by ({e})")))?;
        Ok(Read { verifier, content, due })
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
        match &terms.clients {
            None => terms.take(None),
            Some(clients) => {
                let (looked, _) = &mut *terms.looked();
                looked.changed(clients.stamps());
                if let Some(read) = looked.read(clients.read()) {
                    terms.take(Some(read));
                }
            }
        }
        terms
    }

    fn looked(&self) -> MutexGuard<'_, (Looked, Option<i64>)> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read is gone by from now on.
    fn take(&self, read: Option<Read>) {
        let content = read.as_ref().map_or([0; 32], |read| read.content);
        let due = read.as_ref().and_then(|read| read.due);
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        let current = Current {
            verifier: read.map(|read| read.verifier),
            generation,
            due,
            boundary: boundary(&[&self.written, &content]),
            config: OnceLock::new(),
        };
        self.current.store(Some(Arc::new(current)));
        self.generation.store(generation, Ordering::Release);
    }

    /// Reads the files if they changed, and tells what is new.
    pub(crate) fn look(&self, now: i64, told: &mut Vec<Told>) {
        let Some(clients) = &self.clients else { return };
        let (looked, said) = &mut *self.looked();
        if looked.changed(clients.stamps()) {
            if let Some(read) = looked.read(clients.read()) {
                self.take(Some(read));
                *said = None;
                let words = format!("client certificates read again: {}", clients.from.display());
                told.push(Told { wrong: false, words });
            }
        } else if let Some(trouble) = looked.untold() {
            let goes_on = match self.current.load().as_deref() {
                Some(_) => "what was read before is gone by",
                None => "its handshakes are refused",
            };
            let words = format!("{trouble}; {goes_on}. Put the file in its place, it is read at once");
            told.push(Told { wrong: true, words });
        }
        let due = self.current.load().as_ref().and_then(|current| current.due).filter(|due| *due < now);
        // Once a day. It is gone by all the same: to refuse everybody would be worse.
        let standing = due.map(|due| (now - due) / DAY);
        if standing != *said {
            *said = standing;
            if let (Some(due), Some(crl)) = (due, &clients.crl) {
                let due = date(u64::try_from(due).unwrap_or_default());
                let words = format!(
                    "{}: a newer list of revoked certificates was due on {due}; what was revoked since is not known. \
                     Put the newer one in its place, it is read at once",
                    crl.display()
                );
                told.push(Told { wrong: true, words });
            }
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
