//! `sluice certs renew NAME`: what a command asks of the process that runs, by files in the data directory.
//!
//! A request is an empty file with the name of the certificate; the answer is a file beside it. Whoever may
//! write there may read the keys as well.

use super::store::{file_of, name_of};
use crate::files::{self, OWNER};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// So many are looked at at once; more wait.
const AT_ONCE: usize = 100;

fn place(dir: &Path, name: &str, kind: &str) -> PathBuf {
    dir.join("requests").join(file_of(name) + kind)
}

/// Asks for another certificate.
///
/// # Errors
/// The file system's, naming a file.
pub fn ask(dir: &Path, name: &str) -> io::Result<()> {
    files::make_dir(&dir.join("requests"))?;
    remove(&place(dir, name, ".answer"))?;
    files::write_whole(&place(dir, name, ".ask"), OWNER, b"")
}

/// What was answered, if anything was: nothing to say, or why not.
///
/// # Errors
/// The file system's, naming a file.
pub fn answered(dir: &Path, name: &str) -> io::Result<Option<Result<(), String>>> {
    let path = place(dir, name, ".answer");
    match fs::read_to_string(&path) {
        Ok(said) => {
            remove(&path)?;
            Ok(Some(if said.is_empty() { Ok(()) } else { Err(said) }))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(files::named(&path, &e)),
    }
}

/// Takes a request back.
pub fn withdraw(dir: &Path, name: &str) {
    // If it is gone, it was taken.
    let _ = remove(&place(dir, name, ".ask"));
}

/// Takes what is asked for, and answers by `decide`. What cannot be read is left.
pub(super) fn take(dir: &Path, mut decide: impl FnMut(&str) -> Result<(), String>) {
    let Ok(listed) = fs::read_dir(dir.join("requests")) else { return };
    for entry in listed.flatten().take(AT_ONCE) {
        let Ok(file) = entry.file_name().into_string() else { continue };
        let Some(name) = file.strip_suffix(".ask").map(name_of) else { continue };
        // Taken before it is answered: what cannot be removed would be done again and again.
        let (Ok(()), Some(name)) = (fs::remove_file(entry.path()), name) else { continue };
        let said = decide(&name).err().unwrap_or_default();
        // Who asked finds out by the certificate.
        let _ = files::write_whole(&place(dir, &name, ".answer"), OWNER, said.as_bytes());
    }
}

fn remove(path: &Path) -> io::Result<()> {
    files::remove(path).map_err(|e| files::named(path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::testing::TempDir;

    #[test]
    fn a_request_is_taken_once_and_answered() {
        let temp = TempDir::new("requests");
        let dir = temp.path();
        take(dir, |_| panic!("nobody asked"));
        for name in ["a.sluice-tests.net", "*.sluice-tests.net"] {
            ask(dir, name).unwrap();
            assert_eq!(answered(dir, name).unwrap(), None);
        }
        let mut asked = Vec::new();
        take(dir, |name| {
            asked.push(name.to_owned());
            if name.starts_with('*') { Err("no site wants it".into()) } else { Ok(()) }
        });
        asked.sort();
        assert_eq!(asked, ["*.sluice-tests.net", "a.sluice-tests.net"]);
        take(dir, |_| panic!("it was taken"));
        assert_eq!(answered(dir, "a.sluice-tests.net").unwrap(), Some(Ok(())));
        assert_eq!(answered(dir, "*.sluice-tests.net").unwrap(), Some(Err("no site wants it".into())));
        assert_eq!(answered(dir, "a.sluice-tests.net").unwrap(), None);
        ask(dir, "a.sluice-tests.net").unwrap();
        withdraw(dir, "a.sluice-tests.net");
        take(dir, |_| panic!("it was taken back"));
    }
}
