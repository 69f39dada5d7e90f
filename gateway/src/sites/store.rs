//! Last good versions on disk: what served last, file by file, with the texts of what it imported.
//!
//! One append-only log, a record a change, each with a checksum, texts kept once however many files
//! import them. Beside one file a route file, that is one `fsync` for a cold start instead of ten
//! thousand, one sequential read at a restart, and nothing to write when nothing changed. A torn
//! tail is cut off; when more than half of the log is dead, a thread rewrites it and renames it over.
//!
//! Writing happens on a thread of its own: a full disk is one line on the console, is tried again,
//! and stops nothing.

use super::digest::Digest;
use super::log::{self, Record};
use crate::console::Console;
use std::collections::{HashMap, HashSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long after a failed write it is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// Dead bytes that are no reason to rewrite the log.
const SLACK: u64 = 1 << 20;

/// A last good version, without the texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Of its text.
    pub digest: Digest,
    /// What it imported, directly or not: paths relative to the sites directory.
    pub imports: Vec<(Arc<Path>, Digest)>,
    /// The hosts that it held, as [`super::claims::key`] spells them.
    pub hosts: Vec<Arc<str>>,
}

/// A change to write down.
#[derive(Clone, Debug)]
pub enum Change {
    /// A file loaded.
    Good(Arc<Path>, Arc<Version>, Vec<(Digest, Arc<str>)>),
    /// A file was deleted, or its last good version may not serve any more.
    Gone(Arc<Path>),
}

impl Change {
    fn texts(&self) -> &[(Digest, Arc<str>)] {
        match self {
            Self::Good(_, _, texts) => texts,
            Self::Gone(_) => &[],
        }
    }
}

/// The last good versions of one sites directory.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Mutex<Shared>>,
    pending: Arc<Mutex<Pending>>,
    queue: Sender<Message>,
}

/// Texts that were handed over and are not written yet: nobody waits for a slow disk to read one.
#[derive(Debug, Default)]
struct Pending {
    /// Counts what was handed over.
    last: u64,
    /// With the count at which each was handed over last.
    texts: HashMap<Digest, (Arc<str>, u64)>,
}

enum Message {
    Changes(u64, Vec<Change>),
    Settle(Sender<()>),
}

#[derive(Debug, Default)]
struct Shared {
    log: Option<File>,
    path: PathBuf,
    len: u64,
    files: HashMap<Arc<Path>, Arc<Version>>,
    texts: HashMap<Digest, Text>,
}

/// Where in the log a text is, and what of the log it takes.
#[derive(Clone, Copy, Debug)]
struct Text {
    at: u64,
    len: u32,
}

impl Store {
    /// Opens the log of the sites directory `root` below the data directory, and reads it. `known`
    /// says that somebody has said already that the directory cannot be written.
    pub fn open(data: &Path, root: &Path, known: bool, console: &Console) -> Self {
        // The root as it was named, not where a link leads today: releases are switched by links.
        let name = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
        let name = Digest::of(name.as_os_str().as_encoded_bytes()).to_string();
        let dir = data.join("last-good");
        let mut shared = Shared { path: dir.join(format!("{}.log", &name[..16])), ..Shared::default() };
        let mut said = known;
        match shared.open(&dir) {
            Ok(0) => {}
            Ok(lost) => console.warn(format!(
                "{}: {lost} bytes at its end were damaged and are dropped; the last good versions written there are lost",
                shared.path.display()
            )),
            Err(e) if !known => {
                said = true;
                say_trouble(console, &shared.path, &e);
            }
            Err(_) => {}
        }
        let shared = Arc::new(Mutex::new(shared));
        let (queue, messages) = channel();
        let pending = Arc::<Mutex<Pending>>::default();
        let writer = Writer {
            shared: Arc::clone(&shared),
            pending: Arc::clone(&pending),
            console: console.clone(),
            waiting: HashMap::new(),
            said,
        };
        let _ = std::thread::Builder::new().name("last-good".into()).spawn(move || writer.run(&messages));
        Self { shared, pending, queue }
    }

