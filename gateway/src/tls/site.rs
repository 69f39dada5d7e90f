//! What a site's handshakes are made with, found again over reloads.

use super::looked::Told;
use super::pair::{FilePair, Pair, Source, unix_now};
use super::terms::{Clients, Proved, Terms};
use super::tickets::{Boundary, boundary};
use crate::secrets::Secrets;
use crate::upstream::Table;
use dsl::lint::files::Cover;
use dsl::tree::ir::{HostPattern, KeyFrom, Site, TlsVersions};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Certificates whose end is in the metrics: those that end first.
const SHOWN: usize = 100;

/// What a site's handshakes are made with.
#[derive(Debug, Default)]
pub struct SiteTls {
    /// Of connections: what was shown on one side of it holds for no other (LANGUAGE rule 26).
    boundary: Boundary,
    pairs: Vec<Arc<FilePair>>,
    /// Where they are not those of everybody.
    terms: Option<Arc<Terms>>,
}

/// The files of all sites' handshakes.
#[derive(Default)]
pub struct SiteFiles {
    pairs: Mutex<Table<Boundary, FilePair>>,
    terms: Mutex<Table<Boundary, Terms>>,
}

impl std::fmt::Debug for SiteFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SiteFiles").finish_non_exhaustive()
    }
}

/// When a certificate of a file ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The first name that it is for.
    pub name: Box<str>,
    /// The file.
    pub file: String,
    /// Seconds from now; negative where it is over.
    pub left: i64,
}

impl SiteFiles {
    /// What a site's handshakes are made with; `dir` is the folder of its route file. Files that are named
    /// already are not read again.
    pub fn intern(&self, site: &Site, dir: &Path, secrets: &Arc<Secrets>) -> SiteTls {
        let handshake = &site.settings.handshake;
        let tenant = handshake.tenant.as_deref();
        let hosts: Vec<HostPattern> = site.hosts.iter().map(|(host, _)| host.clone()).collect();
        let folder = dir.as_os_str().as_encoded_bytes();
        let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let pairs = handshake.files.iter().map(|file| {
            let (kind, key): (&[u8], _) = match &file.key {
                KeyFrom::File(key) => (b"file", key),
                KeyFrom::Secret(key) => (b"secret", key),
            };
            let whose = tenant.unwrap_or_default().as_bytes();
            let mut parts: Vec<&[u8]> = vec![folder, file.cert.as_bytes(), kind, key.as_bytes(), whose];
            parts.extend(names.iter().map(|name| name.as_bytes()));
            let who = boundary(&parts);
            let mut known = lock(&self.pairs);
            known.get(&who).unwrap_or_else(|| {
                let source = Source::of(file, dir, tenant.is_some(), secrets);
                let pair = Arc::new(FilePair::new(source, hosts.clone()));
                known.insert(who, &pair);
                pair
            })
        });
        let pairs = pairs.collect();
        let mut written: Vec<&[u8]> = vec![match handshake.versions {
            TlsVersions::Both => b"both",
            TlsVersions::Only12 => b"1.2",
            TlsVersions::Only13 => b"1.3",
        }];
        if let Some(client) = &handshake.client {
            let optional: &[u8] = if client.optional { b"may" } else { b"must" };
            let crl = client.crl.as_deref().unwrap_or_default().as_bytes();
            written.extend([folder, client.from.as_bytes(), crl, optional, client.site.as_bytes()]);
        }
        let written = boundary(&written);
        let own = handshake.client.is_some() || handshake.versions != TlsVersions::Both;
        let terms = own.then(|| {
            let mut known = lock(&self.terms);
            known.get(&written).unwrap_or_else(|| {
                let clients = handshake.client.as_ref().map(|client| Clients::of(client, dir, tenant.is_some()));
                let terms = Arc::new(Terms::new(handshake.versions, clients, written));
                known.insert(written, &terms);
                terms
            })
        });
        let boundary = match (tenant, &terms) {
            (None, None) => [0; 32],
            (tenant, _) => boundary(&[&written, tenant.unwrap_or_default().as_bytes()]),
        };
        SiteTls { boundary, pairs, terms }
    }

    /// Whether there are any.
    #[must_use]
    pub fn any(&self) -> bool {
        !lock(&self.pairs).is_empty() || !lock(&self.terms).is_empty()
    }

    /// Reads files that changed, and tells what there is to tell.
    pub fn look(&self) -> Vec<Told> {
        let (pairs, terms) = (lock(&self.pairs).live(), lock(&self.terms).live());
        let now = unix_now();
        let mut told = Vec::new();
        pairs.iter().for_each(|pair| pair.look(now, &mut told));
        terms.iter().for_each(|terms| terms.look(now, &mut told));
        told
    }

    /// When certificates of files end: how many there are, and those that end first.
    #[must_use]
    pub fn expiries(&self) -> (usize, Vec<Expiry>) {
        let now = unix_now();
        let pairs = lock(&self.pairs).live();
        let of = |pair: &Arc<FilePair>| {
            let current = pair.current()?;
            let name = current.leaf.names.first().cloned().unwrap_or_default();
            Some(Expiry { name, file: pair.to_string(), left: current.leaf.not_after.saturating_sub(now) })
        };
        let mut all: Vec<Expiry> = pairs.iter().filter_map(of).collect();
        let count = all.len();
        all.sort_by(|a, b| (a.left, &a.file).cmp(&(b.left, &b.file)));
        // One file may stand in several sites.
        all.dedup_by(|a, b| a.file == b.file);
        all.truncate(SHOWN);
        (count, all)
    }
}

impl SiteTls {
    /// Of connections: those of one boundary may be used for one another's requests.
    #[must_use]
    pub fn boundary(&self) -> Boundary {
        self.boundary
    }

    /// Terms of its own.
    pub(crate) fn terms(&self) -> Option<&Arc<Terms>> {
        self.terms.as_ref()
    }

    /// The certificate of its files for a host that the client's algorithms can do with. `None` for a host that
    /// none of them is for.
    #[must_use]
    pub fn certificate(&self, host: Option<&str>, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pattern = host.map(HostPattern::of_literal);
        let covers = |pair: &Arc<Pair>| pattern.as_ref().is_none_or(|host| pair.covers(host) == Cover::All);
        let mut first = None;
        for pair in self.pairs.iter().filter_map(|pair| pair.current()).filter(covers) {
            if pair.key.key.choose_scheme(hello.signature_schemes()).is_some() {
                return Some(Arc::clone(&pair.key));
            }
            first.get_or_insert(pair);
        }
        first.map(|pair| Arc::clone(&pair.key))
    }

    /// Whether a connection of this boundary, that proved this, may ask the site.
    #[must_use]
    pub fn admits(&self, boundary: Boundary, proved: Option<&Proved>) -> bool {
        boundary == self.boundary && self.terms.as_ref().is_none_or(|terms| terms.holds(proved))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
