//! One file to programs, with the modules it may import.

use super::claims::{Key, What};
use super::digest::Digest;
use super::ids::{Ids, import_path};
use super::item::{self, Item, own_ports};
use super::paths;

use super::tree::{self, Stamp, Text};
use crate::upstream::is_own;
use dsl::diagnostic::{Diagnostic, Severity};
use dsl::lint;
use dsl::reach::prove::Proof;
use dsl::syntax::ast::{self, ItemKind};
use dsl::syntax::span::{FileId, Loc, Span};
use dsl::testing::{self, Subject, Test};
use dsl::tree::{Program, ir};
use dsl::{Data, Modules, Parsed};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The only file that may say `gateway`.
pub const GATEWAY: &str = "gateway.route";

/// A text to compile.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its file.
    pub file: FileId,
    /// Where it is, relative to the sites directory.
    pub path: Arc<Path>,
    /// Of its text.
    pub digest: Digest,
    /// Its text.
    pub text: Arc<str>,
    /// The files that it imports itself, relative to the sites directory, as far as they lie in it.
    pub imports: Vec<PathBuf>,
    /// Its syntax tree, many times the size of its text, while it is of use.
    parsed: Option<Arc<Parsed>>,
}

impl Source {
    /// Parses a text.
    pub fn parse(file: FileId, path: Arc<Path>, digest: Digest, text: Arc<str>) -> Self {
        let parsed = Arc::new(dsl::syntax::parse(file, &text));
        let imports = imports(&parsed, &path);
        Self { file, path, digest, text, imports, parsed: Some(parsed) }
    }

    /// Its syntax tree.
    pub fn parsed(&self) -> Arc<Parsed> {
        self.parsed.clone().unwrap_or_else(|| Arc::new(dsl::syntax::parse(self.file, &self.text)))
    }

    /// Without its syntax tree.
    #[must_use]
    pub fn without_tree(self) -> Self {
        Self { parsed: None, ..self }
    }

    /// With its syntax tree, for those who import it.
    #[must_use]
    pub fn with_tree(&self) -> Self {
        Self { parsed: Some(self.parsed()), ..self.clone() }
    }
}

fn imports(parsed: &Parsed, path: &Path) -> Vec<PathBuf> {
    let import = |item: &ast::Item| match &item.kind {
        ItemKind::Import(import) if !import.module.node.starts_with("std/") => import_path(path, &import.module.node),
        ItemKind::Import(_)
        | ItemKind::Let(_)
        | ItemKind::Pool(_)
        | ItemKind::Table(_)
        | ItemKind::Policy(_)
        | ItemKind::Provider(_)
        | ItemKind::Site(_)
        | ItemKind::Passthrough(_)
        | ItemKind::L4(_)
        | ItemKind::Gateway(_)
        | ItemKind::Tenant { .. }
        | ItemKind::Test { .. }
        | ItemKind::Prove { .. } => None,
    };
    parsed.ast.items.iter().filter_map(import).collect()
}

/// What an import finds.
#[derive(Clone, Debug)]
pub enum Module {
    /// The version that is in force.
    Ready(Source),
    /// It never loaded: what it declares cannot be relied on.
    Broken,
    /// Rows of a table, of an earlier process.
    Rows(Digest, Arc<str>),
}

/// A file of rows that a table was read from.
#[derive(Clone, Debug)]
pub struct RowsRead {
    /// Its number.
    pub file: FileId,
    /// How it looked, where it was read from disk.
    pub stamp: Option<Stamp>,
    /// Of its text.
    pub digest: Digest,
    /// Its text.
    pub text: Arc<str>,
    /// Whether nobody is shown it.
    pub hidden: bool,
}

/// What an import finds, by file.
pub type ModuleTable = HashMap<FileId, Module>;