    /// What is known of every file.
    pub fn versions(&self) -> HashMap<Arc<Path>, Arc<Version>> {
        lock(&self.shared).files.clone()
    }

    /// A text, if it is kept.
    pub fn text(&self, digest: Digest) -> Option<Arc<str>> {
        let pending = lock(&self.pending).texts.get(&digest).map(|(text, _)| Arc::clone(text));
        pending.or_else(|| lock(&self.shared).text(digest))
    }

    /// Hands changes over to be written.
    pub fn write(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            let mut pending = lock(&self.pending);
            pending.last += 1;
            let count = pending.last;
            for (digest, text) in changes.iter().flat_map(Change::texts) {
                pending.texts.insert(*digest, (Arc::clone(text), count));
            }
            drop(pending);
            // Without the writer's thread nothing is kept; its absence was said when it failed.
            let _ = self.queue.send(Message::Changes(count, changes));
        }
    }

    /// Waits until what was handed over is written, or could not be; not for ever.
    pub fn settle(&self) {
        let (done, wait) = channel();
        if self.queue.send(Message::Settle(done)).is_ok() {
            let _ = wait.recv_timeout(Duration::from_secs(5));
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn say_trouble(console: &Console, path: &Path, error: &io::Error) {
    console.error(format!(
        "cannot keep last good versions in {}: {error}; serving goes on, but a restart would not find them",
        path.display()
    ));
}

impl Shared {
    /// Opens and reads the log; says how many bytes of its end were cut off.
    fn open(&mut self, dir: &Path) -> io::Result<u64> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let read_only = || OpenOptions::new().read(true).open(&self.path);
        let mut file = match open_log(&self.path) {
            Ok(file) => file,
            // It can still be read: last good versions serve, new ones are not kept.
            Err(e) => read_only().map_err(|_| e)?,
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let len = bytes.len() as u64;
        let sound = log::read(&bytes, |at, record| self.apply(at, record));
        self.len = sound;
        let log = self.log.insert(file);
        if sound < len {
            log.set_len(sound)?;
        }
        if sound == 0 {
            self.append(&log::MAGIC)?;
        }
        Ok(len - sound)
    }

    fn apply(&mut self, at: u64, record: Record<'_>) {
        match record {
            Record::Text { digest, text } => {
                let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
                self.texts.insert(digest, Text { at, len });
            }
            Record::Good { path, version } => {
                self.files.insert(path, Arc::new(version));
            }
            Record::Gone { path } => {
                self.files.remove(&path);
            }
        }
    }

    fn text(&self, digest: Digest) -> Option<Arc<str>> {
        let Text { at, len } = *self.texts.get(&digest)?;
        let mut bytes = vec![0; len as usize];
        self.log.as_ref()?.read_exact_at(&mut bytes, at).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        (Digest::of(text.as_bytes()) == digest).then(|| text.into())
    }

    /// Appends whole records or nothing.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let log = self.log.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        if let Err(e) = log.write_all_at(bytes, self.len) {
            let _ = log.set_len(self.len);
            return Err(e);
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Writes one change down, where it says something new.
    fn change(&mut self, change: &Change) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut added = Vec::new();
        match change {
            Change::Good(path, version, texts) => {
                if self.files.get(path) == Some(version) {
                    return Ok(());
                }
                for (digest, text) in texts {
                    if !self.texts.contains_key(digest) {
                        let within = log::write(&mut bytes, &Record::Text { digest: *digest, text });
                        let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
                        added.push((*digest, Text { at: self.len + within as u64, len }));
                    }
                }
                log::write(&mut bytes, &Record::Good { path: Arc::clone(path), version: (**version).clone() });
                self.append(&bytes)?;
                self.texts.extend(added);
                self.files.insert(Arc::clone(path), Arc::clone(version));
            }
            Change::Gone(path) => {
                if self.files.contains_key(path) {
                    log::write(&mut bytes, &Record::Gone { path: Arc::clone(path) });
                    self.append(&bytes)?;
                    self.files.remove(path);
                }
            }
        }
        Ok(())
    }

    /// Rewrites the log with what is alive, once most of it is dead.
    fn compact(&mut self) -> io::Result<()> {
        let mut live: HashMap<Digest, u64> = HashMap::new();
        for version in self.files.values() {
            for digest in std::iter::once(&version.digest).chain(version.imports.iter().map(|(_, d)| d)) {
                live.insert(*digest, self.texts.get(digest).map_or(0, |t| u64::from(t.len)));
            }
        }
        // A record's own bytes are few beside its text; what they are exactly is not worth counting.
        let bytes: u64 = live.values().sum::<u64>() + 256 * self.files.len() as u64;
        if self.len < 2 * bytes + SLACK {
            return Ok(());
        }
        let mut out = log::MAGIC.to_vec();
        let mut texts = HashMap::new();
        for digest in live.keys() {
            if let Some(text) = self.text(*digest) {
                let at = log::write(&mut out, &Record::Text { digest: *digest, text: &text }) as u64;
                texts.insert(*digest, Text { at, len: u32::try_from(text.len()).unwrap_or(u32::MAX) });
            }
        }
        for (path, version) in &self.files {
            log::write(&mut out, &Record::Good { path: Arc::clone(path), version: (**version).clone() });
        }
        let temporary = self.path.with_extension("new");
        let mut file = open_log(&temporary)?;
        file.set_len(0)?;
        file.write_all(&out)?;
        file.sync_data()?;
        std::fs::rename(&temporary, &self.path)?;
        self.len = out.len() as u64;
        self.texts = texts;
        self.log = Some(file);
        Ok(())
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

struct Writer {
    shared: Arc<Mutex<Shared>>,
    pending: Arc<Mutex<Pending>>,
    console: Console,
    /// What could not be written yet; at most one change a file.
    waiting: HashMap<Arc<Path>, Change>,
    said: bool,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let message = if self.waiting.is_empty() {
                messages.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                messages.recv_timeout(RETRY)
            };
            match message {
                Ok(Message::Changes(count, changes)) => {
                    for change in changes {
                        let (Change::Good(path, ..) | Change::Gone(path)) = &change;
                        self.waiting.insert(Arc::clone(path), change);
                    }
                    self.write();
                    self.forget(count);
                }
                Ok(Message::Settle(done)) => {
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.write(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self) {
        let result = self.try_write();
        match result {
            Ok(()) if self.said => {
                self.said = false;
                self.console.note("last good versions can be kept again");
            }
            Ok(()) => {}
            Err(e) if !self.said => {
                self.said = true;
                say_trouble(&self.console, &lock(&self.shared).path, &e);
            }
            Err(_) => {}
        }
    }

    /// Texts that were handed over up to a count are in the log, or not wanted any more, unless they
    /// still wait.
    fn forget(&self, count: u64) {
        let wait: HashSet<Digest> = self.waiting.values().flat_map(Change::texts).map(|(digest, _)| *digest).collect();
        let mut pending = lock(&self.pending);
        pending.texts.retain(|digest, (_, at)| *at > count || wait.contains(digest));
        pending.texts.shrink_to_fit();
    }

    fn try_write(&mut self) -> io::Result<()> {
        let mut shared = lock(&self.shared);
        if shared.log.is_none() {
            let dir = shared.path.parent().map(Path::to_path_buf).unwrap_or_default();
            shared.open(&dir)?;
        }
        let before = shared.len;
        let mut failed = None;
        self.waiting.retain(|_, change| {
            // After one failure the rest is not tried: a full disk is full for all of them.
            if failed.is_none() {
                failed = shared.change(change).err();
            }
            failed.is_some()
        });
        let written =
            (shared.len != before).then(|| shared.log.as_ref().and_then(|log| log.try_clone().ok())).flatten();
        drop(shared);
        // Outside the lock: a reload that reads a text does not wait for the disk.
        if let Some(log) = written {
            log.sync_data()?;
        }
        match failed {
            Some(e) => Err(e),
            None => lock(&self.shared).compact(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Style;
    use crate::sites::testing::TempDir;

    fn console() -> Console {
        Console::new(Style { colours: false }, io::sink())
    }

    fn good(path: &str, text: &str, imports: &[(&str, &str)]) -> Change {
        let mut texts = vec![(Digest::of(text.as_bytes()), Arc::from(text))];
        let mut named = Vec::new();
        for (path, text) in imports {
            let digest = Digest::of(text.as_bytes());
            named.push((Arc::from(Path::new(path)), digest));
            texts.push((digest, Arc::from(*text)));
        }
        let version = Version { digest: texts[0].0, imports: named, hosts: vec!["a.example.com".into()] };
        Change::Good(Arc::from(Path::new(path)), Arc::new(version), texts)
    }

    fn open(temp: &TempDir) -> Store {
        Store::open(temp.path(), Path::new("/sites"), false, &console())
    }

    fn text_of(store: &Store, path: &str) -> Option<String> {
        let version = store.versions().get(Path::new(path))?.clone();
        Some(store.text(version.digest)?.to_string())
    }

    #[test]
    fn versions_survive_a_restart_with_their_imports() {
        let temp = TempDir::new("store");
        let store = open(&temp);
        store.write(vec![good("a.route", "one", &[("pools.route", "pools")]), good("b.route", "two", &[])]);
        store.write(vec![
            good("a.route", "three", &[("pools.route", "pools")]),
            Change::Gone(Path::new("b.route").into()),
        ]);
        store.settle();
        assert_eq!(text_of(&store, "a.route").as_deref(), Some("three"));
        assert!(lock(&store.pending).texts.is_empty());
        drop(store);

        let store = open(&temp);
        assert_eq!(text_of(&store, "a.route").as_deref(), Some("three"));
        assert_eq!(text_of(&store, "b.route"), None);
        let version = store.versions()[Path::new("a.route")].clone();
        assert_eq!(&*version.imports[0].0, Path::new("pools.route"));
        assert_eq!(store.text(version.imports[0].1).as_deref(), Some("pools"));
        assert_eq!(version.hosts, ["a.example.com".into()]);
    }

    #[test]
    fn what_is_kept_already_is_not_written_again() {
        let temp = TempDir::new("store-same");
        let store = open(&temp);
        store.write(vec![good("a.route", "one", &[])]);
        store.settle();
        let len = lock(&store.shared).len;
        store.write(vec![good("a.route", "one", &[])]);
        store.settle();
        assert_eq!(lock(&store.shared).len, len);
    }

    #[test]
    fn a_torn_tail_costs_only_itself() {
        let temp = TempDir::new("store-torn");
        let store = open(&temp);
        store.write(vec![good("a.route", "one", &[])]);
        store.settle();
        store.write(vec![good("b.route", "two", &[])]);
        store.settle();
        let path = lock(&store.shared).path.clone();
        drop(store);
        let len = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(len - 3).unwrap();

        let store = open(&temp);
        assert_eq!(text_of(&store, "a.route").as_deref(), Some("one"));
        assert_eq!(text_of(&store, "b.route"), None);
        store.write(vec![good("b.route", "two", &[])]);
        store.settle();
        drop(store);
        assert_eq!(text_of(&open(&temp), "b.route").as_deref(), Some("two"));
    }

    #[test]
    fn the_log_does_not_grow_with_the_count_of_changes() {
        let temp = TempDir::new("store-compact");
        let store = open(&temp);
        for n in 0..400 {
            store.write(vec![good("a.route", &format!("{n}{}", "x".repeat(10_000)), &[])]);
        }
        store.settle();
        let len = lock(&store.shared).len;
        assert!(len < SLACK + 100_000, "{len}");
        assert!(text_of(&store, "a.route").is_some_and(|t| t.starts_with("399")));
        drop(store);
        assert!(text_of(&open(&temp), "a.route").is_some_and(|t| t.starts_with("399")));
    }

    #[test]
    fn a_directory_that_cannot_be_written_stops_nothing() {
        let temp = TempDir::new("store-trouble");
        temp.write("last-good", "a file where a directory should be");
        let store = open(&temp);
        store.write(vec![good("a.route", "one", &[])]);
        store.settle();
        assert!(store.versions().is_empty());
    }
}
