//! Decides what serves: compiles what changed, keeps last good versions, settles who has a host.
//!
//! INVARIANT: nothing here is proportional to the number of files but a cold start and a look at
//! everything. A batch costs what it touches.

use super::claims::{Candidate, Claims, Key, What};
use super::compile::{Claim, Compiled, GATEWAY, Module, ModuleTable, Places, Source, compile, for_each};
use super::digest::Digest;
use super::ids::Ids;
use super::item::{Item, own_ports};
use super::report::{Event, Refused, Report, line_of};
use super::secrets;
use super::store::{Change, Store, Version};
use super::tree::{self, Stamp};
use crate::l4::ListenKey;
use crate::secrets::Secrets;
use dsl::diagnostic::Diagnostic;
use dsl::syntax::span::{FileId, Loc, Span};
use dsl::testing::Test;
use dsl::tree::{Program, ir};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What becomes of compiled sites and items: something to serve, or something to ask.
pub trait Install {
    /// A site.
    type Site;
    /// A `tcp`, `udp` or `passthrough` item.
    type Route;
    /// Makes a site. `dir` is the route file's directory.
    fn install(&mut self, program: Arc<Program>, dir: &Path) -> Self::Site;
    /// Makes an item.
    fn carry(&mut self, item: &Item, dir: &Path) -> Arc<Self::Route>;
}

/// Route files to look at, relative to the sites directory.
#[derive(Debug, Default)]
pub struct Touched {
    /// They are there.
    pub present: Vec<Arc<Path>>,
    /// They are not.
    pub gone: Vec<Arc<Path>>,
}

/// What stands behind a host.
#[derive(Debug)]
pub enum Stand<S, R> {
    /// A site.
    Site(Arc<S>),
    /// TLS connections to it are handed on.
    Passthrough(Arc<R>),
    /// A file that never loaded.
    Unavailable,
}

impl<S, R> Clone for Stand<S, R> {
    fn clone(&self) -> Self {
        match self {
            Self::Site(site) => Self::Site(Arc::clone(site)),
            Self::Passthrough(route) => Self::Passthrough(Arc::clone(route)),
            Self::Unavailable => Self::Unavailable,
        }
    }
}

/// An item, and the file that it stands in, to show.
pub type Placed<R> = (Arc<R>, String);

/// What a batch changes, to be published together.
#[derive(Debug)]
pub struct Outcome<S, R> {
    /// Hosts whose answer changes; `None` for nobody.
    pub hosts: Vec<(ir::HostPattern, Option<Stand<S, R>>)>,
    /// Listeners whose item changes, and the file that it stands in; `None` for nobody.
    pub listening: Vec<(ListenKey, Option<Placed<R>>)>,
    /// The site that says `default`, where that changes.
    pub default: Option<Option<Arc<S>>>,
    /// What is in force of `gateway.route`, where that changes.
    pub gateway: Option<Arc<ir::Gateway>>,
    /// What to tell.
    pub report: Report,
}

/// The outcome of what is made so.
pub type OutcomeOf<I> = Outcome<<I as Install>::Site, <I as Install>::Route>;

/// The files, what serves of them, and why the rest does not.
pub struct Loader<I: Install> {
    places: Places,
    install: I,
    store: Option<Store>,
    /// What files may name; `None` where that is not looked at.
    secrets: Option<Arc<Secrets>>,
    tests: Tests,
    /// Files that were refused for tests.
    failing: BTreeSet<FileId>,
    /// Files that were refused for secrets.
    waiting: BTreeSet<FileId>,
    /// Whether secrets are read from where `gateway.route` says.
    directed: bool,
    ids: Ids,
    units: HashMap<FileId, Unit<I>>,
    /// Who asked for a file, found or not.
    importers: HashMap<PathBuf, BTreeSet<FileId>>,
    modules: ModuleTable,
    claims: Claims,
    /// Hosts of files that never loaded.
    unavailable: HashMap<Key, (ir::HostPattern, BTreeSet<FileId>)>,
}

struct Unit<I: Install> {
    path: Arc<Path>,
    /// What is on disk; `None` when it cannot be read.
    disk: Option<(Stamp, Digest)>,
    /// What serves.
    good: Option<Good<I>>,
    /// What served before this process started, until it is known whether it is needed.
    stored: Option<Arc<Version>>,
    /// Whether what is on disk does not serve.
    refused: Option<Refused>,
    asked: Vec<PathBuf>,
    /// Its keys in `unavailable`.
    shut: Vec<Key>,
    /// Secrets that it was refused for.
    waits_for: Vec<Arc<str>>,
}

struct Good<I: Install> {
    digest: Digest,
    gateway: Option<Arc<ir::Gateway>>,
    sites: Vec<(Vec<Key>, Arc<I::Site>)>,
    items: Vec<(Vec<Key>, Arc<I::Route>)>,
    /// Its tests, where they are kept.
    tests: Vec<Arc<Test>>,
    /// Its claims, and the lines they stand on.
    claims: Vec<(Claim, usize)>,
}

