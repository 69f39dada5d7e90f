//! Decides what serves: compiles what changed, keeps last good versions, settles who has a host.
//!
//! INVARIANT: nothing here is proportional to the number of files but a cold start and a look at
//! everything. A batch costs what it touches.

mod certificates;
mod compiling;
mod conflicts;
mod planning;
mod proofs;
mod read;
mod rows;
mod serving;
mod settling;
mod standing;
mod tenants;

use self::serving::Serving;
use super::claims::{Claims, Key, What};
use super::compile::{Claim, Compiled, Drafts, GATEWAY, ModuleTable, Places, Source};
use super::digest::Digest;
use super::ids::Ids;
use super::item::{Item, own_ports};
use super::report::{Event, Lines, Refused, Report};
use super::store::{Change, Store, Version};
use super::tree::Stamp;
use crate::l4::ListenKey;
use crate::secrets::Secrets;
use dsl::diagnostic::Diagnostic;
use dsl::lint::Traces;
use dsl::reach::Carried;
use dsl::reach::prove::Proof;
use dsl::syntax::span::FileId;
use dsl::testing::Test;
use dsl::tree::{Program, ir};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What becomes of compiled sites and items: something to serve, or something to ask.
pub trait Install {
    /// A site.
    type Site;
    /// A `tcp`, `udp` or `passthrough` item.
    type Route;
    /// Makes a site. `dir` is the route file's directory, `whose` the tenant whose file it is; `lines` shows places.
    fn install(&mut self, program: Arc<Program>, dir: &Path, whose: Option<&Arc<str>>, lines: &Lines) -> Self::Site;
    /// Makes an item.
    fn carry(&mut self, item: &Item, dir: &Path) -> Arc<Self::Route>;
}

pub use planning::Replaced;

/// Route files to look at, relative to the sites directory.
#[derive(Debug, Default)]
pub struct Touched {
    /// They are there.
    pub present: Vec<Arc<Path>>,
    /// They are not.
    pub gone: Vec<Arc<Path>>,
    /// Files of rows that may have changed, come or gone.
    pub rows: Vec<PathBuf>,
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
    /// A tenant that serves nothing there: wildcards of others do not answer.
    Nobody,
}

