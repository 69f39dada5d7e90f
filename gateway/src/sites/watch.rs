//! Notices that something under the sites directory changed.
//!
//! Directories are watched, never files: a watch on a file stays with the old one when an editor
//! renames a new one over it. Links are followed: the directories that hold them, and those that
//! they lead to, are watched too. Events only say where to look; what changed is decided by reading
//! and comparing contents. A poll finds what no event told.

use super::tree::{self, Node, Scan};
use crate::console::Console;
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// No event for so long, and a batch is complete.
const QUIET: Duration = Duration::from_millis(10);
/// A batch waits no longer, whatever goes on.
const PATIENCE: Duration = Duration::from_millis(250);
/// A file that is being written is left alone so long, unless its writer closes it before.
const HOLD: Duration = Duration::from_millis(750);
/// Everything is looked at so often in any case.
const FLOOR: Duration = Duration::from_secs(30);
/// … and so often when nothing can be watched.
const POLL: Duration = Duration::from_millis(500);
/// Names that are remembered; more of them, and everything is looked at.
const NAMES: usize = 4096;

/// Where to look. Paths are absolute, below the root as it was named.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Route files and files of rows that were touched, came or went.
    pub files: BTreeSet<PathBuf>,
    /// Directories that came, went or changed places.
    pub dirs: BTreeSet<PathBuf>,
    /// Everything.
    pub all: bool,
}

/// Watches a sites directory.
pub struct Watcher {
    root: PathBuf,
    shared: Arc<Shared>,
    notify: Option<RecommendedWatcher>,
    console: Console,
    /// Watched directories by the path they are known under.
    dirs: HashMap<PathBuf, Node>,
    /// The paths of a directory; the watch is on the first.
    paths: HashMap<Node, Vec<PathBuf>>,
    /// Links whose change changes what is found.
    links: HashSet<PathBuf>,
    /// What links lead to, and the links.
    targets: HashMap<PathBuf, Vec<PathBuf>>,
    next_poll: Instant,
}

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    names: HashMap<PathBuf, Touch>,
    all: bool,
    first: Option<Instant>,
    last: Option<Instant>,
    stop: bool,
}

/// What happened to a name.
#[derive(Clone, Copy, Debug, Default)]
struct Touch {
    /// The name itself came or went.
    came_or_went: bool,
    /// Since when it is being written.
    writing: Option<Instant>,
}

impl Watcher {
    /// Starts to watch `root`, an absolute path. Nothing is watched until the first [`Watcher::scan`].
    pub fn new(root: &Path, console: &Console) -> Self {
        let shared = Arc::new(Shared::default());
        let heard = Arc::clone(&shared);
        let notify = notify::recommended_watcher(move |event| heard.hear(event, Instant::now()));
        let mut watcher = Self {
            root: root.to_path_buf(),
            shared,
            notify: None,
            console: console.clone(),
            dirs: HashMap::new(),
            paths: HashMap::new(),
            links: HashSet::new(),
            targets: HashMap::new(),
            next_poll: Instant::now() + FLOOR,
        };
        match notify {
            Ok(notify) => watcher.notify = Some(notify),
            Err(e) => watcher.fall_back(&e),
        }
        watcher
    }

