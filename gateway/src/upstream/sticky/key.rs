//! The secret that sticky cookies are made with where no `key` is written: kept in the data directory,
//! readable by its owner only, made when it is needed first.

use crate::files::{OWNER, named, write_whole};
use crate::runtime::notice::{Notice, NoticeSender};
use aws_lc_rs::rand;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use zeroize::Zeroizing;

const LENGTH: usize = 32;

type Bytes = Zeroizing<[u8; LENGTH]>;

/// The gateway's own secret.
#[derive(Default)]
pub(in crate::upstream) struct OwnKey {
    /// The data directory.
    dir: Option<PathBuf>,
    notices: Option<NoticeSender>,
    bytes: OnceLock<Bytes>,
}

impl OwnKey {
    /// One that is kept in a directory; without one, it lasts as long as the process.
    pub(in crate::upstream) fn new(dir: Option<PathBuf>, notices: Option<NoticeSender>) -> Self {
        Self { dir, notices, bytes: OnceLock::new() }
    }

    /// Reads or makes it, where that was not done yet. The control plane does, before a pool is served.
    pub(in crate::upstream) fn bytes(&self) -> &[u8] {
        &**self.bytes.get_or_init(|| {
            let Some(dir) = &self.dir else { return drawn() };
            let path = dir.join("sticky.key");
            read(&path).or_else(|e| if e.kind() == ErrorKind::NotFound { make(&path) } else { Err(e) }).unwrap_or_else(
                |e| {
                    if let Some(notices) = &self.notices {
                        let reason = e.to_string();
                        notices.send(Notice::StickyKey { reason });
                    }
                    drawn()
                },
            )
        })
    }
}

fn drawn() -> Bytes {
    let mut bytes = Bytes::default();
    rand::fill(&mut bytes[..]).expect("the system draws random numbers, as it did for TLS");
    bytes
}

fn read(path: &Path) -> io::Result<Bytes> {
    let content = Zeroizing::new(fs::read(path).map_err(|e| named(path, &e))?);
    let bytes: &[u8; LENGTH] = content.as_slice().try_into().map_err(|_| {
        // It is not replaced: whoever put it there meant something.
        let words = format!("a key has {LENGTH} bytes, this file has {}", content.len());
        named(path, &io::Error::new(ErrorKind::InvalidData, words))
    })?;
    Ok(Zeroizing::new(*bytes))
}

/// Whole or not at all: a start that is cut short leaves no half of a key.
fn make(path: &Path) -> io::Result<Bytes> {
    let bytes = drawn();
    write_whole(path, OWNER, &bytes[..])?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::notice;
    use crate::sites::testing::TempDir;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_once_for_its_owner_only() {
        let temp = TempDir::new("sticky-key");
        let of = || OwnKey::new(Some(temp.path().to_path_buf()), None);
        let first = of().bytes().to_vec();
        assert_eq!(of().bytes(), first, "another process");
        assert_ne!(OwnKey::default().bytes(), first);
        let mode = fs::metadata(temp.path().join("sticky.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_cannot_be_kept_is_told_and_lasts_as_long_as_the_process() {
        let temp = TempDir::new("sticky-broken");
        let path = temp.path().join("sticky.key");
        fs::write(&path, "short").unwrap();
        let (sender, notices) = notice::channel();
        let key = OwnKey::new(Some(temp.path().to_path_buf()), Some(sender));
        assert_eq!(key.bytes(), key.bytes());
        let told: Vec<_> = notices.try_iter().map(|notice| notice.to_string()).collect();
        let expected = format!(
            "the key of sticky cookies cannot be kept ({}: a key has 32 bytes, this file has 5); cookies will not survive a restart",
            path.display()
        );
        assert_eq!(told, [expected]);
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }
}