impl<S, R> Clone for Stand<S, R> {
    fn clone(&self) -> Self {
        match self {
            Self::Site(site) => Self::Site(Arc::clone(site)),
            Self::Passthrough(route) => Self::Passthrough(Arc::clone(route)),
            Self::Unavailable => Self::Unavailable,
            Self::Nobody => Self::Nobody,
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
    /// Files that were refused for proofs, their own or those of others.
    disproved: BTreeSet<FileId>,
    /// Files that were refused for the redirect loops that they close.
    looping: BTreeSet<FileId>,
    /// Files that were refused for secrets.
    waiting: BTreeSet<FileId>,
    /// Files that were refused for files of certificates, and how those were.
    certless: BTreeMap<FileId, super::certificates::Seen>,
    /// Files that read countries as they are on disk, loaded or refused.
    of_countries: BTreeSet<FileId>,
    /// Whether `gateway.route` said where they are known from, when that was looked at last.
    countries_named: bool,
    /// Whether secrets are read from where `gateway.route` says.
    directed: bool,
    ids: Ids,
    units: HashMap<FileId, Unit<I>>,
    /// What serves of them, as a whole.
    serving: Serving,
    /// Who asked for a file, found or not.
    importers: HashMap<PathBuf, BTreeSet<FileId>>,
    /// Whose files are whose, as gateway.route says.
    tenants: Vec<Arc<ir::Tenant>>,
    /// Hosts that nobody but their owner answers.
    barriers: Vec<(Key, ir::HostPattern)>,
    /// Who reads a file of rows.
    readers: HashMap<PathBuf, BTreeSet<FileId>>,
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
    /// The files of rows that it names.
    rows: rows::Known,
    /// Its keys in `unavailable`.
    shut: Vec<Key>,
    /// Secrets that it was refused for.
    waits_for: Vec<super::secrets::Awaited>,
}

struct Good<I: Install> {
    digest: Digest,
    gateway: Option<Arc<ir::Gateway>>,
    sites: Vec<(Vec<Key>, Arc<I::Site>)>,
    items: Vec<(Vec<Key>, Arc<I::Route>)>,
    /// Its tables whose rows stand in files, by path.
    tables: Vec<(PathBuf, Arc<ir::Table>)>,
    /// Whether it reads countries.
    of_countries: bool,
    /// Its tenants, of gateway.route.
    tenants: Vec<Arc<ir::Tenant>>,
    /// How much it comes to.
    amount: tenants::Amount,
    /// What is kept of it.
    version: Arc<Version>,
    /// Whether it has tests.
    tested: bool,
    /// Its tests, where they are kept.
    tests: Vec<Arc<Test>>,
    /// Its proofs, which speak of other files too.
    proofs: Vec<Arc<Proof>>,
    /// What proofs speak of: the programs of its sites, and what its items carry.
    programs: Vec<Arc<Program>>,
    carried: Vec<Carried>,
    /// What its sites have to do with others.
    traces: Vec<Arc<Traces>>,
    /// Its claims, and the lines they stand on.
    claims: Vec<(Claim, usize)>,
}

/// A file with tests.
#[derive(Clone, Debug)]
pub struct Tested<S, R> {
    /// Where it is, relative to the sites directory.
    pub path: Arc<Path>,
    /// Its tests.
    pub tests: Vec<Arc<Test>>,
    /// The sites that they are about.
    pub sites: Vec<Arc<S>>,
    /// The `tcp`, `udp` and `passthrough` items that they are about.
    pub items: Vec<Arc<R>>,
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
    /// Files whose bounds changed in this batch.
    rebound: BTreeSet<FileId>,
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
            rebound: BTreeSet::new(),
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
            disproved: BTreeSet::new(),
            looping: BTreeSet::new(),
            waiting: BTreeSet::new(),
            certless: BTreeMap::new(),
            of_countries: BTreeSet::new(),
            countries_named: false,
            directed: false,
            ids: Ids::default(),
            units: HashMap::new(),
            serving: Serving::default(),
            importers: HashMap::new(),
            readers: HashMap::new(),
            tenants: Vec::new(),
            barriers: Vec::new(),
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
    pub fn keeping_tests(mut self) -> Self {
        self.places.together = false;
        Self { tests: Tests::Kept, ..self }
    }

    /// Drafts are read in the place of what is on disk from now on.
    #[must_use]
    pub fn with_drafts(mut self, drafts: &Drafts) -> Self {
        self.places.drafts = Arc::clone(drafts);
        self
    }

    /// The same, and it is said which routes no test reaches.
    #[must_use]
    pub fn for_lint(mut self, drafts: &Drafts) -> Self {
        self.places.coverage = true;
        // Whoever lints looks at all files together, once.
        self.places.together = false;
        self.with_drafts(drafts)
    }

    /// Its files as they are now, with the paths to show; without those that cannot be read.
    pub fn sources(&self) -> impl Iterator<Item = (FileId, String, Arc<str>)> {
        let units = self.units.iter().map(|(file, unit)| (*file, Arc::clone(&unit.path)));
        let units: BTreeMap<FileId, Arc<Path>> = units.collect();
        units
            .into_iter()
            .filter_map(|(file, path)| Some((file, self.places.show(&path), self.places.read(&path).ok()?.text)))
    }

    /// The tests of files that load, with the sites that they are about, in the order of the paths.
    pub fn tests(&self) -> Vec<Tested<I::Site, I::Route>> {
        let good = self.units.values().filter_map(|u| Some((&u.path, u.good.as_ref()?)));
        let tested = good.filter(|(_, good)| !good.tests.is_empty());
        let mut all: Vec<_> = tested
            .map(|(path, good)| Tested {
                path: Arc::clone(path),
                tests: good.tests.clone(),
                sites: good.sites.iter().map(|(_, site)| Arc::clone(site)).collect(),
                items: good.items.iter().map(|(_, item)| Arc::clone(item)).collect(),
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
        self.look_at_rows(&touched.rows, &mut batch);
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
        let has = |(name, used): &super::secrets::Awaited| super::secrets::trouble(name, *used, secrets).is_none();
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
        self.quotas(&mut batch);
        self.finish(batch)
    }

    // === looking at files
}

/// What a compiled `gateway.route` says of tests; nothing where it is not to be gone by.
fn tests_by(compiled: &Compiled) -> Option<Tests> {
    let gateway = compiled.gateway.as_ref().filter(|_| compiled.sound())?;
    Some(if gateway.tests { Tests::Decide } else { Tests::Off })
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod gate_tests;

#[cfg(test)]
mod proof_tests;

#[cfg(test)]
mod across_tests;

#[cfg(test)]
mod l4_tests;