/// What a file became.
#[derive(Debug)]
pub struct Compiled {
    /// Its sites. Empty when it has an error.
    pub programs: Vec<Arc<Program>>,
    /// What its sites have to do with others, in their order; empty where that is not looked at.
    pub traces: Vec<Arc<lint::Traces>>,
    /// Its `tcp`, `udp` and `passthrough` items. Empty when it has an error.
    pub items: Vec<Item>,
    /// What it says about the gateway.
    pub gateway: Option<ir::Gateway>,
    /// Its tests, not run yet.
    pub tests: Vec<Arc<Test>>,
    /// Its proofs, not decided yet.
    pub proofs: Vec<Arc<Proof>>,
    /// The hosts it claims, whether or not it compiled, and its listeners; each once.
    pub claims: Vec<Claim>,
    /// The pools that it declares and names.
    pub pools: lint::Pools,
    /// Where it reads `client.country` first.
    pub country: Option<Loc>,
    /// What was found.
    pub findings: Vec<Diagnostic>,
    /// The files it asked for, found or not, relative to the sites directory.
    pub asked: BTreeMap<PathBuf, Option<Digest>>,
    /// The files of rows that it asked for, found or not, likewise.
    pub rows: BTreeMap<PathBuf, Option<RowsRead>>,
    /// Its tenants, in `gateway.route`. Empty when it has an error.
    pub tenants: Vec<Arc<ir::Tenant>>,
    /// The tables that were made of them, by path. Empty when it has an error.
    pub tables: Vec<(PathBuf, Arc<ir::Table>)>,
}

/// Something that a file claims.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Its spelling.
    pub key: Key,
    /// It.
    pub what: What,
    /// As it is written, where that is not the key: `https :8443`.
    pub shown: Option<String>,
    /// Where it says so.
    pub loc: Loc,
}

impl Claim {
    fn new(what: What, loc: Loc) -> Self {
        Self { key: what.key(), what, shown: None, loc }
    }
}

impl Compiled {
    /// Whether it may serve.
    pub fn sound(&self) -> bool {
        self.findings.iter().all(|d| d.severity != Severity::Error)
    }

    /// Runs its tests; with one that fails it may not serve.
    pub fn test(&mut self, places: &Places) {
        if self.tests.is_empty() || !self.sound() {
            return;
        }
        let (listening, passthroughs) = item::by_kind(&self.items);
        let subject = Subject { programs: &self.programs, listening: &listening, passthroughs: &passthroughs };
        let mut coverage = testing::Coverage::default();
        if places.coverage {
            coverage.expect(subject);
        }
        let failed = testing::findings(&testing::run_covering(&self.tests, subject, testing::BUDGET, &mut coverage));
        if places.coverage && failed.is_empty() {
            self.findings.extend(lint::unreached(&coverage, self.pools.file));
        }
        if !failed.is_empty() {
            self.findings.extend(failed);
            self.refuse();
        }
    }

    /// Whether one of its tests failed, or it broke a proof.
    pub fn fails_a_test(&self) -> bool {
        self.findings.iter().any(|d| d.code == FAILING_TEST || d.code == FAILING_PROOF)
    }

    /// Drops what may not serve.
    pub fn refuse(&mut self) {
        self.programs.clear();
        self.traces.clear();
        self.items.clear();
        self.tables.clear();
        self.tenants.clear();
    }
}

/// Where files are, for messages and for what they name.
#[derive(Clone, Debug)]
pub struct Places {
    /// The sites directory, absolute.
    pub root: PathBuf,
    /// The sites directory as it was named.
    pub shown: PathBuf,
    /// Texts that are read instead of what is on disk, by absolute path: changes that are tried out.
    pub drafts: Drafts,
    /// Whether it is said which routes no test reaches.
    pub coverage: bool,
    /// Whether sites are looked at beside those of other files as they come.
    pub together: bool,
}

/// Texts that stand in for what is on disk, by absolute path.
pub type Drafts = Arc<BTreeMap<PathBuf, Arc<str>>>;

impl Places {
    /// A sites directory, as it was named.
    pub fn new(sites: &Path) -> Self {
        Self {
            root: std::path::absolute(sites).unwrap_or_else(|_| sites.to_path_buf()),
            shown: sites.to_path_buf(),
            drafts: Drafts::default(),
            coverage: false,
            together: true,
        }
    }

