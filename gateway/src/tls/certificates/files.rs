//! Files that are there whole or not at all, for their owner only.
//!
//! Each is written beside its place, brought to the disk, and renamed: whoever reads sees the old or the new
//! one, and after a crash or on a full disk the old one is still there.

use rustix::fs::{CWD, RenameFlags};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// No file of a certificate is larger, bytes.
const LARGEST: u64 = 256 * 1024;

/// Makes a directory that only its owner can enter, and those above it, where they are not there.
///
/// # Errors
/// The file system's, naming the directory.
pub fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| named(path, &e))
}

/// Puts a file in its place, whole.
///
/// # Errors
/// The file system's, naming the file; what was there before still is.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let write = || {
        let beside = beside(path)?;
        let written = write_new(&beside, content).and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // It takes up room that may be what was missing.
            let _ = fs::remove_file(&beside);
        }
        written?;
        sync_dir(path.parent().unwrap_or(Path::new(".")))
    };
    write().map_err(|e| named(path, &e))
}

/// Writes a file that nobody reads yet, and brings it to the disk.
///
/// # Errors
/// The file system's.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Puts the directory `new` where `place` is, or may be; what was there lies in `old` for a moment, and is
/// removed. At no time is there a mixture of both at `place`.
///
/// # Errors
/// The file system's, naming the place; what was there before still is, or lies in `old` (see [`put_back`]).
pub fn swap_dir(new: &Path, place: &Path, old: &Path) -> io::Result<()> {
    let swap = || {
        sync_dir(new)?;
        let parent = place.parent().unwrap_or(Path::new("."));
        if fs::symlink_metadata(place).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            fs::rename(new, place)?;
            return sync_dir(parent);
        }
        // At once, where the file system can do that; else there is a moment with nothing, which is mended
        // at the next start.
        if rustix::fs::renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE).is_ok() {
            sync_dir(parent)?;
            return remove_dir(new);
        }
        remove_dir(old)?;
        fs::rename(place, old)?;
        fs::rename(new, place)?;
        sync_dir(parent)?;
        remove_dir(old)
    };
    swap().map_err(|e| named(place, &e))
}

/// Mends what a crash in the middle of [`swap_dir`] left: `old` goes back where nothing is at `place`.
///
/// # Errors
/// The file system's, naming the place.
pub fn put_back(place: &Path, old: &Path) -> io::Result<()> {
    let put = || match fs::symlink_metadata(place) {
        Ok(_) => remove_dir(old),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::rename(old, place)?;
            sync_dir(place.parent().unwrap_or(Path::new(".")))
        }
        Err(e) => Err(e),
    };
    put().map_err(|e| named(place, &e))
}

/// Removes a directory with all that is in it, if it is there.
///
/// # Errors
/// The file system's.
pub fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads an open file whole, if it is not absurdly large.
///
/// # Errors
/// The file system's, or that it is too large.
pub fn read_whole(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than any certificate"));
    }
    Ok(content)
}

/// Brings the names in a directory to the disk.
///
/// # Errors
/// The file system's.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The same error, naming the file that it is about.
#[must_use]
pub fn named(path: &Path, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

fn beside(path: &Path) -> io::Result<std::path::PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut beside = name.to_os_string();
    beside.push(".new");
    Ok(path.with_file_name(beside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::testing::TempDir;
    use std::os::unix::fs::PermissionsExt;

    fn dir_with(path: &Path, content: &str) {
        make_dir(path).unwrap();
        write_new(&path.join("file"), content.as_bytes()).unwrap();
    }

    fn content(path: &Path) -> String {
        fs::read_to_string(path.join("file")).unwrap()
    }

    #[test]
    fn a_file_is_private_and_replaced_whole() {
        let temp = TempDir::new("whole");
        let path = temp.path().join("a/file");
        make_dir(path.parent().unwrap()).unwrap();
        write_whole(&path, b"old").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_names_it() {
        let temp = TempDir::new("whole-fails");
        let path = temp.path().join("file");
        write_whole(&path, b"old").unwrap();
        // What is to be written beside it cannot be: a directory has its name.
        fs::create_dir(temp.path().join("file.new")).unwrap();
        let refused = write_whole(&path, b"new").unwrap_err().to_string();
        assert!(refused.contains("/file: "), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_directory_takes_the_place_of_another_and_nothing_is_left_over() {
        let temp = TempDir::new("swap");
        let [new, place, old] = ["new", "place", "old"].map(|name| temp.path().join(name));
        for round in ["1", "2", "3"] {
            dir_with(&new, round);
            swap_dir(&new, &place, &old).unwrap();
            assert_eq!(content(&place), round);
        }
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_crash_left_aside_goes_back_and_never_over_something_newer() {
        let temp = TempDir::new("put-back");
        let [place, old] = ["place", "old"].map(|name| temp.path().join(name));
        dir_with(&old, "before the crash");
        put_back(&place, &old).unwrap();
        assert_eq!(content(&place), "before the crash");
        dir_with(&old, "older");
        put_back(&place, &old).unwrap();
        assert_eq!(content(&place), "before the crash");
        assert!(!old.exists());
    }
}
