//! The data directory: everything that Sluice writes is below it, and one gateway at a time has it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A data directory in use. The lock goes with it.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    lock: Option<File>,
    trouble: Option<io::Error>,
}

/// Why a data directory cannot be had.
#[derive(Debug)]
pub enum Unavailable {
    /// Another gateway has it, whose process id may be known.
    Taken(PathBuf, Option<u32>),
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Taken(path, pid) = self;
        write!(f, "the data directory `{}` is in use by another sluice", path.display())?;
        if let Some(pid) = pid {
            write!(f, " (process {pid})")?;
        }
        write!(f, "; stop it, or give this one a directory of its own with --data")
    }
}

impl std::error::Error for Unavailable {}

impl DataDir {
    /// Makes the directory (for its owner only) where it does not exist, and takes it.
    ///
    /// A directory that cannot be written is no reason not to serve: see [`DataDir::trouble`].
    ///
    /// # Errors
    /// Another gateway has it.
    pub fn take(path: &Path) -> Result<Self, Unavailable> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        if let Err(trouble) = DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            return Ok(Self { path, lock: None, trouble: Some(trouble) });
        }
        let file = path.join("lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&file);
        // Locks need no permission to write: the file of an earlier run still tells two gateways apart.
        let (mut lock, trouble) = match open {
            Ok(lock) => (lock, None),
            Err(trouble) => match File::open(&file) {
                Ok(lock) => (lock, Some(trouble)),
                Err(_) => return Ok(Self { path, lock: None, trouble: Some(trouble) }),
            },
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = lock.read_to_string(&mut pid);
                return Err(Unavailable::Taken(path, pid.trim().parse().ok()));
            }
            Err(TryLockError::Error(trouble)) => return Ok(Self { path, lock: None, trouble: Some(trouble) }),
        }
        let trouble = trouble.or_else(|| write_pid(&mut lock).err());
        Ok(Self { path, lock: Some(lock), trouble })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it cannot be written, if so: what should survive a restart will not.
    pub fn trouble(&self) -> Option<&io::Error> {
        self.trouble.as_ref()
    }

    /// Whether this process holds its lock.
    pub fn locked(&self) -> bool {
        self.lock.is_some()
    }
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// Where the data directory is when nobody says: below `XDG_STATE_HOME`, or below the home directory.
pub fn default_path() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .map(|state| state.join("sluice"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::testing::TempDir;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_for_its_owner_only_and_had_once() {
        let temp = TempDir::new("data-dir");
        let path = temp.path().join("a/b");
        let first = DataDir::take(&path).unwrap();
        assert!(first.locked() && first.trouble().is_none());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let Unavailable::Taken(_, pid) = DataDir::take(&path).unwrap_err();
        assert_eq!(pid, Some(std::process::id()));
        drop(first);
        assert!(DataDir::take(&path).unwrap().locked());
    }

    #[test]
    fn one_that_cannot_be_made_is_trouble_and_no_failure() {
        let temp = TempDir::new("data-dir-file");
        let file = temp.path().join("file");
        std::fs::write(&file, "").unwrap();
        let dir = DataDir::take(&file.join("data")).unwrap();
        assert!(!dir.locked() && dir.trouble().is_some());
    }
}