    /// Reads a route file.
    ///
    /// # Errors
    /// As [`tree::read`].
    pub fn read(&self, path: &Path) -> std::io::Result<Text> {
        let at = self.root.join(path);
        let read = tree::read(&at)?;
        Ok(match self.drafts.get(&at) {
            Some(text) => Text { digest: Digest::of(text.as_bytes()), text: Arc::clone(text), ..read },
            None => read,
        })
    }

    /// How a file is called in messages.
    pub fn show(&self, path: &Path) -> String {
        self.shown.join(path).display().to_string()
    }

    /// A file's directory, absolute.
    pub fn dir(&self, path: &Path) -> PathBuf {
        self.root.join(path.parent().unwrap_or(Path::new("")))
    }
}

/// Compiles a file.
pub fn compile(
    source: &Source,
    ids: &Ids,
    modules: &ModuleTable,
    places: &Places,
    tenants: &[Arc<ir::Tenant>],
) -> Compiled {
    let named = source.path.to_str().filter(|path| *path != GATEWAY);
    let mut whose = tenants.iter().filter(|tenant| named.is_some_and(|path| tenant.has(path)));
    let tenant = whose.next().map(|tenant| &**tenant);
    let tenancy = tenant.map(|tenant| ir::Tenancy { tenant, all: tenants });
    let finder = Finder { ids, modules, places, tenancy, asked: RefCell::default(), rows: RefCell::default() };
    let path = places.show(&source.path);
    let unit = dsl::Unit {
        file: source.file,
        path: &path,
        text: &source.text,
        gateway: *source.path == *Path::new(GATEWAY),
        modules: &finder,
    };
    let made = dsl::compile_parsed(&unit, &source.parsed());
    let listening = made.listening.into_iter().map(Item::Listening);
    let rows = finder.rows.into_inner();
    let path_of = |file: FileId| rows.iter().find(|(_, read)| read.as_ref().is_some_and(|r| r.file == file));
    let table = |table: Arc<ir::Table>| Some((path_of(table.from.as_ref()?.data)?.0.clone(), table));
    let tables = made.tables.into_iter().filter_map(table).collect();
    let traces = made.programs.iter().filter(|_| places.together).map(|program| Arc::new(lint::Traces::of(program)));
    let mut compiled = Compiled {
        tenants: made.tenants,
        tables,
        rows,
        traces: traces.collect(),
        programs: made.programs,
        items: listening.chain(made.passthroughs.into_iter().map(Item::Passthrough)).collect(),
        gateway: made.gateway,
        tests: made.tests,
        proofs: made.proofs,
        claims: Vec::new(),
        pools: made.pools,
        country: made.country,
        findings: made.diagnostics,
        asked: finder.asked.into_inner(),
    };
    let mut claims = BTreeMap::new();
    let mut claim = |claim: Claim| {
        claims.entry(Arc::clone(&claim.key)).or_insert(claim);
    };
    for (pattern, loc) in made.claims {
        claim(Claim::new(What::Host(pattern), loc));
    }
    for site in compiled.programs.iter().map(|program| program.site()).filter(|site| site.settings.default) {
        claim(Claim::new(What::Default, site.loc));
    }
    let mut ports: Vec<Claim> = Vec::new();
    for (port, shown, loc) in compiled.gateway.iter().flat_map(own_ports).filter(|(port, ..)| port.port != 0) {
        ports.push(Claim { shown: Some(shown), ..Claim::new(What::Port(port), loc) });
    }
    for item in &compiled.items {
        if let (Item::Listening(listening), Some(port)) = (item, item.listens()) {
            ports.push(Claim::new(What::Port(port), listening.listener.loc));
        }
    }
    overlaps(&ports, &mut compiled.findings);
    ports.into_iter().for_each(claim);
    compiled.claims = claims.into_values().collect();
    if source.text.trim().is_empty() {
        let loc = Loc { file: source.file, span: Span::default() };
        compiled.findings.push(lint::files::empty(loc));
    }
    let dir = places.dir(&source.path);
    for program in &compiled.programs {
        paths::check(program.site(), &dir, &mut compiled.findings);
        paths::check_pools(&program.site().pools, &dir, &mut compiled.findings);
        paths::check_providers(&program.site().providers, &dir, &mut compiled.findings);
    }
    for item in &compiled.items {
        paths::check_pools(&item.rules().pools, &dir, &mut compiled.findings);
    }
    if let Some(other) = whose.next() {
        let loc = Loc { file: source.file, span: Span::default() };
        let names = (tenant.map_or("", |tenant| &tenant.name), &*other.name);
        compiled.findings.push(lint::files::of_two(loc, names.0, names.1));
    }
    if let Some(tenancy) = tenancy {
        own_addresses(&compiled.programs, &compiled.items, &tenancy.tenant.dials, &mut compiled.findings);
    }
    if !compiled.sound() {
        compiled.refuse();
    }
    compiled
}