    /// What ends [`Watcher::wait`] from elsewhere.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || {
            shared.lock().stop = true;
            shared.wake.notify_all();
        }
    }

    /// Waits until there is something to look at; `None` when stopped. An empty batch when `until` is over.
    pub fn wait(&mut self, until: Option<Instant>) -> Option<Batch> {
        loop {
            let mut pending = self.shared.lock();
            let names = loop {
                if pending.stop {
                    return None;
                }
                let now = Instant::now();
                if until.is_some_and(|until| until <= now) {
                    return Some(Batch::default());
                }
                let due = pending.due();
                if due.is_some_and(|due| due <= now) || self.next_poll <= now {
                    if self.next_poll <= now {
                        pending.all = true;
                    }
                    break pending.take(now);
                }
                let next = due.into_iter().chain(until).fold(self.next_poll, Instant::min);
                pending = self.shared.wake.wait_timeout(pending, next - now).unwrap_or_else(PoisonError::into_inner).0;
            };
            drop(pending);
            let batch = self.sort(names);
            if batch.all {
                self.next_poll = Instant::now() + if self.notify.is_some() { FLOOR } else { POLL };
            }
            if batch != Batch::default() {
                return Some(batch);
            }
        }
    }

    /// Reads the directory `sub` of the root (all of it when empty), and watches what it finds.
    pub fn scan(&mut self, sub: &Path) -> Scan {
        let whole = sub.as_os_str().is_empty();
        let below = self.root.join(sub);
        let mut seen = HashSet::new();
        if whole {
            self.links.clear();
            self.targets.clear();
        }
        // The root may be a link itself, and it may be replaced: its directory tells.
        let (mut links, real) = tree::follow(&self.root);
        links.push(self.root.clone());
        links.push(real);
        self.follow_links(links, &mut seen);
        let root = self.root.clone();
        let scan = tree::scan(&root, sub, &mut |dir, node| {
            seen.insert(dir.to_path_buf());
            self.watch(dir, node);
        });
        self.follow_links(scan.links.clone(), &mut seen);
        for (target, link) in &scan.targets {
            if let Some(dir) = target.parent() {
                self.watch_path(dir, &mut seen);
            }
            let links = self.targets.entry(target.clone()).or_default();
            if !links.contains(link) {
                links.push(link.clone());
            }
        }
        let stale: Vec<_> = self
            .dirs
            .keys()
            .filter(|dir| !seen.contains(*dir) && (whole || dir.starts_with(&below)))
            .cloned()
            .collect();
        for dir in stale {
            self.unwatch(&dir);
        }
        scan
    }

    fn follow_links(&mut self, links: Vec<PathBuf>, seen: &mut HashSet<PathBuf>) {
        for link in links {
            if let Some(dir) = link.parent() {
                self.watch_path(dir, seen);
            }
            self.links.insert(link);
        }
    }

    fn watch_path(&mut self, dir: &Path, seen: &mut HashSet<PathBuf>) {
        if seen.insert(dir.to_path_buf())
            && let Ok(meta) = std::fs::metadata(dir)
            && meta.is_dir()
        {
            self.watch(dir, Node::of(&meta));
        }
    }

    /// Watches a directory, unless it is watched under this path or another.
    fn watch(&mut self, dir: &Path, node: Node) {
        if self.dirs.get(dir) == Some(&node) {
            return;
        }
        self.unwatch(dir);
        let paths = self.paths.entry(node).or_default();
        let new = paths.is_empty();
        paths.push(dir.to_path_buf());
        self.dirs.insert(dir.to_path_buf(), node);
        if new && let Some(notify) = &mut self.notify {
            match notify.watch(dir, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                Err(e) if matches!(e.kind, ErrorKind::MaxFilesWatch) => self.fall_back(&e),
                // It went away, or may not be read: the walk says so.
                Err(_) => {}
            }
        }
    }

    fn unwatch(&mut self, dir: &Path) {
        let Some(node) = self.dirs.remove(dir) else { return };
        let Some(paths) = self.paths.get_mut(&node) else { return };
        let watched = paths.first().is_some_and(|first| first == dir);
        paths.retain(|path| path != dir);
        let next = paths.first().cloned();
        if next.is_none() {
            self.paths.remove(&node);
        }
        if watched && let Some(notify) = &mut self.notify {
            // It may be gone already, and its watch with it.
            let _ = notify.unwatch(dir);
            if let Some(next) = next {
                let _ = notify.watch(&next, RecursiveMode::NonRecursive);
            }
        }
    }

    fn fall_back(&mut self, error: &notify::Error) {
        let why = match error.kind {
            ErrorKind::MaxFilesWatch => "the kernel has no watches left (fs.inotify.max_user_watches)".to_owned(),
            _ => error.to_string(),
        };
        self.console.warn(format!(
            "cannot watch {}: {why}; looking at its files every {} ms instead",
            self.root.display(),
            POLL.as_millis()
        ));
        self.notify = None;
        self.dirs.clear();
        self.paths.clear();
        self.next_poll = Instant::now() + POLL;
    }

    /// Makes of what was heard where to look.
    fn sort(&mut self, pending: Pending) -> Batch {
        let mut batch = Batch::default();
        for (path, touch) in pending.names {
            self.sort_one(&path, touch.came_or_went, &mut batch);
        }
        // Watches below a directory that moved stay with the old one.
        if batch.all || !batch.dirs.is_empty() {
            let moved = |dir: &Path| batch.all || batch.dirs.iter().any(|d| dir.starts_with(d));
            let moved: Vec<_> = self.dirs.keys().filter(|dir| moved(dir)).cloned().collect();
            for dir in moved {
                self.unwatch(&dir);
            }
        }
        batch.all |= pending.all;
        batch
    }

    fn sort_one(&self, path: &Path, came_or_went: bool, batch: &mut Batch) {
        if self.links.contains(path) {
            batch.all = true;
            return;
        }
        if let Some(node) = self.dirs.get(path) {
            // The directory itself, under each of its names.
            for path in self.paths.get(node).into_iter().flatten() {
                self.dir(path, batch);
            }
            return;
        }
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Some(node) = self.dirs.get(dir) else {
            batch.all = true;
            return;
        };
        for link in self.targets.get(path).into_iter().flatten() {
            batch.files.insert(link.clone());
        }
        let kind = came_or_went.then(|| std::fs::symlink_metadata(path).ok()).flatten().map(|m| m.file_type());
        for dir in self.paths.get(node).into_iter().flatten() {
            let path = dir.join(name);
            if self.links.contains(&path) || kind.is_some_and(|k| k.is_symlink()) {
                batch.all = true;
            } else if kind.is_some_and(|k| k.is_dir()) || self.dirs.contains_key(&path) {
                self.dir(&path, batch);
            } else if path.starts_with(&self.root) && tree::is_watched_name(name) {
                batch.files.insert(path);
            }
        }
    }

    fn dir(&self, path: &Path, batch: &mut Batch) {
        let hidden = |below: &Path| below.iter().any(|name| name.as_encoded_bytes().starts_with(b"."));
        match path.strip_prefix(&self.root) {
            Ok(below) if below.as_os_str().is_empty() => batch.all = true,
            Ok(below) if !hidden(below) => {
                batch.dirs.insert(path.to_path_buf());
            }
            // A hidden directory matters only where a link leads into it.
            Ok(_) | Err(_) => {
                batch.all |= self.targets.keys().chain(&self.links).any(|target| target.starts_with(path));
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an event, if it can matter: called on the watcher's own thread.
    fn hear(&self, event: notify::Result<Event>, now: Instant) {
        let mut pending = self.lock();
        let heard = match event {
            Ok(event) => pending.hear(&event, now),
            Err(_) => {
                pending.all = true;
                true
            }
        };
        if heard {
            pending.first.get_or_insert(now);
            pending.last = Some(now);
            drop(pending);
            self.wake.notify_all();
        }
    }
}

impl Pending {
    fn hear(&mut self, event: &Event, now: Instant) -> bool {
        if event.need_rescan() {
            self.all = true;
            return true;
        }
        let (came_or_went, writing) = match event.kind {
            // Our own reading is among these.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => (false, false),
            EventKind::Access(_) => return false,
            EventKind::Modify(ModifyKind::Data(_)) => (false, true),
            EventKind::Modify(ModifyKind::Metadata(_)) => (false, false),
            EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Any | ModifyKind::Other)
            | EventKind::Create(CreateKind::Any | CreateKind::File | CreateKind::Folder | CreateKind::Other)
            | EventKind::Remove(RemoveKind::Any | RemoveKind::File | RemoveKind::Folder | RemoveKind::Other)
            | EventKind::Any
            | EventKind::Other => (true, false),
        };
        let mut heard = false;
        for path in &event.paths {
            let route = path.file_name().is_some_and(tree::is_watched_name);
            // Of other names, only directories and links matter, and those come and go.
            if !route && !came_or_went {
                continue;
            }
            heard = true;
            let touch = self.names.entry(path.clone()).or_default();
            touch.came_or_went |= came_or_went;
            touch.writing = writing.then(|| touch.writing.unwrap_or(now));
        }
        if self.names.len() > NAMES {
            self.names.clear();
            self.all = true;
        }
        heard
    }

    /// When to look: after some quiet, but not put off for ever; at a file that is being written,
    /// when it was closed, or was not for long.
    fn due(&self) -> Option<Instant> {
        let rest = self.names.values().any(|touch| touch.writing.is_none());
        let quiet = match (self.first, self.last) {
            (Some(first), Some(last)) if self.all || rest => Some((first + PATIENCE).min(last + QUIET)),
            _ => None,
        };
        let held = self.names.values().filter_map(|touch| touch.writing).min().map(|since| since + HOLD);
        quiet.into_iter().chain(held).min()
    }

    /// What is to be looked at now; files that are being written stay.
    fn take(&mut self, now: Instant) -> Self {
        let mut taken = std::mem::take(self);
        let writing = |touch: &Touch| touch.writing.is_some_and(|since| since + HOLD > now);
        self.names = taken.names.extract_if(|_, touch| writing(touch)).collect();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Style;
    use crate::sites::testing::TempDir;
    use std::os::unix::fs::symlink;

    struct Watched {
        temp: TempDir,
        watcher: Watcher,
    }

    impl Watched {
        fn new(name: &str, files: &[&str]) -> Self {
            let temp = TempDir::new(name);
            std::fs::create_dir(temp.path().join("sites")).unwrap();
            for file in files {
                temp.write(file, "old");
            }
            let console = Console::new(Style { colours: false }, std::io::sink());
            let mut watcher = Watcher::new(&temp.path().join("sites"), &console);
            watcher.scan(Path::new(""));
            Self { temp, watcher }
        }

        /// Batches until one satisfies; the watcher's own poll would end the wait.
        fn until(&mut self, what: impl Fn(&Batch) -> bool) -> Batch {
            let start = Instant::now();
            loop {
                let batch = self.watcher.wait(None).expect("not stopped");
                assert!(start.elapsed() < Duration::from_secs(20), "only the poll noticed");
                for dir in &batch.dirs {
                    let sub = dir.strip_prefix(&self.watcher.root).unwrap().to_path_buf();
                    self.watcher.scan(&sub);
                }
                if batch.all {
                    self.watcher.scan(Path::new(""));
                }
                if what(&batch) {
                    return batch;
                }
            }
        }

        fn file(&mut self, name: &str) {
            let path = self.temp.path().join(name);
            self.until(|batch| batch.files.contains(&path));
        }
    }

    #[test]
    fn a_write_in_place_a_rename_over_and_a_deletion_are_noticed() {
        let mut w = Watched::new("watch-file", &["sites/a.route"]);
        w.temp.write("sites/a.route", "new");
        w.file("sites/a.route");
        let other = w.temp.write("sites/.a.route.tmp", "newer");
        std::fs::rename(other, w.temp.path().join("sites/a.route")).unwrap();
        w.file("sites/a.route");
        std::fs::remove_file(w.temp.path().join("sites/a.route")).unwrap();
        w.file("sites/a.route");
        w.temp.write("sites/a.route", "again");
        w.file("sites/a.route");
    }

    #[test]
    fn a_directory_that_comes_is_watched_from_then_on() {
        let mut w = Watched::new("watch-dir", &[]);
        w.temp.write("sites/team/a.route", "old");
        let team = w.temp.path().join("sites/team");
        w.until(|batch| batch.dirs.contains(&team));
        w.temp.write("sites/team/a.route", "new");
        w.file("sites/team/a.route");
    }

    #[test]
    fn a_directory_that_was_replaced_is_watched_in_its_new_shape() {
        let mut w = Watched::new("watch-replace", &["sites/team/a.route", "next/a.route"]);
        let team = w.temp.path().join("sites/team");
        std::fs::rename(&team, w.temp.path().join("old")).unwrap();
        std::fs::rename(w.temp.path().join("next"), &team).unwrap();
        w.until(|batch| batch.dirs.contains(&team));
        w.temp.write("sites/team/a.route", "new");
        w.file("sites/team/a.route");
    }

    #[test]
    fn the_root_may_be_replaced() {
        let mut w = Watched::new("watch-root", &["sites/a.route", "next/a.route"]);
        std::fs::rename(w.temp.path().join("sites"), w.temp.path().join("old")).unwrap();
        w.until(|batch| batch.all);
        std::fs::rename(w.temp.path().join("next"), w.temp.path().join("sites")).unwrap();
        w.until(|batch| batch.all);
        w.temp.write("sites/a.route", "new");
        w.file("sites/a.route");
    }

    #[test]
    fn a_link_that_is_swapped_is_noticed_and_so_is_what_it_leads_to() {
        let mut w = Watched::new("watch-links", &["sites/..v1/a.route", "sites/..v2/a.route"]);
        let at = |name: &str| w.temp.path().join(name);
        let (data, tmp, v1) = (at("sites/..data"), at("sites/..data_tmp"), at("sites/..v2/a.route"));
        symlink("..v1", &data).unwrap();
        symlink("..data/a.route", at("sites/a.route")).unwrap();
        w.until(|batch| batch.all);
        symlink("..v2", &tmp).unwrap();
        std::fs::rename(&tmp, &data).unwrap();
        w.until(|batch| batch.all);
        std::fs::write(v1, "new").unwrap();
        w.file("sites/a.route");
    }

    #[test]
    fn a_linked_directory_elsewhere_is_watched() {
        let mut w = Watched::new("watch-elsewhere", &["cfg/a.route"]);
        symlink(w.temp.path().join("cfg"), w.temp.path().join("sites/team")).unwrap();
        w.until(|batch| batch.all);
        w.temp.write("cfg/a.route", "new");
        w.file("sites/team/a.route");
    }

    #[test]
    fn what_is_no_route_file_wakes_nobody() {
        let shared = Shared::default();
        let event = |kind, path: &str| Ok(Event::new(kind).add_path(PathBuf::from(path)));
        let now = Instant::now();
        let data = EventKind::Modify(ModifyKind::Any);
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        shared.hear(event(open, "/s/a.route"), now);
        shared.hear(event(EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any)), "/s/access.log"), now);
        assert_eq!(shared.lock().due(), None);
        shared.hear(event(data, "/s/a.route"), now);
        assert_eq!(shared.lock().due(), Some(now + QUIET));
    }

    fn data(path: &str) -> notify::Result<Event> {
        let kind = EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any));
        Ok(Event::new(kind).add_path(path.into()))
    }

    fn close(path: &str) -> notify::Result<Event> {
        Ok(Event::new(EventKind::Access(AccessKind::Close(AccessMode::Write))).add_path(path.into()))
    }

    #[test]
    fn a_file_that_is_being_written_is_left_alone_until_it_is_closed() {
        let shared = Shared::default();
        let start = Instant::now();
        shared.hear(data("/s/a.route"), start);
        assert_eq!(shared.lock().due(), Some(start + HOLD), "a writer that never closes it is not waited for for ever");
        shared.hear(close("/s/a.route"), start);
        assert_eq!(shared.lock().due(), Some(start + QUIET));
        // Others do not wait for it.
        shared.hear(data("/s/b.route"), start);
        let taken = shared.lock().take(start + QUIET);
        assert_eq!(taken.names.keys().collect::<Vec<_>>(), [Path::new("/s/a.route")]);
        assert_eq!(shared.lock().due(), Some(start + HOLD));
        let taken = shared.lock().take(start + HOLD);
        assert_eq!(taken.names.keys().collect::<Vec<_>>(), [Path::new("/s/b.route")]);
        assert_eq!(shared.lock().due(), None);
    }

    #[test]
    fn a_stream_of_events_does_not_put_a_reload_off_for_ever() {
        let shared = Shared::default();
        let start = Instant::now();
        for n in 0..100 {
            let now = start + Duration::from_millis(5 * n);
            shared.hear(close("/s/a.route"), now);
        }
        assert_eq!(shared.lock().due(), Some(start + PATIENCE));
        assert_eq!(shared.lock().names.len(), 1);
    }

    #[test]
    fn a_flood_of_names_is_everything() {
        let shared = Shared::default();
        for n in 0..=NAMES {
            let event = Event::new(EventKind::Create(CreateKind::File)).add_path(format!("/s/{n}.route").into());
            shared.hear(Ok(event), Instant::now());
        }
        let pending = shared.lock();
        assert!(pending.all && pending.names.is_empty());
    }

    #[test]
    fn it_stops_when_told() {
        let mut w = Watched::new("watch-stop", &[]);
        let stop = w.watcher.stopper();
        let thread = std::thread::spawn(stop);
        while w.watcher.wait(None).is_some() {}
        thread.join().unwrap();
    }
}
