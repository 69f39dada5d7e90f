//! Certificates on disk: `certificates/` in the data directory, a directory for each name.
//!
//! ```text
//! certificates/            0700
//!   a.example.com/         0700, replaced as a whole
//!     cert.pem             the chain, leaf first
//!     key.pem              0600
//!   _.example.com/         the wildcard *.example.com
//!   account/               accounts at authorities
//!   ledger                 what was ordered when
//! ```
//!
//! INVARIANT: at no time are a certificate and a key of different issues in a name's directory, whatever ends
//! the process in between; who reads opens the directory once and reads both files in it.

use super::dirs;
use super::pair::Pair;
use crate::files::{self, OWNER};
use rustix::fs::{CWD, Mode, OFlags};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Where new directories are made, and old ones lie for a moment. No name of a host is a single label.
const NEW: &str = "new";
const OLD: &str = "old";
const CERT: &str = "cert.pem";
const KEY: &str = "key.pem";

/// The certificates of a data directory.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// A chain and its key, as they are written.
type Read = (Vec<u8>, zeroize::Zeroizing<Vec<u8>>);

/// Why there is nothing of a name.
#[derive(Debug)]
pub enum LoadError {
    /// There is no certificate of it.
    Missing,
    /// It cannot be read now; it may be later.
    Unreadable(String),
    /// What is there is of no use: another one must be had.
    Broken(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no certificate"),
            Self::Unreadable(why) | Self::Broken(why) => f.write_str(why),
        }
    }
}

impl Store {
    /// The certificates below this data directory. Nothing is read or made.
    #[must_use]
    pub fn at(data: &Path) -> Self {
        Self { dir: data.join("certificates") }
    }

    /// Where they lie.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory where it is missing, and mends what a crash left.
    ///
    /// # Errors
    /// The file system's, naming a file: nothing can be kept then.
    pub fn prepare(&self) -> io::Result<()> {
        files::make_dir(&self.dir)?;
        let old = self.dir.join(OLD);
        for file in entries(&old)? {
            dirs::put_back(&self.dir.join(&file), &old.join(&file))?;
        }
        dirs::remove_dir(&self.dir.join(NEW))
    }

    /// The names that there are certificates of, in no order. Nothing is opened but the directory.
    ///
    /// # Errors
    /// The file system's, naming the directory.
    pub fn names(&self) -> io::Result<Vec<Box<str>>> {
        Ok(entries(&self.dir)?.iter().filter_map(|file| name_of(file)).collect())
    }

    /// Keeps a certificate and its key, both PEM, in the place of those before.
    ///
    /// # Errors
    /// The file system's, naming a file. What was there before still is.
    pub fn keep(&self, name: &str, chain: &str, key: &str) -> io::Result<()> {
        let file = file_of(name);
        let new = self.dir.join(NEW).join(&file);
        let write = || {
            dirs::remove_dir(&new)?;
            files::make_dir(&new)?;
            files::write_new(&new.join(CERT), OWNER, chain.as_bytes())?;
            files::write_new(&new.join(KEY), OWNER, key.as_bytes())
        };
        if let Err(e) = write() {
            // It takes up room that may be what was missing.
            let _ = dirs::remove_dir(&new);
            return Err(files::named(&self.dir.join(&file), &e));
        }
        let old = self.dir.join(OLD);
        files::make_dir(&old)?;
        dirs::swap_dir(&new, &self.dir.join(&file), &old.join(&file))
    }

    /// Reads the certificate and key of a name, and checks that they are its own and belong together.
    ///
    /// # Errors
    /// Why there is none, in words that name the file.
    pub fn load(&self, name: &str) -> Result<Pair, LoadError> {
        let path = self.dir.join(file_of(name));
        let (chain, key) = match self.read(&path) {
            Ok(both) => both,
            Err((_, e)) if e.kind() == io::ErrorKind::NotFound && !path.exists() => return Err(LoadError::Missing),
            Err((file, e)) => {
                let why = format!("{}: {e}", path.join(file).display());
                return Err(match e.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidData => LoadError::Broken(why),
                    _ => LoadError::Unreadable(why),
                });
            }
        };
        Pair::read(&chain, &key, name).map_err(|why| LoadError::Broken(format!("{}: {why}", path.display())))
    }

    /// Removes what is kept of a name.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        dirs::remove_dir(&self.dir.join(file_of(name)))
    }

    /// Both files, from one and the same directory, though another may take its place meanwhile.
    fn read(&self, path: &Path) -> Result<Read, (&'static str, io::Error)> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, path, flags | OFlags::DIRECTORY, Mode::empty());
        let dir = dir.map_err(|e| ("", io::Error::from(e)))?;
        let read = |file: &'static str| {
            let opened = rustix::fs::openat(dir.as_fd(), file, flags, Mode::empty()).map_err(io::Error::from);
            opened.and_then(|fd| dirs::read_whole(File::from(fd))).map_err(|e| (file, e))
        };
        Ok((read(CERT)?, read(KEY)?.into()))
    }
}