/// G8002 for endpoints that are the gateway itself: they need naming one by one.
fn own_addresses(programs: &[Arc<Program>], items: &[Item], dials: &ir::Dials, findings: &mut Vec<Diagnostic>) {
    let of_sites = programs.iter().flat_map(|program| &program.site().pools);
    let pools = of_sites.chain(items.iter().flat_map(|item| &item.rules().pools));
    for endpoint in pools.filter(|pool| pool.dials.is_some()).flat_map(|pool| &pool.endpoints) {
        let Ok(ip) = endpoint.host.parse::<IpAddr>() else { continue };
        if !ip.is_loopback() && is_own(ip) && !dials.names(ip) {
            let finding = lint::files::own_address(endpoint.loc, &dsl::tree::words::endpoint(endpoint), dials);
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
}

/// G7001 for listeners of one file that overlap, where the checker did not say so.
fn overlaps(ports: &[Claim], findings: &mut Vec<Diagnostic>) {
    for (n, claim) in ports.iter().enumerate() {
        let What::Port(port) = &claim.what else { continue };
        let earlier = ports[..n].iter().find(|earlier| match &earlier.what {
            What::Port(other) => port.overlaps(other) || port == other,
            What::Host(_) | What::Default => false,
        });
        let said = |d: &Diagnostic| d.code == OVERLAP && d.primary.loc == claim.loc;
        if let Some(earlier) = earlier.filter(|_| !findings.iter().any(said)) {
            let message = format!("two listeners on :{}", port.port);
            findings.push(Diagnostic::error(OVERLAP, claim.loc, message).label(earlier.loc, "the other one"));
        }
    }
}

/// The code of a test that fails.
const FAILING_TEST: &str = "G9007";

/// The code of a proof that does not hold.
pub const FAILING_PROOF: &str = "G9002";

/// The code of a redirect loop.
pub const LOOP: &str = "G2011";

/// The code of listeners that overlap.
pub const OVERLAP: &str = "G7001";

/// Does a piece of work for each item, on all cores when there are many.
pub fn for_each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    /// Fewer are done sooner than a thread is started.
    const FEW: usize = 8;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(items.len() / FEW);
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(FEW, Ordering::Relaxed);
            let Some(some) = items.get(at..items.len().min(at + FEW)).filter(|s| !s.is_empty()) else { return done };
            done.extend(some.iter().enumerate().map(|(n, item)| (at + n, work(item))));
        }
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for helper in helpers {
            match helper.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Where a file of rows is, that a route file names: `data/t.csv` in `team/a.route` is `team/data/t.csv`.
/// `None` when it leads out of the folder of that file.
fn rows_path(declarer: &Path, named: &str) -> Option<PathBuf> {
    let mut path = declarer.parent().map(Path::to_path_buf).unwrap_or_default();
    for part in Path::new(named).components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::Normal(name) => path.push(name),
            std::path::Component::ParentDir | std::path::Component::RootDir | std::path::Component::Prefix(_) => {
                return None;
            }
        }
    }
    Some(path)
}

