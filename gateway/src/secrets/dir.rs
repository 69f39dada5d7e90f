//! A directory with one file for each secret.

use super::Secret;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroize;

/// A secret is not longer than this: a private key has 3 KB.
const MOST_BYTES: u64 = 64 << 10;
/// A directory with more files is another directory than the one that was meant.
const MOST_FILES: usize = 4096;

/// The files of a directory by the names of their secrets: the file's name, and that without what
/// follows its first dot where no other file has that name. Files of a directory in it are called by both
/// names, `acme/key`. Hidden files and directories are none (Kubernetes keeps its generations in them).
pub(super) fn files(dir: &Path) -> Result<HashMap<Arc<str>, PathBuf>, String> {
    let words = |e: std::io::Error| e.to_string();
    let mut whole = HashMap::new();
    for entry in fs::read_dir(dir).map_err(words)? {
        let entry = entry.map_err(words)?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let path = entry.path();
        if path.is_dir() {
            // A directory in it has secrets of its own: `acme/key`. No deeper one has.
            for inner in fs::read_dir(&path).into_iter().flatten().flatten() {
                let (file, path) = (inner.file_name(), inner.path());
                if let Some(file) = file.to_str().filter(|file| !file.starts_with('.') && !path.is_dir()) {
                    whole.insert(Arc::from(format!("{name}/{file}")), path);
                }
            }
        } else {
            whole.insert(Arc::<str>::from(name), path);
        }
        if whole.len() > MOST_FILES {
            return Err(format!("there are more than {MOST_FILES} files in it"));
        }
    }
    let mut short: HashMap<Arc<str>, Option<PathBuf>> = HashMap::new();
    for (name, path) in &whole {
        let file = name.rfind('/').map_or(0, |slash| slash + 1);
        let stem = name[file..].find('.').map_or(&**name, |dot| &name[..file + dot]);
        if stem.len() < name.len() && !whole.contains_key(stem) {
            // Of two that differ by their ending only, neither is meant.
            short.entry(stem.into()).and_modify(|path| *path = None).or_insert_with(|| Some(path.clone()));
        }
    }
    whole.extend(short.into_iter().filter_map(|(name, path)| Some((name, path?))));
    Ok(whole)
}

/// A secret's content, without the newline at its end. Errors never quote it.
pub(super) fn read(path: &Path) -> Result<Secret, String> {
    let meta = fs::metadata(path).map_err(|e| e.to_string())?;
    // A pipe would be waited for.
    if !meta.is_file() {
        return Err("it is not a file".to_owned());
    }
    let too_long = || format!("it is longer than {} KB", MOST_BYTES >> 10);
    if meta.len() > MOST_BYTES {
        return Err(too_long());
    }
    let file = File::open(path).map_err(|e| e.to_string())?;
    // Room for all of it at once: what a vector grows out of is not overwritten.
    let mut bytes = Vec::with_capacity(MOST_BYTES as usize + 1);
    let read = file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|e| e.to_string());
    let trimmed = bytes.strip_suffix(b"\n").map(|rest| rest.strip_suffix(b"\r").unwrap_or(rest)).unwrap_or(&bytes);
    let secret = Secret::new(trimmed.to_vec());
    let len = bytes.len();
    bytes.zeroize();
    match read {
        Err(why) => Err(why),
        Ok(_) if len as u64 > MOST_BYTES => Err(too_long()),
        Ok(_) if secret.bytes().is_empty() => Err("it is empty".to_owned()),
        Ok(_) => Ok(secret),
    }
}
