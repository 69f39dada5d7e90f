//! The sites directory as it is on disk: which route files there are, and what one says.

use super::digest::Digest;
use dsl::tree::rows::{ENDINGS, ends_in};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The longest route file that is read.
const LONGEST: u64 = 16 << 20;
/// The longest file of rows.
const LONGEST_ROWS: u64 = 256 << 20;
/// Links followed before a path is given up, as the kernel does.
const LINKS: usize = 40;
/// A file changed so recently may change again within the same tick of its clock.
const RACY: Duration = Duration::from_secs(2);

/// Whether a name is a route file's: no hidden files, which is what editors leave behind.
pub fn is_route_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.len() > ".route".len() && name.ends_with(b".route") && !name.starts_with(b".")
}

/// Whether a name is that of a file of rows.
pub fn is_rows_name(name: &OsStr) -> bool {
    let lists = |name: &str| ends_in(name, ENDINGS) && !name.starts_with('.');
    let users = |name: &str| name == ".htpasswd" || (name.ends_with(".htpasswd") && !name.starts_with('.'));
    name.to_str().is_some_and(|name| lists(name) || users(name))
}

/// A text of which nobody is shown more than where its lines end.
pub fn hidden(text: &str) -> String {
    text.chars()
        .flat_map(|letter| std::iter::repeat_n(if letter == '\n' { letter } else { '*' }, letter.len_utf8()))
        .collect()
}

/// Whether it matters that a file of this name changed.
pub fn is_watched_name(name: &OsStr) -> bool {
    is_route_name(name) || is_rows_name(name)
}

/// A file or directory, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    dev: u64,
    ino: u64,
}

impl Node {
    /// Of something on disk.
    pub fn of(meta: &Metadata) -> Self {
        Self { dev: meta.dev(), ino: meta.ino() }
    }
}

/// What tells that a file was touched, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    node: Node,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    /// Whether it was quiet long enough for its times to tell every later change.
    settled: bool,
}

impl Stamp {
    fn of(meta: &Metadata, now: SystemTime) -> Self {
        let changed = (meta.ctime(), meta.ctime_nsec());
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let quiet = since.saturating_sub(Duration::new(changed.0.max(0).unsigned_abs(), 0));
        Self {
            node: Node::of(meta),
            len: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed,
            settled: quiet > RACY,
        }
    }

    /// Whether the file at `path` is still the one that was read, by its looks.
    pub fn still(&self, path: &Path) -> bool {
        let Ok(meta) = fs::metadata(path) else { return false };
        let now = Self::of(&meta, SystemTime::now());
        self.settled && Self { settled: true, ..now } == *self
    }
}

/// A route file, read.
#[derive(Clone, Debug)]
pub struct Text {
    /// How it looked when it was read.
    pub stamp: Stamp,
    /// Of its content.
    pub digest: Digest,
    /// Its content.
    pub text: Arc<str>,
}

/// Reads a route file.
///
/// # Errors
/// It is not there, cannot be opened, is no regular file, is too long or is not UTF-8.
pub fn read(path: &Path) -> io::Result<Text> {
    read_within(path, LONGEST)
}

/// Reads a file of rows.
///
/// # Errors
/// As of [`read`].
pub fn read_rows(path: &Path) -> io::Result<Text> {
    read_within(path, LONGEST_ROWS)
}

fn read_within(path: &Path, longest: u64) -> io::Result<Text> {
    // A pipe of that name must not hold up everybody.
    let mut file = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    // Before reading: what is written while it is read changes the stamp that we keep.
    let stamp = Stamp::of(&meta, SystemTime::now());
    let bytes = read_at_most(&mut file, meta.len(), longest)?;
    let digest = Digest::of(&bytes);
    let text = String::from_utf8(bytes)
        .map_err(|e| io::Error::other(format!("byte {} is not UTF-8", e.utf8_error().valid_up_to())))?;
    Ok(Text { stamp, digest, text: text.into() })
}

/// `O_NONBLOCK`, which has this value on Linux for every architecture but MIPS and SPARC.
const NONBLOCK: i32 = 0o4000;

fn read_at_most(file: &mut File, len: u64, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(len.min(longest)).unwrap_or_default());
    file.by_ref().take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        return Err(io::Error::other(format!("it is longer than {} MiB", longest >> 20)));
    }
    Ok(bytes)
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Scan {
    /// Route files, relative to the root, sorted; and whether a link leads to them.
    pub files: Vec<(Arc<Path>, bool)>,
    /// Directories that could not be read, relative to the root: nothing is known of what is below.
    pub unreadable: Vec<(PathBuf, io::Error)>,
    /// The directories that were read, and every link that was followed, absolute.
    pub links: Vec<PathBuf>,
    /// Where links led, absolute: directories of files that are elsewhere.
    pub targets: Vec<(PathBuf, PathBuf)>,
}

