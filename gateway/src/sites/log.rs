//! The records of the [`store`](super::store), as bytes.
//!
//! A record is its length (4 bytes, little endian), the first 8 bytes of the hash of its content,
//! and its content: a kind, then fields, texts and lists with their length before them.

use super::digest::Digest;
use super::store::Version;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// The first bytes of a log: what it is, and the version of its layout.
pub const MAGIC: [u8; 16] = *b"sluice kept v1\r\n";

const HEAD: usize = 12;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A text that versions refer to.
    Text {
        /// Its digest.
        digest: Digest,
        /// It.
        text: &'a str,
    },
    /// A file's last good version.
    Good {
        /// The file.
        path: Arc<Path>,
        /// The version.
        version: Version,
    },
    /// A file has none any more.
    Gone {
        /// The file.
        path: Arc<Path>,
    },
}

/// Appends a record. For a text, says at which byte of `out` the text begins.
pub fn write(out: &mut Vec<u8>, record: &Record<'_>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    let mut text_at = start;
    match record {
        Record::Text { digest, text } => {
            out.push(b'T');
            out.extend_from_slice(&digest.0);
            text_at = out.len();
            out.extend_from_slice(text.as_bytes());
        }
        Record::Good { path, version } => {
            out.push(b'G');
            put(out, path.as_os_str().as_bytes());
            out.extend_from_slice(&version.digest.0);
            put_len(out, version.imports.len());
            for (path, digest) in &version.imports {
                put(out, path.as_os_str().as_bytes());
                out.extend_from_slice(&digest.0);
            }
            put_len(out, version.hosts.len());
            for host in &version.hosts {
                put(out, host.as_bytes());
            }
        }
        Record::Gone { path } => {
            out.push(b'D');
            put(out, path.as_os_str().as_bytes());
        }
    }
    let content = start + HEAD;
    let len = u32::try_from(out.len() - content).unwrap_or(u32::MAX);
    let sum = Digest::of(&out[content..]);
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..content].copy_from_slice(&sum.0[..8]);
    text_at
}

/// Reads a log up to its end or to the first record that is not sound, and says how many bytes are.
/// `each` gets the byte at which a text begins.
pub fn read<'a>(bytes: &'a [u8], mut each: impl FnMut(u64, Record<'a>)) -> u64 {
    if !bytes.starts_with(&MAGIC) {
        return 0;
    }
    let mut at = MAGIC.len();
    while let Some(content) = content(&bytes[at..]) {
        let Some(record) = parse(content) else { break };
        each((at + HEAD + 1 + 16) as u64, record);
        at += HEAD + content.len();
    }
    at as u64
}

fn content(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let content = rest.get(..u32::from_le_bytes(*len) as usize)?;
    (Digest::of(content).0[..8] == *sum).then_some(content)
}

fn parse(content: &[u8]) -> Option<Record<'_>> {
    let (kind, mut rest) = content.split_first()?;
    let rest = &mut rest;
    match kind {
        b'T' => Some(Record::Text { digest: take_digest(rest)?, text: std::str::from_utf8(rest).ok()? }),
        b'G' => {
            let path = take_path(rest)?;
            let digest = take_digest(rest)?;
            let imports = take_list(rest, |rest| Some((take_path(rest)?, take_digest(rest)?)))?;
            let hosts = take_list(rest, |rest| Some(std::str::from_utf8(take(rest)?).ok()?.into()))?;
            Some(Record::Good { path, version: Version { digest, imports, hosts } })
        }
        b'D' => Some(Record::Gone { path: take_path(rest)? }),
        _ => None,
    }
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn take_len(rest: &mut &[u8]) -> Option<usize> {
    let (len, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_le_bytes(*len) as usize)
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_len(rest)?;
    let (bytes, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(bytes)
}

fn take_digest(rest: &mut &[u8]) -> Option<Digest> {
    let (digest, after) = rest.split_first_chunk::<16>()?;
    *rest = after;
    Some(Digest(*digest))
}

fn take_path(rest: &mut &[u8]) -> Option<Arc<Path>> {
    Some(Arc::from(Path::new(OsStr::from_bytes(take(rest)?))))
}

fn take_list<T>(rest: &mut &[u8], mut one: impl FnMut(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let len = take_len(rest)?;
    // Not `with_capacity(len)`: the number came from a file.
    (0..len).map(|_| one(rest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were_written() {
        let digest = Digest::of(b"x");
        let version =
            Version { digest, imports: vec![(Path::new("p/ö.route").into(), digest)], hosts: vec!["{}.x.com".into()] };
        let records = [
            Record::Text { digest, text: "grün" },
            Record::Good { path: Path::new("a.route").into(), version },
            Record::Gone { path: Path::new("b.route").into() },
        ];
        let mut bytes = MAGIC.to_vec();
        let starts: Vec<_> = records.iter().map(|r| write(&mut bytes, r)).collect();
        let at = starts[0];
        assert!(bytes[at..].starts_with("grün".as_bytes()));
        let mut back = Vec::new();
        let sound = read(&bytes, |text, record| {
            if back.is_empty() {
                assert_eq!(text, at as u64);
            }
            back.push(record);
        });
        assert_eq!((sound as usize, back.as_slice()), (bytes.len(), records.as_slice()));
    }

    #[test]
    fn every_damage_is_noticed() {
        let mut bytes = MAGIC.to_vec();
        write(&mut bytes, &Record::Text { digest: Digest::of(b"abc"), text: "abc" });
        for at in MAGIC.len()..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(read(&damaged, |_, r| panic!("{r:?}")), MAGIC.len() as u64);
            assert_eq!(read(&bytes[..at], |_, r| panic!("{r:?}")), MAGIC.len() as u64);
        }
    }
}
