//! The internal CA: made on first start, so that HTTPS works with no network.
//!
//! Leaf certificates live in memory only and are made when a handshake asks for one. They share one
//! key that lives as long as the process: a leaf is an assertion about a name, not about a key.

use crate::files::{OWNER, named, write_whole};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// A leaf outlives its place in the resolver's cache, which is a day, by far; and is shown with more than
/// the 60 days that are left when scanners begin to warn.
const LEAF_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A root of our own and what it takes to make leaves.
pub struct InternalCa {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_path: PathBuf,
    leaf_key: KeyPair,
    leaf_signer: Arc<dyn SigningKey>,
}

impl fmt::Debug for InternalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InternalCa").field("root_path", &self.root_path).finish_non_exhaustive()
    }
}

impl InternalCa {
    /// Reads the root from `dir`, or makes one there: `root.crt` and, readable by its owner only,
    /// `root.key`.
    ///
    /// # Errors
    /// What the file system or the files' content object to, in words that name the file.
    pub fn load_or_create(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir).map_err(|e| named(dir, &e))?;
        let key_path = dir.join("root.key");
        let root_path = dir.join("root.crt");
        match (key_path.exists(), root_path.exists()) {
            (true, true) => {}
            // A key without a root was left by a start that was cut short: nobody trusts it yet.
            (false, false) | (true, false) => create_root(&key_path, &root_path)?,
            (false, true) => {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!(
                        "{} is there but its key {} is not; remove the former to start with a new root",
                        root_path.display(),
                        key_path.display()
                    ),
                ));
            }
        }
        let pem = fs::read_to_string(&key_path).map_err(|e| named(&key_path, &e))?;
        let root_key = KeyPair::from_pem(&pem).map_err(|e| invalid(&key_path, &e))?;
        let root = CertificateDer::from_pem_file(&root_path).map_err(|e| invalid(&root_path, &e))?;
        let issuer = Issuer::from_ca_cert_der(&root, root_key).map_err(|e| invalid(&root_path, &e))?;
        Self::with(issuer, root, root_path)
    }

    /// A root that ends with the process: where nothing can be written.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn ephemeral() -> io::Result<Self> {
        let (key, root) = new_root()?;
        let root = root.der().clone();
        let issuer = Issuer::from_ca_cert_der(&root, key).map_err(io::Error::other)?;
        Self::with(issuer, root, PathBuf::new())
    }

    fn with(issuer: Issuer<'static, KeyPair>, root: CertificateDer<'static>, root_path: PathBuf) -> io::Result<Self> {
        let leaf_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let leaf_signer = any_ecdsa_type(&der).map_err(io::Error::other)?;
        Ok(Self { issuer, root, root_path, leaf_key, leaf_signer })
    }

    /// Where the root certificate lies: `curl --cacert` takes it. Empty when it lies nowhere.
    #[must_use]
    pub fn root_path(&self) -> &Path {
        &self.root_path
    }

    /// The root certificate.
    #[must_use]
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// Makes a certificate for these names: hosts in lower case or addresses. `None` when a name
    /// cannot stand in a certificate.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Option<Arc<CertifiedKey>> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).ok()?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        // A common name holds 64 characters at most; the alternative names are what counts.
        if let Some(first) = names.first().filter(|n| n.len() <= 64) {
            params.distinguished_name.push(DnType::CommonName, first.as_str());
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let now = SystemTime::now();
        params.not_before = (now - DAY).into();
        params.not_after = (now + LEAF_LIFE).into();
        let leaf = params.signed_by(&self.leaf_key, &self.issuer).ok()?;
        let chain = vec![leaf.der().clone()];
        Some(Arc::new(CertifiedKey::new(chain, Arc::clone(&self.leaf_signer))))
    }
}

fn new_root() -> io::Result<(KeyPair, rcgen::Certificate)> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Sluice");
    params.distinguished_name.push(DnType::CommonName, "Sluice internal CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + ROOT_LIFE).into();
    let root = params.self_signed(&key).map_err(io::Error::other)?;
    Ok((key, root))
}

fn create_root(key_path: &Path, root_path: &Path) -> io::Result<()> {
    let (key, root) = new_root()?;
    // The key first: a root whose key was lost is worse than a key without a root.
    write_whole(key_path, OWNER, key.serialize_pem().as_bytes())?;
    write_whole(root_path, 0o644, root.pem().as_bytes())
}

fn invalid(path: &Path, e: &dyn fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("sluice-ca-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn the_root_is_made_once_and_its_key_is_private() {
        let dir = scratch("once");
        let first = InternalCa::load_or_create(&dir).expect("a new root");
        let mode = fs::metadata(dir.join("root.key")).expect("the key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = InternalCa::load_or_create(&dir).expect("the same root");
        assert_eq!(first.root(), second.root());
        assert_eq!(first.root_path(), dir.join("root.crt"));
        fs::remove_dir_all(&dir).expect("clean up");
    }

    #[test]
    fn a_root_without_its_key_is_named() {
        let dir = scratch("lost");
        InternalCa::load_or_create(&dir).expect("a new root");
        fs::remove_file(dir.join("root.key")).expect("remove");
        let refused = InternalCa::load_or_create(&dir).expect_err("no key").to_string();
        assert!(refused.contains("root.key"), "{refused}");
        fs::remove_dir_all(&dir).expect("clean up");
    }

    #[test]
    fn leaves_carry_names_and_addresses() {
        let dir = scratch("leaf");
        let ca = InternalCa::load_or_create(&dir).expect("a new root");
        let leaf = ca.issue(&["app.localhost", "127.0.0.1"]).expect("a leaf");
        let cert = rustls::server::ParsedCertificate::try_from(&leaf.cert[0]).expect("parses");
        for name in ["app.localhost", "127.0.0.1"] {
            let name = rustls::pki_types::ServerName::try_from(name).expect("a name");
            rustls::client::verify_server_name(&cert, &name).expect("the leaf says so");
        }
        assert!(ca.issue(&["no spaces allowed\u{e9}"]).is_none());
        fs::remove_dir_all(&dir).expect("clean up");
    }
}