/// Walks the directory `sub` of `root`. `enter` is told of each directory before it is read.
pub fn scan(root: &Path, sub: &Path, enter: &mut dyn FnMut(&Path, Node)) -> Scan {
    let mut scan = Scan::default();
    let mut above = Vec::new();
    walk(root, sub, false, &mut above, &mut scan, enter);
    scan.files.sort_unstable();
    scan
}

fn walk(
    root: &Path,
    sub: &Path,
    linked: bool,
    above: &mut Vec<Node>,
    scan: &mut Scan,
    enter: &mut dyn FnMut(&Path, Node),
) {
    let dir = if sub.as_os_str().is_empty() { root.to_path_buf() } else { root.join(sub) };
    let entries = fs::metadata(&dir).and_then(|meta| {
        let node = Node::of(&meta);
        if above.contains(&node) {
            return Err(io::Error::other("a link leads back to a directory above it"));
        }
        enter(&dir, node);
        above.push(node);
        fs::read_dir(&dir).and_then(Iterator::collect::<io::Result<Vec<_>>>).inspect_err(|_| {
            above.pop();
        })
    });
    let entries = match entries {
        Ok(entries) => entries,
        Err(e) => {
            scan.unreadable.push((sub.to_path_buf(), e));
            return;
        }
    };
    for entry in entries {
        let name = entry.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        let link = kind.is_symlink();
        let path = sub.join(&name);
        let is_dir = kind.is_dir() || (link && fs::metadata(entry.path()).is_ok_and(|m| m.is_dir()));
        if link && (is_dir || is_watched_name(&name)) {
            let (links, target) = follow(&entry.path());
            scan.links.extend(links);
            scan.targets.push((target, entry.path()));
        }
        if is_dir {
            walk(root, &path, linked || link, above, scan, enter);
        } else if is_route_name(&name) {
            scan.files.push((path.into(), linked || link));
        }
    }
    above.pop();
}

/// The links on the way to where `path` really is, and that place, as far as it can be followed.
pub fn follow(path: &Path) -> (Vec<PathBuf>, PathBuf) {
    let mut links = Vec::new();
    let mut at = PathBuf::from("/");
    let mut ahead: VecDeque<OsString> = names(path).collect();
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        match fs::read_link(&next) {
            Ok(target) if links.len() < LINKS => {
                links.push(next);
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                    ahead.push_front(name);
                }
            }
            Ok(_) | Err(_) => at = next,
        }
    }
    (links, at)
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::testing::TempDir;
    use std::os::unix::fs::symlink;

    fn found(temp: &TempDir) -> Vec<String> {
        let scan = scan(temp.path(), Path::new(""), &mut |_, _| {});
        scan.files.iter().map(|(p, _)| p.display().to_string()).collect()
    }

    #[test]
    fn route_files_are_found_and_what_editors_leave_is_not() {
        let temp = TempDir::new("scan");
        for name in ["b.route", "a/c.route", ".a.route.swp", ".hidden.route", "b.route~", "#b.route#", "4913", ".route"]
        {
            temp.write(name, "");
        }
        temp.write(".git/x.route", "");
        assert_eq!(found(&temp), ["a/c.route", "b.route"]);
    }

    #[test]
    fn links_are_followed_and_a_circle_ends() {
        let temp = TempDir::new("scan-links");
        temp.write("..v1/a.route", "one");
        symlink("..v1", temp.path().join("..data")).unwrap();
        symlink("..data/a.route", temp.path().join("a.route")).unwrap();
        symlink("gone", temp.path().join("dangling.route")).unwrap();
        symlink(".", temp.path().join("circle")).unwrap();
        assert_eq!(found(&temp), ["a.route", "dangling.route"]);
        let scan = scan(temp.path(), Path::new(""), &mut |_, _| {});
        assert!(scan.files.iter().all(|(_, linked)| *linked));
        assert!(scan.links.contains(&temp.path().join("..data")));
        assert!(scan.targets.contains(&(temp.path().join("..v1/a.route"), temp.path().join("a.route"))));
        assert_eq!(scan.unreadable.len(), 1);
    }

    #[test]
    fn what_is_no_text_is_refused_and_a_pipe_holds_nobody_up() {
        let temp = TempDir::new("read");
        let path = temp.path().join("x.route");
        fs::write(&path, b"ab\xff").unwrap();
        assert_eq!(read(&path).unwrap_err().to_string(), "byte 2 is not UTF-8");
        assert!(read(temp.path()).is_err());
        fs::write(&path, "ü\r\n").unwrap();
        assert_eq!(&*read(&path).unwrap().text, "ü\r\n");
    }
}