struct Finder<'a> {
    tenancy: Option<ir::Tenancy<'a>>,
    ids: &'a Ids,
    modules: &'a ModuleTable,
    places: &'a Places,
    asked: RefCell<BTreeMap<PathBuf, Option<Digest>>>,
    rows: RefCell<BTreeMap<PathBuf, Option<RowsRead>>>,
}

impl Finder<'_> {
    /// Whether a tenant's file may import a file: its own ones, links resolved, and gateway.route.
    fn is_tenants_own(&self, path: &Path) -> bool {
        let Some(tenancy) = self.tenancy else { return true };
        let real = |path: &Path| path.canonicalize();
        let at = match (real(&self.places.root), real(&self.places.root.join(path))) {
            (Ok(root), Ok(at)) => at.strip_prefix(&root).map(Path::to_path_buf).unwrap_or(at),
            // A version of before, whose file is gone.
            _ => path.to_path_buf(),
        };
        path == Path::new(GATEWAY) || at.to_str().is_some_and(|at| tenancy.tenant.has(at))
    }
}

impl Modules for Finder<'_> {
    fn find(&self, importer: FileId, module: &str) -> Result<Arc<Parsed>, String> {
        let outside = || "it leads out of the sites directory".to_owned();
        let from = self.ids.path(importer).ok_or("nobody knows who imports it")?;
        let path = import_path(from, module).ok_or_else(outside)?;
        let shown = self.places.show(&path);
        let found = self.ids.get(&path).and_then(|file| self.modules.get(&file));
        let (result, digest) = match found {
            None => (Err(format!("{shown} does not exist")), None),
            Some(Module::Broken | Module::Rows(..)) => (Err(format!("{shown} does not load")), None),
            Some(Module::Ready(_)) if !paths::inside(&self.places.root, &self.places.root.join(&path)) => {
                (Err(outside()), None)
            }
            Some(Module::Ready(_)) if !self.is_tenants_own(&path) => {
                (Err("it leads out of the tenant's files".to_owned()), None)
            }
            Some(Module::Ready(source)) => (Ok(source.parsed()), Some(source.digest)),
        };
        self.asked.borrow_mut().insert(path, digest);
        result
    }

    fn tenancy(&self) -> Option<ir::Tenancy<'_>> {
        self.tenancy
    }

    fn hide(&self, data: FileId) {
        let mut rows = self.rows.borrow_mut();
        rows.values_mut().flatten().filter(|read| read.file == data).for_each(|read| read.hidden = true);
    }

    fn data(&self, declarer: FileId, named: &str) -> Result<Data, String> {
        let outside = || "it leads out of this file's folder".to_owned();
        let from = self.ids.path(declarer).ok_or("nobody knows who names it")?;
        let path = rows_path(from, named).ok_or_else(outside)?;
        let file = self.ids.rows(&path);
        let read = match self.modules.get(&file) {
            Some(Module::Rows(digest, text)) => {
                Ok(RowsRead { file, stamp: None, digest: *digest, text: Arc::clone(text), hidden: false })
            }
            Some(Module::Ready(_) | Module::Broken) | None => {
                let at = self.places.root.join(&path);
                if !paths::inside(&self.places.dir(from), &at) {
                    self.rows.borrow_mut().insert(path, None);
                    return Err(outside());
                }
                tree::read_rows(&at).map(|read| RowsRead {
                    file,
                    stamp: Some(read.stamp),
                    digest: read.digest,
                    text: read.text,
                    hidden: false,
                })
            }
        };
        match read {
            Ok(read) => {
                let data = Data { file, text: Arc::clone(&read.text) };
                self.rows.borrow_mut().insert(path, Some(read));
                Ok(data)
            }
            Err(e) => {
                let why = match e.kind() {
                    std::io::ErrorKind::NotFound => format!("{} does not exist", self.places.show(&path)),
                    _ => e.to_string(),
                };
                self.rows.borrow_mut().insert(path, None);
                Err(why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_their_items() {
        let items: Vec<u32> = (0..1000).collect();
        assert_eq!(for_each(&items, |n| n * 2), items.iter().map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(for_each(&items[..3], |n| n + 1), [1, 2, 3]);
    }
}