/// How the directory of a name is called. No other name begins with an underscore, and shells leave it alone.
pub(super) fn file_of(name: &str) -> String {
    name.strip_prefix("*.").map_or_else(|| name.to_owned(), |parent| format!("_.{parent}"))
}

/// The name whose directory is called so, if it is one's.
pub(super) fn name_of(file: &str) -> Option<Box<str>> {
    let name = file.strip_prefix("_.").map_or_else(|| file.to_owned(), |parent| format!("*.{parent}"));
    super::names::is_public(&name).then(|| name.into())
}

/// What lies in a directory; nothing where it is not there.
fn entries(dir: &Path) -> io::Result<Vec<String>> {
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(files::named(dir, &e)),
    };
    let mut all = Vec::new();
    for entry in listed {
        let entry = entry.map_err(|e| files::named(dir, &e))?;
        all.extend(entry.file_name().into_string().ok());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::pair::testing::made_now;
    use super::*;
    use crate::sites::testing::TempDir;
    use std::os::unix::fs::PermissionsExt;

    fn kept(store: &Store, name: &str) -> (String, String) {
        let (chain, key) = made_now(name, 90);
        store.keep(name, &chain, &key).unwrap();
        (chain, key)
    }

    fn opened(name: &str) -> (TempDir, Store) {
        let temp = TempDir::new(name);
        let store = Store::at(temp.path());
        store.prepare().unwrap();
        (temp, store)
    }

    #[test]
    fn what_was_kept_is_found_again_and_its_key_is_private() {
        let (_temp, store) = opened("certificates");
        assert!(matches!(store.load("a.sluice.dev"), Err(LoadError::Missing)));
        kept(&store, "a.sluice.dev");
        kept(&store, "*.sluice.dev");
        let second = kept(&store, "a.sluice.dev");
        let mut names = store.names().unwrap();
        names.sort();
        assert_eq!(names, ["*.sluice.dev".into(), Box::<str>::from("a.sluice.dev")]);
        assert!(store.load("*.sluice.dev").is_ok());
        let pair = store.load("a.sluice.dev").unwrap();
        let expected = Pair::read(second.0.as_bytes(), second.1.as_bytes(), "a.sluice.dev").unwrap();
        assert_eq!(pair.leaf(), expected.leaf(), "the newest");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.dir().join("a.sluice.dev/key.pem")), 0o600);
        assert_eq!((mode(store.dir()), mode(&store.dir().join("a.sluice.dev"))), (0o700, 0o700));
    }

    #[test]
    fn a_crash_leaves_the_old_pair_or_the_new_one() {
        let (_temp, store) = opened("certificates-crash");
        kept(&store, "a.sluice.dev");
        let before = store.load("a.sluice.dev").unwrap();
        // Killed while the new one was written, and once more between the two renames of a file system
        // that cannot exchange.
        let new = store.dir().join("new/a.sluice.dev");
        files::make_dir(&new).unwrap();
        fs::write(new.join("cert.pem"), "half").unwrap();
        fs::rename(store.dir().join("a.sluice.dev"), store.dir().join("old/a.sluice.dev")).unwrap();
        assert!(matches!(store.load("a.sluice.dev"), Err(LoadError::Missing)));
        store.prepare().unwrap();
        assert_eq!(store.load("a.sluice.dev").unwrap().leaf(), before.leaf());
        assert!(!new.exists());
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_pair() {
        let (_temp, store) = opened("certificates-full");
        kept(&store, "a.sluice.dev");
        let before = store.load("a.sluice.dev").unwrap();
        // Nothing can be made below a file: what a full disk comes to.
        fs::remove_dir(store.dir().join("new")).unwrap();
        fs::write(store.dir().join("new"), "").unwrap();
        let (chain, key) = made_now("a.sluice.dev", 90);
        let refused = store.keep("a.sluice.dev", &chain, &key).unwrap_err().to_string();
        assert!(refused.contains("a.sluice.dev"), "{refused}");
        assert_eq!(store.load("a.sluice.dev").unwrap().leaf(), before.leaf());
    }

    #[test]
    fn what_is_of_no_use_is_told_from_what_cannot_be_read_now() {
        let (_temp, store) = opened("certificates-broken");
        kept(&store, "a.sluice.dev");
        let (_, other) = made_now("b.sluice.dev", 90);
        let key = store.dir().join("a.sluice.dev/key.pem");
        fs::write(&key, other).unwrap();
        let Err(LoadError::Broken(why)) = store.load("a.sluice.dev") else { panic!("it was read") };
        assert!(why.contains("do not belong together"), "{why}");
        fs::remove_file(&key).unwrap();
        let Err(LoadError::Broken(why)) = store.load("a.sluice.dev") else { panic!("it was read") };
        assert!(why.contains("key.pem"), "{why}");
        // A directory in its place is an error of reading that is neither.
        fs::create_dir(&key).unwrap();
        let Err(LoadError::Unreadable(why)) = store.load("a.sluice.dev") else { panic!("it was read") };
        assert!(why.contains("key.pem"), "{why}");
    }
}
