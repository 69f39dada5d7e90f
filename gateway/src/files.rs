//! Files that are there whole or not at all.
//!
//! Each is written beside its place, brought to the disk, and renamed: whoever reads sees the old or the new
//! one, and after a crash or on a full disk the old one is still there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Only its owner may read and write it.
pub(crate) const OWNER: u32 = 0o600;

/// Makes a directory that only its owner can enter, and those above it, where they are not there.
///
/// # Errors
/// The file system's, naming the directory.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| named(path, &e))
}

/// Puts a file of this mode in its place, whole.
///
/// # Errors
/// The file system's, naming the file; what was there before still is.
pub(crate) fn write_whole(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let write = || {
        let beside = beside(path)?;
        let written = write_new(&beside, mode, content).and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // It takes up room that may be what was missing.
            let _ = fs::remove_file(&beside);
        }
        written?;
        // The name too must survive the machine.
        sync_dir(path.parent().unwrap_or(Path::new(".")))
    };
    write().map_err(|e| named(path, &e))
}

/// Writes a file that nobody reads yet, and brings it to the disk.
///
/// # Errors
/// The file system's.
pub(crate) fn write_new(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    remove(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Removes a file, if it is there.
///
/// # Errors
/// The file system's.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Brings the names in a directory to the disk.
///
/// # Errors
/// The file system's.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The same error, naming the file that it is about.
#[must_use]
pub(crate) fn named(path: &Path, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut beside = name.to_os_string();
    beside.push(".new");
    Ok(path.with_file_name(beside))
}

/// What tells a file that changed from the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64, u64, (i64, i64), (i64, i64));

impl Stamp {
    /// How a file is now, links followed; `None` where there is nothing to see.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        // A change of the inode's own time is seen where the content's was put back.
        let (modified, changed) = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
        Some(Self(meta.ino(), meta.size(), modified, changed))
    }

    /// Of what is no file, and is numbered.
    pub(crate) fn numbered(number: u64) -> Self {
        Self(number, 0, (0, 0), (0, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::testing::TempDir;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_has_its_mode_and_is_replaced_whole() {
        let temp = TempDir::new("whole");
        let path = temp.path().join("a/file");
        make_dir(path.parent().unwrap()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        write_whole(&path, OWNER, b"old").unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        write_whole(&path, 0o644, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"new".as_slice(), 0o644));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_names_it() {
        let temp = TempDir::new("whole-fails");
        let path = temp.path().join("file");
        write_whole(&path, OWNER, b"old").unwrap();
        // What is to be written beside it cannot be: a directory has its name.
        fs::create_dir(temp.path().join("file.new")).unwrap();
        let refused = write_whole(&path, OWNER, b"new").unwrap_err().to_string();
        assert!(refused.contains("/file: "), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