/// A file with tests.
#[derive(Clone, Debug)]
pub struct Tested<S> {
    /// Where it is, relative to the sites directory.
    pub path: Arc<Path>,
    /// Its tests.
    pub tests: Vec<Arc<Test>>,
    /// The sites that they are about.
    pub sites: Vec<Arc<S>>,
}

/// What becomes of tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tests {
    /// A file whose test fails does not load.
    Decide,
    /// They are not run: `tests off`.
    Off,
    /// They are kept for whoever asks.
    Kept,
}

/// Why a file is compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    New,
    Changed,
    /// What it imports changed.
    Importer,
    /// A host that it was refused for may be free.
    Waiting,
}

struct Job {
    source: Source,
    why: Why,
    /// What it became already: a file that imports nothing waits for nobody.
    early: Option<Compiled>,
}

struct Done {
    job: Job,
    compiled: Compiled,
}

/// What a batch has in hand.
struct Batch {
    jobs: BTreeMap<FileId, Job>,
    done: BTreeMap<FileId, Done>,
    /// Files that were settled in this batch.
    settled: HashSet<FileId>,
    freed: BTreeSet<Key>,
    /// Hosts and listeners whose answer may have changed.
    moved: BTreeMap<Key, What>,
    changes: Vec<Change>,
    events: BTreeMap<String, Event>,
    findings: BTreeMap<Arc<Path>, Vec<Diagnostic>>,
    report: Report,
    gateway: bool,
}

impl Batch {
    fn new() -> Self {
        Self {
            jobs: BTreeMap::new(),
            done: BTreeMap::new(),
            settled: HashSet::new(),
            freed: BTreeSet::new(),
            moved: BTreeMap::new(),
            changes: Vec::new(),
            events: BTreeMap::new(),
            findings: BTreeMap::new(),
            report: Report::default(),
            gateway: false,
        }
    }
}

impl<I: Install> Loader<I> {
    /// A loader of a sites directory. With a store, last good versions serve and are kept.
    pub fn new(places: Places, install: I, store: Option<Store>) -> Self {
        let mut loader = Self {
            places,
            install,
            store,
            secrets: None,
            tests: Tests::Decide,
            failing: BTreeSet::new(),
            waiting: BTreeSet::new(),
            directed: false,
            ids: Ids::default(),
            units: HashMap::new(),
            importers: HashMap::new(),
            modules: ModuleTable::new(),
            claims: Claims::default(),
            unavailable: HashMap::new(),
        };
        loader.hold_default_ports();
        loader
    }

    /// Files whose secrets are not at hand are refused from now on.
    #[must_use]
    pub fn with_secrets(self, secrets: Arc<Secrets>) -> Self {
        Self { secrets: Some(secrets), ..self }
    }

    /// Tests decide nothing from now on; [`Loader::tests`] has them.
    #[must_use]
    pub fn keeping_tests(self) -> Self {
        Self { tests: Tests::Kept, ..self }
    }

    /// The tests of files that load, with the sites that they are about, in the order of the paths.
    pub fn tests(&self) -> Vec<Tested<I::Site>> {
        let good = self.units.values().filter_map(|u| Some((&u.path, u.good.as_ref()?)));
        let tested = good.filter(|(_, good)| !good.tests.is_empty());
        let mut all: Vec<_> = tested
            .map(|(path, good)| Tested {
                path: Arc::clone(path),
                tests: good.tests.clone(),
                sites: good.sites.iter().map(|(_, site)| Arc::clone(site)).collect(),
            })
            .collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }

    /// Where its files are.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// What makes things of compiled sites.
    pub fn install(&self) -> &I {
        &self.install
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The files it knows below a directory (all of them below the empty path).
    pub fn below(&self, dir: &Path) -> Vec<Arc<Path>> {
        self.units.values().map(|u| &u.path).filter(|p| p.starts_with(dir)).cloned().collect()
    }

    /// Whether a file looks as it did when it was read.
    pub fn looks_the_same(&self, path: &Path) -> bool {
        let unit = self.ids.get(path).and_then(|file| self.units.get(&file));
        let stamp = unit.and_then(|unit| unit.disk.as_ref()).map(|(stamp, _)| stamp);
        stamp.is_some_and(|stamp| stamp.still(&self.places.root.join(path)))
    }

    /// The sites that serve, with the path of their files, in the order of the paths.
    pub fn sites(&self) -> Vec<(Arc<Path>, Arc<I::Site>)> {
        let good = self.units.values().filter_map(|u| Some((&u.path, u.good.as_ref()?)));
        let mut sites: Vec<_> = good
            .flat_map(|(path, good)| good.sites.iter().map(move |(_, site)| (Arc::clone(path), Arc::clone(site))))
            .collect();
        sites.sort_by(|(a, _), (b, _)| a.cmp(b));
        sites
    }

    /// The `tcp`, `udp` and `passthrough` items that serve, with the path of their files, in the order of the paths.
    pub fn items(&self) -> Vec<(Arc<Path>, Arc<I::Route>)> {
        let good = self.units.values().filter_map(|u| Some((&u.path, u.good.as_ref()?)));
        let mut items: Vec<_> = good
            .flat_map(|(path, good)| good.items.iter().map(move |(_, item)| (Arc::clone(path), Arc::clone(item))))
            .collect();
        items.sort_by(|(a, _), (b, _)| a.cmp(b));
        items
    }

    /// Hosts that answer 503, and the files that claim them and never loaded, in the order of the hosts.
    pub fn unavailable(&self) -> Vec<(ir::HostPattern, Vec<Arc<Path>>)> {
        let shut = self.unavailable.iter().filter(|(key, _)| self.claims.holder(key).is_none());
        let mut shut: Vec<_> = shut
            .map(|(key, (pattern, files))| {
                let files = files.iter().filter_map(|file| self.ids.path(*file).cloned()).collect();
                (key, (pattern.clone(), files))
            })
            .collect();
        shut.sort_by_key(|(key, _)| Arc::clone(key));
        shut.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Why `gateway.route` cannot be gone by, if no version of it ever loaded.
    pub fn gateway_refused(&self) -> Option<&Refused> {
        let unit = self.units.get(&self.ids.get(Path::new(GATEWAY))?)?;
        if unit.good.is_none() { unit.refused.as_ref() } else { None }
    }

    /// Makes the store's last good versions known, before anything is loaded.
    pub fn recall(&mut self, present: &[Arc<Path>]) {
        if let Some(file) =
            self.ids.get(Path::new(GATEWAY)).filter(|_| present.iter().any(|p| **p == *Path::new(GATEWAY)))
        {
            // It says where to listen.
            self.claims.release(file);
        }
        let Some(mut versions) = self.store.as_ref().map(Store::versions) else { return };
        let mut known: Vec<_> = present.iter().filter_map(|path| versions.remove_entry(path)).collect();
        known.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (path, version) in known {
            let file = self.ids.add(&path);
            self.claims.adopt(file, &version.hosts);
            self.unit(file, &path).stored = Some(version);
        }
        // What was deleted while nobody looked is deleted.
        self.keep(versions.into_keys().map(Change::Gone).collect());
    }

    /// Without `gateway.route` the gateway listens where it does by default.
    fn hold_default_ports(&mut self) {
        let file = self.ids.add(&Path::new(GATEWAY).into());
        let ports: Vec<Key> = own_ports(&ir::Gateway::default()).map(|(port, ..)| What::Port(port).key()).collect();
        self.claims.adopt(file, &ports);
    }

    fn keep(&self, changes: Vec<Change>) {
        if let Some(store) = &self.store {
            store.write(changes);
        }
    }

    /// Takes a batch in.
    pub fn apply(&mut self, touched: &Touched) -> OutcomeOf<I> {
        let mut batch = Batch::new();
        for path in &touched.gone {
            self.gone(path, &mut batch);
        }
        self.read(&touched.present, &mut batch);
        self.work(batch)
    }

    /// Takes in the files that were refused for secrets that are there now.
    pub fn secrets_came(&mut self) -> OutcomeOf<I> {
        let mut batch = Batch::new();
        self.queue_for_secrets(&mut batch);
        self.work(batch)
    }

    fn queue_for_secrets(&mut self, batch: &mut Batch) {
        let Some(secrets) = &self.secrets else { return };
        let has = |name: &Arc<str>| secrets.get(name).is_some();
        let came = |file: &FileId| self.units.get(file).is_some_and(|unit| unit.waits_for.iter().all(has));
        let ready: Vec<FileId> = self.waiting.iter().filter(|file| came(file)).copied().collect();
        for file in ready {
            if !batch.settled.contains(&file) {
                self.queue(file, Why::Waiting, batch);
            }
        }
    }

    fn work(&mut self, mut batch: Batch) -> OutcomeOf<I> {
        loop {
            self.compile_all(&mut batch);
            self.settle(&mut batch);
            let waiting = self.claims.waiting(&std::mem::take(&mut batch.freed));
            for file in waiting {
                if !batch.settled.contains(&file) {
                    self.queue(file, Why::Waiting, &mut batch);
                }
            }
            if batch.jobs.is_empty() {
                break;
            }
        }
        self.finish(batch)
    }

    // === looking at files

    fn gone(&mut self, path: &Path, batch: &mut Batch) {
        let Some(file) = self.ids.get(path) else { return };
        let Some(unit) = self.units.remove(&file) else { return };
        batch.freed.extend(self.claims.held(file).iter().chain(self.claims.refused_for(file)).cloned());
        self.claims.release(file);
        for (claim, _) in unit.good.iter().flat_map(|g| &g.claims) {
            batch.moved.insert(Arc::clone(&claim.key), claim.what.clone());
        }
        batch.gateway |= unit.good.as_ref().is_some_and(|g| g.gateway.is_some());
        self.open(file, &unit.shut, batch);
        self.forget_asked(file, &unit.asked);
        self.ids.remove(file);
        self.waiting.remove(&file);
        self.failing.remove(&file);
        if *path == *Path::new(GATEWAY) {
            self.directed = false;
            self.tests = if self.tests == Tests::Kept { Tests::Kept } else { Tests::Decide };
            self.hold_default_ports();
        }
        let was_module = self.modules.remove(&file).is_some();
        batch.changes.push(Change::Gone(Arc::clone(&unit.path)));
        batch.events.insert(self.places.show(&unit.path), Event::Removed);
        if was_module {
            for importer in self.importers.get(path).cloned().unwrap_or_default() {
                self.queue(importer, Why::Importer, batch);
            }
        }
    }

    fn read(&mut self, present: &[Arc<Path>], batch: &mut Batch) {
        let root = &self.places.root;
        let read = for_each(present, |path| tree::read(&root.join(path)));
        let mut sources = Vec::new();
        for (path, read) in present.iter().zip(read) {
            match read {
                Ok(read) => {
                    let file = self.ids.add(path);
                    let unit = self.unit(file, path);
                    let before = unit.disk.replace((read.stamp, read.digest));
                    if before.is_some_and(|(_, digest)| digest == read.digest) {
                        continue;
                    }
                    let why = if unit.good.is_none() && before.is_none() { Why::New } else { Why::Changed };
                    sources.push((why, file, Arc::clone(path), read.digest, read.text));
                }
                // It went while we looked.
                Err(e) if e.kind() == io::ErrorKind::NotFound && !self.exists(path) => self.gone(path, batch),
                Err(e) => self.unreadable(path, &e, batch),
            }
        }
        // Parsed and compiled in one go where that can be, so that few trees are in memory at once.
        let (ids, modules, places) = (&self.ids, &self.modules, &self.places);
        let alone = |(_, file, path, digest, text): &(Why, FileId, Arc<Path>, Digest, Arc<str>), decide: bool| {
            let source = Source::parse(*file, Arc::clone(path), *digest, Arc::clone(text));
            if source.imports.is_empty() {
                let mut compiled = compile(&source, ids, modules, places);
                if decide {
                    compiled.test();
                }
                (source.without_tree(), Some(compiled))
            } else {
                (source, None)
            }
        };
        // It says whether tests decide.
        let gateway = sources.iter().position(|(_, _, path, ..)| **path == *Path::new(GATEWAY));
        let first = gateway.map(|at| alone(&sources[at], false));
        let tests = first.as_ref().and_then(|(_, compiled)| tests_by(compiled.as_ref()?));
        let tests = tests.filter(|_| self.tests != Tests::Kept).unwrap_or(self.tests);
        let decide = tests == Tests::Decide;
        let first = first.map(|(source, mut compiled)| {
            compiled.iter_mut().filter(|_| decide).for_each(Compiled::test);
            (source, compiled)
        });
        let others: Vec<_> = sources.iter().enumerate().filter(|(n, _)| Some(*n) != gateway).map(|(_, s)| s).collect();
        let parsed = for_each(&others, |source| alone(source, decide));
        let gateway = gateway.map(|at| &sources[at]);
        let parsed = gateway.into_iter().zip(first).chain(others.into_iter().zip(parsed));
        for ((why, file, ..), (source, early)) in parsed {
            batch.jobs.insert(*file, Job { source, why: *why, early });
        }
        self.decide_by(tests, batch);
    }

    fn exists(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(self.places.root.join(path)).is_ok()
    }

    /// A file that is there and cannot be read is broken, not deleted.
    fn unreadable(&mut self, path: &Arc<Path>, error: &io::Error, batch: &mut Batch) {
        let file = self.ids.add(path);
        let shown = self.places.show(path);
        let loc = Loc { file, span: Span::default() };
        let finding = dsl::lint::files::unreadable(loc, &error.to_string());
        let why = Refused { place: shown.clone(), code: finding.code, message: finding.message.clone() };
        let unit = self.unit(file, path);
        if unit.refused.as_ref() == Some(&why) {
            return;
        }
        unit.disk = None;
        batch.report.texts.insert(file, shown.clone(), "".into());
        batch.findings.insert(Arc::clone(path), vec![finding]);
        self.refuse(file, &[], why, batch);
    }

    fn unit(&mut self, file: FileId, path: &Arc<Path>) -> &mut Unit<I> {
        self.units.entry(file).or_insert_with(|| Unit {
            path: Arc::clone(path),
            disk: None,
            good: None,
            stored: None,
            refused: None,
            asked: Vec::new(),
            shut: Vec::new(),
            waits_for: Vec::new(),
        })
    }

    /// Compiles a file again although it did not change.
    fn queue(&mut self, file: FileId, why: Why, batch: &mut Batch) {
        if batch.jobs.contains_key(&file) {
            return;
        }
        if let Some(done) = batch.done.remove(&file) {
            batch.jobs.insert(file, done.job);
            return;
        }
        let Some(unit) = self.units.get_mut(&file) else { return };
        // If it changed this very moment, its own event follows; what is there now counts.
        let Ok(read) = tree::read(&self.places.root.join(&unit.path)) else { return };
        let same = unit.disk.replace((read.stamp, read.digest)).is_some_and(|(_, digest)| digest == read.digest);
        let source = Source::parse(file, Arc::clone(&unit.path), read.digest, read.text);
        batch.jobs.insert(file, Job { source, why: if same { why } else { Why::Changed }, early: None });
    }

    // === compiling

    /// Compiles what is queued, modules before who imports them.
    fn compile_all(&mut self, batch: &mut Batch) {
        while !batch.jobs.is_empty() {
            let waits = |job: &Job| {
                job.source
                    .imports
                    .iter()
                    .any(|path| self.ids.get(path).is_some_and(|m| m != job.source.file && batch.jobs.contains_key(&m)))
            };
            let mut ready: Vec<FileId> =
                batch.jobs.iter().filter(|(_, job)| !waits(job)).map(|(file, _)| *file).collect();
            if ready.is_empty() {
                // They import each other in a circle: each sees the others as they are, and is told.
                ready = batch.jobs.keys().copied().collect();
                for (file, job) in &batch.jobs {
                    self.modules.insert(*file, Module::Ready(job.source.with_tree()));
                }
            }
            let jobs = ready.iter().filter_map(|file| batch.jobs.remove(file));
            let (mut jobs, late): (Vec<Job>, Vec<Job>) = jobs.partition(|job| job.early.is_some());
            for job in &late {
                self.fetch_modules(&job.source, &batch.done);
            }
            let (ids, modules, places) = (&self.ids, &self.modules, &self.places);
            let gateway = late.iter().find(|job| *job.source.path == *Path::new(GATEWAY));
            let said = gateway.and_then(|job| tests_by(&compile(&job.source, ids, modules, places)));
            let tests = said.filter(|_| self.tests != Tests::Kept).unwrap_or(self.tests);
            let compiled = for_each(&late, |job| {
                let mut compiled = compile(&job.source, ids, modules, places);
                if tests == Tests::Decide {
                    compiled.test();
                }
                compiled
            });
            let early: Vec<Compiled> = jobs.iter_mut().filter_map(|job| job.early.take()).collect();
            jobs.extend(late);
            let mut changed = Vec::new();
            for (mut job, compiled) in jobs.into_iter().zip(early.into_iter().chain(compiled)) {
                let file = job.source.file;
                self.remember_asked(file, &compiled);
                if self.now_in_force(&job.source, compiled.sound()) {
                    changed.push(Arc::clone(&job.source.path));
                }
                job.source = job.source.without_tree();
                batch.done.insert(file, Done { job, compiled });
            }
            self.decide_by(tests, batch);
            for path in changed {
                for importer in self.importers.get(&*path).cloned().unwrap_or_default() {
                    self.queue(importer, Why::Importer, batch);
                }
            }
        }
    }

    /// Makes the modules of a file known, and theirs.
    fn fetch_modules(&mut self, source: &Source, done: &BTreeMap<FileId, Done>) {
        let mut ahead = source.imports.clone();
        while let Some(path) = ahead.pop() {
            let Some(file) = self.ids.get(&path) else { continue };
            if self.modules.contains_key(&file) || !self.units.contains_key(&file) {
                continue;
            }
            // What was compiled in this batch is in force already; it may be a file's first version.
            let new = done.get(&file).filter(|d| d.compiled.sound()).map(|d| d.job.source.with_tree());
            if new.is_none() {
                self.stored(file);
            }
            let module = new.or_else(|| self.in_force(file)).map_or(Module::Broken, Module::Ready);
            if let Module::Ready(source) = &module {
                ahead.extend(source.imports.iter().cloned());
            }
            self.modules.insert(file, module);
        }
    }

    /// The version of a file that serves.
    fn in_force(&self, file: FileId) -> Option<Source> {
        let unit = self.units.get(&file)?;
        let digest = unit.good.as_ref()?.digest;
        let text = self.text(unit, digest)?;
        Some(Source::parse(file, Arc::clone(&unit.path), digest, text))
    }

    /// A version's text, from the file if it is still there, else from the store.
    fn text(&self, unit: &Unit<I>, digest: Digest) -> Option<Arc<str>> {
        let disk =
            || tree::read(&self.places.root.join(&unit.path)).ok().filter(|t| t.digest == digest).map(|t| t.text);
        disk().or_else(|| self.store.as_ref()?.text(digest))
    }

    /// Notes which version importers get; whether that changed for anybody.
    fn now_in_force(&mut self, source: &Source, sound: bool) -> bool {
        let imported = self.importers.contains_key(&*source.path);
        let known = self.modules.get(&source.file);
        if !imported && known.is_none() {
            return false;
        }
        let before = match known {
            Some(Module::Ready(before)) => Some(before.digest),
            Some(Module::Broken) | None => None,
        };
        let module = if sound {
            Module::Ready(source.with_tree())
        } else {
            self.stored(source.file);
            self.in_force(source.file).map_or(Module::Broken, Module::Ready)
        };
        let after = match &module {
            Module::Ready(after) => Some(after.digest),
            Module::Broken => None,
        };
        self.modules.insert(source.file, module);
        before != after && imported
    }

    fn remember_asked(&mut self, file: FileId, compiled: &Compiled) {
        let asked: Vec<PathBuf> = compiled.asked.keys().cloned().collect();
        let Some(unit) = self.units.get_mut(&file) else { return };
        if unit.asked == asked {
            return;
        }
        let before = std::mem::replace(&mut unit.asked, asked.clone());
        self.forget_asked(file, &before);
        for path in asked {
            self.importers.entry(path).or_default().insert(file);
        }
    }

    fn forget_asked(&mut self, file: FileId, asked: &[PathBuf]) {
        for path in asked {
            let Some(importers) = self.importers.get_mut(path) else { continue };
            importers.remove(&file);
            if importers.is_empty() {
                self.importers.remove(path);
                // Nobody imports it: its tree is not kept.
                if let Some(module) = self.ids.get(path) {
                    self.modules.remove(&module);
                }
            }
        }
    }

    /// Notes whether tests decide. Files that were refused for theirs are loaded where they do not any more.
    fn decide_by(&mut self, tests: Tests, batch: &mut Batch) {
        let before = std::mem::replace(&mut self.tests, tests);
        if before == Tests::Decide && tests == Tests::Off {
            let now = batch.done.iter().filter(|(_, done)| done.compiled.fails_a_test()).map(|(file, _)| *file);
            let mut again = std::mem::take(&mut self.failing);
            again.extend(now);
            for file in again {
                self.queue(file, Why::Waiting, batch);
            }
        }
    }

    // === settling

    /// Decides which compiled files serve, and lets them.
    fn settle(&mut self, batch: &mut Batch) {
        let mut done = std::mem::take(&mut batch.done);
        batch.settled.extend(done.keys().copied());
        for (file, done) in &done {
            if done.compiled.fails_a_test() {
                self.failing.insert(*file);
            } else {
                self.failing.remove(file);
            }
        }
        self.find_secrets(&mut done, batch);
        let mut candidates = Vec::new();
        for (file, done) in &done {
            batch.freed.extend(self.claims.refused_for(*file).iter().cloned());
            let shown = self.places.show(&done.job.source.path);
            batch.report.texts.insert(*file, shown, Arc::clone(&done.job.source.text));
            if done.compiled.sound() {
                let claims = &done.compiled.claims;
                let given_up = |key: &&Key| claims.iter().all(|c| c.key != **key);
                batch.freed.extend(self.claims.held(*file).iter().filter(given_up).cloned());
                let keys = claims.iter().map(|c| (Arc::clone(&c.key), c.what.clone())).collect();
                let first = *done.job.source.path == *Path::new(GATEWAY);
                candidates.push(Candidate { file: *file, keys, first });
            } else {
                self.claims.forgive(*file);
            }
        }
        let verdict = self.claims.decide(&candidates);
        // What was lost to each other is told before anything moves.
        let lost: BTreeMap<FileId, Vec<Diagnostic>> = verdict
            .refused
            .iter()
            .map(|(file, lost)| (*file, self.conflicts(*file, lost, &done, &mut batch.report.texts)))
            .collect();
        for (file, mut done) in done {
            done.compiled.findings.extend(lost.get(&file).into_iter().flatten().cloned());
            let path = Arc::clone(&done.job.source.path);
            self.module_texts(&done.compiled, batch);
            batch.findings.insert(Arc::clone(&path), done.compiled.findings.clone());
            if verdict.accepted.contains(&file) {
                self.accept(file, done, batch);
            } else {
                let why = Refused::by(&done.compiled.findings, &batch.report.texts);
                let why = why.expect("what is refused has an error that says why");
                self.refuse(file, &done.compiled.claims, why, batch);
            }
        }
    }

    /// Reads secrets from where `gateway.route` says, and refuses the files whose secrets are not there.
    fn find_secrets(&mut self, done: &mut BTreeMap<FileId, Done>, batch: &mut Batch) {
        let Some(secrets) = self.secrets.clone() else { return };
        let file = self.ids.get(Path::new(GATEWAY));
        if !self.directed || file.is_some_and(|file| done.contains_key(&file)) {
            self.direct(&secrets, file, done, batch);
        }
        let missing = |done: &Done| secrets::missing(secrets::pools(&done.compiled), &secrets);
        if done.values().any(|done| !missing(done).0.is_empty()) {
            // One that was written a moment ago is there.
            batch.report.warnings.extend(secrets.look().words);
        }
        for (file, done) in done.iter_mut() {
            let (names, findings) = missing(done);
            if findings.is_empty() {
                self.waiting.remove(file);
            } else {
                done.compiled.findings.extend(findings);
                done.compiled.refuse();
                self.waiting.insert(*file);
            }
            if let Some(unit) = self.units.get_mut(file) {
                unit.waits_for = names;
            }
        }
        self.queue_for_secrets(batch);
    }

    /// Reads secrets from where `gateway.route` says.
    fn direct(&mut self, secrets: &Secrets, file: Option<FileId>, done: &BTreeMap<FileId, Done>, batch: &mut Batch) {
        let new = file.and_then(|file| done.get(&file)).filter(|done| done.compiled.sound());
        let dir = match (new, file.and_then(|file| self.units.get(&file))) {
            (Some(done), _) => done.compiled.gateway.as_ref().and_then(|gateway| gateway.secrets.clone()),
            (None, Some(unit)) => unit.good.as_ref().and_then(|good| good.gateway.as_ref()?.secrets.clone()),
            (None, None) => None,
        };
        let dir = dir.map(|dir| self.places.root.join(&*dir));
        batch.report.warnings.extend(secrets.read_from(dir).words);
        self.directed = true;
    }

    /// Findings in modules are shown with the modules' texts.
    fn module_texts(&self, compiled: &Compiled, batch: &mut Batch) {
        for path in compiled.asked.keys() {
            let Some(file) = self.ids.get(path) else { continue };
            if let Some(Module::Ready(source)) = self.modules.get(&file)
                && !batch.report.texts.contains(file)
            {
                batch.report.texts.insert(file, self.places.show(path), Arc::clone(&source.text));
            }
        }
    }

    fn accept(&mut self, file: FileId, done: Done, batch: &mut Batch) {
        let Done { job, compiled } = done;
        let event = match job.why {
            Why::New | Why::Waiting => Event::Added,
            Why::Changed => Event::Changed,
            Why::Importer => Event::Recompiled,
        };
        batch.events.insert(self.places.show(&job.source.path), event);
        let version = self.version(&job.source, &compiled);
        let unit = self.units.get_mut(&file).expect("a file that was compiled is known");
        unit.refused = None;
        // What is kept already need not be handed over.
        if unit.stored.take().is_none_or(|stored| *stored != version) {
            batch.changes.push(Change::Good(
                Arc::clone(&job.source.path),
                Arc::new(version),
                self.texts_of(&job.source, &compiled),
            ));
        }
        let good = self.good(&job.source, compiled);
        self.replace(file, good, batch);
    }

    fn version(&self, source: &Source, compiled: &Compiled) -> Version {
        Version {
            digest: source.digest,
            imports: compiled.asked.iter().filter_map(|(path, d)| Some((Arc::from(path.as_path()), (*d)?))).collect(),
            hosts: compiled.claims.iter().map(|c| Arc::clone(&c.key)).collect(),
        }
    }

    fn texts_of(&self, source: &Source, compiled: &Compiled) -> Vec<(Digest, Arc<str>)> {
        let mut texts = vec![(source.digest, Arc::clone(&source.text))];
        for path in compiled.asked.keys() {
            if let Some(Module::Ready(module)) = self.ids.get(path).and_then(|file| self.modules.get(&file)) {
                texts.push((module.digest, Arc::clone(&module.text)));
            }
        }
        texts
    }

    fn good(&mut self, source: &Source, compiled: Compiled) -> Good<I> {
        let dir = self.places.dir(&source.path);
        let sites = compiled
            .programs
            .into_iter()
            .map(|program| {
                let site = program.site();
                let mut keys: Vec<Key> = site.hosts.iter().map(|(pattern, _)| super::claims::key(pattern)).collect();
                if site.settings.default {
                    keys.push(super::claims::DEFAULT.into());
                }
                (keys, Arc::new(self.install.install(program, &dir)))
            })
            .collect();
        let items = compiled.items.iter().map(|item| (item.keys(), self.install.carry(item, &dir))).collect();
        let line = |claim: &Claim| line_of(&source.text, claim.loc.span.start);
        Good {
            digest: source.digest,
            gateway: compiled.gateway.map(Arc::new),
            sites,
            items,
            tests: if self.tests == Tests::Kept { compiled.tests } else { Vec::new() },
            claims: compiled.claims.into_iter().map(|c| (line(&c), c)).map(|(line, c)| (c, line)).collect(),
        }
    }

    /// Lets a version serve instead of the one before it.
    fn replace(&mut self, file: FileId, good: Good<I>, batch: &mut Batch) {
        let unit = self.units.get_mut(&file).expect("a file that serves is known");
        let before = unit.good.take();
        let shut = std::mem::take(&mut unit.shut);
        for (claim, _) in before.iter().chain(Some(&good)).flat_map(|g| &g.claims) {
            batch.moved.insert(Arc::clone(&claim.key), claim.what.clone());
        }
        let gateway = |g: &Good<I>| g.gateway.clone();
        batch.gateway |= before.as_ref().and_then(gateway) != gateway(&good);
        unit.good = Some(good);
        self.open(file, &shut, batch);
    }

    /// What is on disk does not serve: the last good version does, or nothing.
    fn refuse(&mut self, file: FileId, claims: &[Claim], why: Refused, batch: &mut Batch) {
        self.stored(file);
        let Some(unit) = self.units.get_mut(&file) else { return };
        let kept = unit.good.is_some();
        unit.refused = Some(why.clone());
        for (claim, _) in unit.good.iter().flat_map(|g| &g.claims) {
            batch.moved.insert(Arc::clone(&claim.key), claim.what.clone());
        }
        batch.gateway |= unit.good.as_ref().is_some_and(|g| g.gateway.is_some());
        let shown = self.places.show(&unit.path);
        let shut = std::mem::take(&mut unit.shut);
        batch.events.insert(shown, Event::Refused { why, kept });
        self.open(file, &shut, batch);
        if !kept {
            self.shut(file, claims, batch);
        }
    }

    /// Compiles the version that served before this process started, if there is one.
    fn stored(&mut self, file: FileId) {
        let Some(unit) = self.units.get_mut(&file) else { return };
        let Some(version) = unit.stored.take() else { return };
        let path = Arc::clone(&unit.path);
        match self.compile_stored(file, &path, &version) {
            Some((source, compiled)) => {
                let good = self.good(&source, compiled);
                if let Some(unit) = self.units.get_mut(&file) {
                    unit.good = Some(good);
                }
            }
            // It may not serve any more: its hosts are free, and it is forgotten.
            None => {
                self.claims.release(file);
                self.keep(vec![Change::Gone(path)]);
            }
        }
    }

    fn compile_stored(&mut self, file: FileId, path: &Arc<Path>, version: &Version) -> Option<(Source, Compiled)> {
        let store = self.store.as_ref()?;
        let source = Source::parse(file, Arc::clone(path), version.digest, store.text(version.digest)?);
        let mut modules = ModuleTable::new();
        for (path, digest) in &version.imports {
            let text = store.text(*digest)?;
            let module = self.ids.add(path);
            modules.insert(module, Module::Ready(Source::parse(module, Arc::clone(path), *digest, text)));
        }
        let compiled = compile(&source, &self.ids, &modules, &self.places);
        // It serves what it held, no more: another file may have come since.
        let held = self.claims.held(file);
        let holds = compiled.claims.iter().all(|claim| held.contains(&claim.key));
        (compiled.sound() && holds).then_some((source, compiled))
    }

    /// Hosts of a file that never loaded answer 503.
    fn shut(&mut self, file: FileId, claims: &[Claim], batch: &mut Batch) {
        let mut shut = Vec::new();
        for claim in claims {
            let What::Host(pattern) = &claim.what else { continue };
            let entry = self.unavailable.entry(Arc::clone(&claim.key));
            entry.or_insert_with(|| (pattern.clone(), BTreeSet::new())).1.insert(file);
            batch.moved.insert(Arc::clone(&claim.key), claim.what.clone());
            shut.push(Arc::clone(&claim.key));
        }
        if let Some(unit) = self.units.get_mut(&file) {
            unit.shut = shut;
        }
    }

    /// They do not any more.
    fn open(&mut self, file: FileId, shut: &[Key], batch: &mut Batch) {
        for key in shut {
            let Some((pattern, files)) = self.unavailable.get_mut(key) else { continue };
            batch.moved.insert(Arc::clone(key), What::Host(pattern.clone()));
            files.remove(&file);
            if files.is_empty() {
                self.unavailable.remove(key);
            }
        }
    }

    // === telling

    fn finish(&mut self, batch: Batch) -> OutcomeOf<I> {
        let mut hosts = Vec::new();
        let mut listening = Vec::new();
        let mut default = None;
        for (key, what) in batch.moved {
            match what {
                What::Default => default = Some(self.site(&key)),
                What::Port(port) => {
                    let file = || self.ids.path(self.claims.holder(&key)?).map(|path| self.places.show(path));
                    listening.push((port, self.item(&key).zip(file())));
                }
                What::Host(pattern) => {
                    let site = self.site(&key).map(Stand::Site);
                    let passed = || self.item(&key).map(Stand::Passthrough);
                    let shut = || self.unavailable.contains_key(&key).then_some(Stand::Unavailable);
                    hosts.push((pattern, site.or_else(passed).or_else(shut)));
                }
            }
        }
        let gateway = batch.gateway.then(|| {
            let unit = self.ids.get(Path::new(GATEWAY)).and_then(|file| self.units.get(&file));
            unit.and_then(|u| u.good.as_ref()?.gateway.clone()).unwrap_or_default()
        });
        self.keep(batch.changes);
        let mut report = batch.report;
        report.events = batch.events.into_iter().collect();
        let mut said = HashSet::new();
        // A module's error is found by each of its importers.
        let new = |d: &Diagnostic| said.insert((d.primary.loc, d.code, d.message.clone()));
        report.findings = batch.findings.into_values().flatten().filter(new).collect();
        Outcome { hosts, listening, default, gateway, report }
    }

    fn held(&self, key: &Key) -> Option<&Good<I>> {
        self.units.get(&self.claims.holder(key)?)?.good.as_ref()
    }

    fn site(&self, key: &Key) -> Option<Arc<I::Site>> {
        self.held(key)?.sites.iter().find(|(keys, _)| keys.contains(key)).map(|(_, site)| Arc::clone(site))
    }

    fn item(&self, key: &Key) -> Option<Arc<I::Route>> {
        self.held(key)?.items.iter().find(|(keys, _)| keys.contains(key)).map(|(_, item)| Arc::clone(item))
    }
}

/// What a compiled `gateway.route` says of tests; nothing where it is not to be gone by.
fn tests_by(compiled: &Compiled) -> Option<Tests> {
    let gateway = compiled.gateway.as_ref().filter(|_| compiled.sound())?;
    Some(if gateway.tests { Tests::Decide } else { Tests::Off })
}

#[path = "conflicts.rs"]
mod conflicts;

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "load_gate_tests.rs"]
mod gate_tests;

#[cfg(test)]
#[path = "load_l4_tests.rs"]
mod l4_tests;
