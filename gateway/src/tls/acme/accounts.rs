//! The accounts that authorities know us by: a key, and the URL that the authority gave it.

use crate::files::{OWNER, make_dir, named, write_whole};
use crate::tls::x509::hex;
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// An account.
#[derive(Clone)]
pub struct Account {
    /// Its key: ECDSA P-256, PKCS#8 DER.
    pub key: Zeroizing<Vec<u8>>,
    /// Its URL.
    pub id: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Where accounts are kept: one for each directory.
pub trait Accounts: Send + Sync + fmt::Debug {
    /// The account at a directory, if one was kept.
    ///
    /// # Errors
    /// When what was kept cannot be read. Nobody then makes another account in its place.
    fn load(&self, directory: &str) -> io::Result<Option<Account>>;

    /// Keeps an account.
    ///
    /// # Errors
    /// When it cannot be written.
    fn keep(&self, directory: &str, account: &Account) -> io::Result<()>;
}

/// Accounts in files of a directory that only the gateway's user may read.
#[derive(Clone, Debug)]
pub struct AccountFiles {
    dir: PathBuf,
}

impl AccountFiles {
    /// In this directory, which is made when it is needed.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// A directory's URL can stand in no file name.
    fn file(&self, directory: &str) -> PathBuf {
        let name = hex(&digest(&SHA256, directory.as_bytes()).as_ref()[..12]);
        self.dir.join(format!("{name}.pem"))
    }
}

impl Accounts for AccountFiles {
    fn load(&self, directory: &str) -> io::Result<Option<Account>> {
        let path = self.file(directory);
        let text = match fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(named(&path, &e)),
        };
        let broken =
            |why: &dyn fmt::Display| named(&path, &io::Error::new(io::ErrorKind::InvalidData, why.to_string()));
        let id = text.lines().find_map(|line| line.strip_prefix("account: ")).map(str::trim);
        let id = id.filter(|id| !id.is_empty()).ok_or_else(|| broken(&"it names no account"))?.to_owned();
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|e| broken(&e))?;
        Ok(Some(Account { key: Zeroizing::new(key.secret_pkcs8_der().to_vec()), id }))
    }

    fn keep(&self, directory: &str, account: &Account) -> io::Result<()> {
        let path = self.file(directory);
        // PEM readers skip what stands before the key.
        let head = format!("directory: {directory}\naccount: {}\n", account.id);
        let key = KeyPair::try_from(&PrivatePkcs8KeyDer::from(account.key.as_slice())).map_err(io::Error::other)?;
        let key = Zeroizing::new(key.serialize_pem());
        let text = Zeroizing::new(format!("{head}{}", *key));
        make_dir(&self.dir)?;
        write_whole(&path, OWNER, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::PKCS_ECDSA_P256_SHA256;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_account_is_kept_for_its_directory_alone() {
        let dir = std::env::temp_dir().join(format!("sluice-accounts-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let files = AccountFiles::new(&dir);
        assert!(files.load("https://a/dir").expect("nothing there").is_none());
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key").serialize_der();
        let account = Account { key: Zeroizing::new(key), id: "https://a/acct/1".to_owned() };
        files.keep("https://a/dir", &account).expect("kept");
        let back = files.load("https://a/dir").expect("read").expect("there");
        assert_eq!((&*back.key, &back.id), (&*account.key, &account.id));
        assert!(files.load("https://b/dir").expect("nothing there").is_none());
        let mode = fs::metadata(files.file("https://a/dir")).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(files.file("https://a/dir"), "nonsense").expect("written");
        let why = files.load("https://a/dir").expect_err("it makes no sense").to_string();
        assert!(why.contains("it names no account"), "{why}");
        assert!(!format!("{account:?}").contains("key"));
        fs::remove_dir_all(&dir).expect("clean up");
    }
}
