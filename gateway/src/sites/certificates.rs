//! Files of certificates that sites name: a site whose files cannot be used does not load.

use crate::files::Stamp;
use crate::secrets::Secrets;
use crate::tls::pair::{Pair, Source, unix_now};
use crate::tls::terms::Clients;
use dsl::diagnostic::Diagnostic;
use dsl::lint::files::{Cover, Validity, cover, one_label, uncovered, unusable, validity};
use dsl::tree::ir::{CertFile, KeyFrom, Site};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is typed to mend a pair.
const PAIR: &str = "name a PEM file with the chain, the site's own certificate first, and one with its private key: `tls file \"cert.pem\" key \"key.pem\"`";

/// What is typed to mend the files of clients.
const CLIENTS: &str = "name a PEM file with the certificates of the authorities, and behind `crl` one with their lists: `client cert from \"pki/clients.pem\" crl \"pki/crl.pem\"`";

/// Files as they were looked at.
pub type Seen = Vec<(PathBuf, Option<Stamp>)>;

/// The files of certificates and keys that a site names, as they are now.
pub fn seen(site: &Site, dir: &Path) -> Seen {
    let handshake = &site.settings.handshake;
    let pairs = handshake.files.iter().flat_map(|file| {
        let key = match &file.key {
            KeyFrom::File(key) => Some(key),
            KeyFrom::Secret(_) => None,
        };
        std::iter::once(&file.cert).chain(key)
    });
    let clients = handshake.client.iter().flat_map(|client| std::iter::once(&client.from).chain(&client.crl));
    pairs
        .chain(clients)
        .map(|name| dir.join(&**name))
        .map(|path| {
            let stamp = Stamp::of(&path);
            (path, stamp)
        })
        .collect()
}

/// What is wrong with the files of a site, in the folder of its route file. Keys that are secrets are looked at
/// where there are secrets, and once they are at hand.
pub fn check(site: &Site, dir: &Path, secrets: Option<&Arc<Secrets>>) -> Vec<Diagnostic> {
    let handshake = &site.settings.handshake;
    let tenant = handshake.tenant.is_some();
    let mut findings = Vec::new();
    let mut names: Vec<Box<str>> = Vec::new();
    let mut unread = false;
    for file in &handshake.files {
        match names_of(file, dir, tenant, secrets) {
            Ok(of) => names.extend(of),
            Err(finding) => {
                unread = true;
                findings.push(finding);
            }
        }
    }
    if let Some(client) = &handshake.client
        && let Err(trouble) = Clients::of(client, dir, tenant).read()
    {
        findings.push(unusable(client.loc, &shown(&trouble.what, dir), &trouble.reason, CLIENTS));
    }
    // Nothing is known of what one that cannot be read is for.
    if let Some(first) = handshake.files.first().filter(|_| !unread) {
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        for (host, at) in &site.hosts {
            match cover(host, names.iter().copied()) {
                Cover::All => {}
                Cover::OneLabel => findings.push(one_label(first.loc, host, *at)),
                Cover::Not => findings.push(uncovered(first.loc, host, *at, &names)),
            }
        }
    }
    findings
}

#[expect(clippy::result_large_err, reason = "rare, and handed on as it is")]
fn names_of(
    file: &CertFile,
    dir: &Path,
    tenant: bool,
    secrets: Option<&Arc<Secrets>>,
) -> Result<Vec<Box<str>>, Diagnostic> {
    let at_hand = match (&file.key, secrets) {
        (KeyFrom::File(_), _) => true,
        (KeyFrom::Secret(name), Some(secrets)) => secrets.get(name).is_some(),
        (KeyFrom::Secret(_), None) => false,
    };
    let none = Arc::default();
    let source = Source::of(file, dir, tenant, secrets.unwrap_or(&none));
    let read = if at_hand { source.read().map(|pair: Pair| pair.leaf) } else { source.read_leaf() };
    read.map(|leaf| leaf.names).map_err(|t| unusable(file.loc, &shown(&t.what, dir), &t.reason, PAIR))
}

/// What the clock says of the certificates of a site: for `lint`, never for a load.
pub fn by_clock(site: &Site, dir: &Path) -> Vec<Diagnostic> {
    let handshake = &site.settings.handshake;
    let now = unix_now();
    let none = Arc::default();
    let of = |file: &CertFile| {
        let leaf = Source::of(file, dir, handshake.tenant.is_some(), &none).read_leaf().ok()?;
        validity(file.loc, &file.cert, Validity::of(leaf.not_before, leaf.not_after, now))
    };
    handshake.files.iter().filter_map(of).collect()
}

/// A file as its route file names it.
fn shown(what: &str, dir: &Path) -> String {
    Path::new(what).strip_prefix(dir).map_or_else(|_| what.to_owned(), |path| path.display().to_string())
}
