//! Directories of files that belong together: there whole or not at all.

use crate::files::{named, sync_dir};
use rustix::fs::{CWD, RenameFlags};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// No file of a certificate is larger, bytes.
const LARGEST: u64 = 256 * 1024;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{OWNER, make_dir, write_new};
    use crate::sites::testing::TempDir;

    fn dir_with(path: &Path, content: &str) {
        make_dir(path).unwrap();
        write_new(&path.join("file"), OWNER, content.as_bytes()).unwrap();
    }

    fn content(path: &Path) -> String {
        fs::read_to_string(path.join("file")).unwrap()
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
