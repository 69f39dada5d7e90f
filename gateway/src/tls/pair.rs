//! `tls file`: a chain and its key, read again when they change. The last good pair serves until the next one is.

use super::looked::{Looked, Told};
use super::pem::{self, Key, Trouble};
use super::x509::Leaf;
use crate::files::Stamp;
use arc_swap::ArcSwapOption;
use dsl::lint::files::{Cover, Validity, cover};
use dsl::tree::ir::{CertFile, HostPattern, KeyFrom};
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// A chain with its key, and what the leaf says.
#[derive(Debug)]
pub struct Pair {
    /// What handshakes are signed with.
    pub key: Arc<CertifiedKey>,
    /// Whom it is for, and how long.
    pub leaf: Leaf,
}

/// Where a pair is read from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) cert: PathBuf,
    pub(crate) key: Key,
    /// The folder that both stay in, links resolved: a tenant's files name nothing elsewhere.
    pub(crate) within: Option<PathBuf>,
}

/// A pair of files of a site, and what was read of it last.
pub struct FilePair {
    source: Source,
    /// The hosts of its site.
    hosts: Vec<HostPattern>,
    current: ArcSwapOption<Pair>,
    looked: Mutex<(Looked, Said)>,
}

/// What was told of the times of the pair that serves: which end of them, and how many days.
type Said = Option<(std::mem::Discriminant<Validity>, i64)>;

impl Source {
    /// That of a line, in the folder of its route file.
    pub(crate) fn of(file: &CertFile, dir: &Path, tenant: bool, secrets: &Arc<crate::secrets::Secrets>) -> Self {
        let key = match &file.key {
            KeyFrom::File(name) => Key::File(dir.join(&**name)),
            KeyFrom::Secret(name) => Key::Secret(Arc::clone(name), Arc::clone(secrets)),
        };
        Self { cert: dir.join(&*file.cert), key, within: tenant.then(|| dir.to_path_buf()) }
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [Stamp::of(&self.cert), self.key.stamp()]
    }

    /// Reads the certificate alone.
    pub(crate) fn read_leaf(&self) -> Result<Leaf, Trouble> {
        self.leaf_of(&self.read_chain()?)
    }

    fn read_chain(&self) -> Result<Vec<CertificateDer<'static>>, Trouble> {
        let key = match &self.key {
            Key::File(path) => Some(path.as_path()),
            Key::Secret(..) => None,
        };
        pem::stay_within(self.within.as_deref(), std::iter::once(self.cert.as_path()).chain(key))?;
        pem::certificates(&self.cert)
    }

    fn leaf_of(&self, chain: &[CertificateDer<'_>]) -> Result<Leaf, Trouble> {
        let leaf = chain.first().and_then(|first| Leaf::of(first));
        leaf.ok_or_else(|| Trouble::with(&self.cert, "its first certificate makes no sense"))
    }

    /// Reads both, and sees that they belong together.
    pub(crate) fn read(&self) -> Result<Pair, Trouble> {
        let chain = self.read_chain()?;
        let leaf = self.leaf_of(&chain)?;
        let of_key = |reason: &str| Trouble { what: self.key.to_string(), reason: reason.to_owned() };
        let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&self.key.read()?).map_err(|_| {
            of_key("its key is of no kind that TLS uses here (RSA of 2048 bits and more, P-256, P-384, P-521, Ed25519)")
        })?;
        let key = CertifiedKey::new(chain, signer);
        if key.keys_match().is_err() {
            let why = format!(
                "it is not the key of the first certificate in {}; the certificate of the site comes first, then those that lead to its authority",
                self.cert.display()
            );
            return Err(of_key(&why));
        }
        Ok(Pair { key: Arc::new(key), leaf })
    }
}

impl FilePair {
    /// Reads it for the first time.
    pub(crate) fn new(source: Source, hosts: Vec<HostPattern>) -> Self {
        let mut looked = Looked::default();
        looked.changed(source.stamps());
        let current = ArcSwapOption::new(looked.read(source.read()).map(Arc::new));
        Self { source, hosts, current, looked: Mutex::new((looked, None)) }
    }

    /// What serves now.
    pub fn current(&self) -> Option<Arc<Pair>> {
        self.current.load_full()
    }

    /// Reads the files if they changed; what is new is told.
    pub(crate) fn look(&self, now: i64, told: &mut Vec<Told>) {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let (looked, said) = &mut *looked;
        if looked.changed(self.source.stamps()) {
            let before = self.current();
            let read = self.source.read().and_then(|next| self.takes(before.as_deref(), next, now));
            if let Some(next) = looked.read(read) {
                *said = None;
                self.current.store(Some(Arc::new(next)));
                told.push(Told { wrong: false, words: format!("certificate read again: {self}") });
            }
        } else if let Some(trouble) = looked.untold() {
            let goes_on = match self.current.load().as_deref() {
                Some(_) => "the one before it serves on",
                None => "its handshakes are refused",
            };
            let words =
                format!("{trouble}; {goes_on}. Put a certificate and its key in their places, they are read at once");
            told.push(Told { wrong: true, words });
        }
        if let Some(pair) = self.current() {
            let validity = Validity::of(pair.leaf.not_before, pair.leaf.not_after, now);
            let standing = validity.words().map(|_| (std::mem::discriminant(&validity), validity.days()));
            // Said once a day, and when it ends.
            if standing != *said {
                *said = standing;
                if let Some(words) = validity.words() {
                    let words =
                        format!("certificate {} {words}; put a new one in its place", self.source.cert.display());
                    told.push(Told { wrong: true, words });
                }
            }
        }
    }

    /// Whether a pair may take the place of the one that serves.
    fn takes(&self, before: Option<&Pair>, next: Pair, now: i64) -> Result<Pair, Trouble> {
        let Some(before) = before else { return Ok(next) };
        let refused = |reason: String| Err(Trouble::with(&self.source.cert, reason));
        let lost = self.hosts.iter().find(|host| before.covers(host) == Cover::All && next.covers(host) != Cover::All);
        if let Some(host) = lost {
            let names: Vec<&str> = next.leaf.names.iter().map(|name| &**name).collect();
            return refused(format!("it is for {}, and no longer for {host}", names.join(", ")));
        }
        let valid = |pair: &Pair| Validity::of(pair.leaf.not_before, pair.leaf.not_after, now).is_valid();
        if valid(before) && !valid(&next) {
            let words = Validity::of(next.leaf.not_before, next.leaf.not_after, now).words().unwrap_or_default();
            return refused(format!("the certificate in it {words}"));
        }
        Ok(next)
    }
}

impl Pair {
    /// How far it is for the hosts of a pattern.
    pub(crate) fn covers(&self, host: &HostPattern) -> Cover {
        cover(host, self.leaf.names.iter().map(|name| &**name))
    }
}

impl fmt::Display for FilePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.cert.display().fmt(f)
    }
}

impl fmt::Debug for FilePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilePair").field("cert", &self.source.cert).finish_non_exhaustive()
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
