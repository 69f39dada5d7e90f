//! One file to programs, with the modules it may import.

use super::claims::{self, Key};
use super::digest::Digest;
use super::ids::{Ids, import_path};
use super::paths;
use dsl::diagnostic::{Diagnostic, Severity};
use dsl::lint;
use dsl::syntax::ast::ItemKind;
use dsl::syntax::span::{FileId, Loc, Span};
use dsl::tree::{Program, ir};
use dsl::{Modules, Parsed};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
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
    /// Its syntax tree.
    pub parsed: Arc<Parsed>,
}

impl Source {
    /// Parses a text.
    pub fn parse(file: FileId, path: Arc<Path>, digest: Digest, text: Arc<str>) -> Self {
        let parsed = Arc::new(dsl::syntax::parse(file, &text));
        Self { file, path, digest, text, parsed }
    }

    /// The files that it imports itself, relative to the sites directory, as far as they lie in it.
    pub fn imports(&self) -> impl Iterator<Item = PathBuf> {
        self.parsed.ast.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Import(import) if !import.module.node.starts_with("std/") => {
                import_path(&self.path, &import.module.node)
            }
            ItemKind::Import(_)
            | ItemKind::Let(_)
            | ItemKind::Pool(_)
            | ItemKind::Table(_)
            | ItemKind::Policy(_)
            | ItemKind::Site(_)
            | ItemKind::Passthrough(_)
            | ItemKind::L4(_)
            | ItemKind::Gateway(_)
            | ItemKind::Tenant { .. }
            | ItemKind::Test { .. }
            | ItemKind::Prove { .. } => None,
        })
    }
}

/// What an import finds.
#[derive(Clone, Debug)]
pub enum Module {
    /// The version that is in force.
    Ready(Source),
    /// It never loaded: what it declares cannot be relied on.
    Broken,
}

/// What an import finds, by file.
pub type ModuleTable = HashMap<FileId, Module>;

/// What a file became.
#[derive(Debug)]
pub struct Compiled {
    /// Its sites. Empty when it has an error.
    pub programs: Vec<Arc<Program>>,
    /// What it says about the gateway.
    pub gateway: Option<ir::Gateway>,
    /// The hosts it claims, whether or not it compiled; each once.
    pub claims: Vec<Claim>,
    /// What was found.
    pub findings: Vec<Diagnostic>,
    /// The files it asked for, found or not, relative to the sites directory.
    pub asked: BTreeMap<PathBuf, Option<Digest>>,
}

/// A host that a file claims, or that it says `default`.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Which.
    pub key: Key,
    /// Its pattern; `None` for `default`.
    pub pattern: Option<ir::HostPattern>,
    /// Where it says so.
    pub loc: Loc,
}

impl Compiled {
    /// Whether it may serve.
    pub fn sound(&self) -> bool {
        self.findings.iter().all(|d| d.severity != Severity::Error)
    }
}

/// Where files are, for messages and for what they name.
#[derive(Clone, Debug)]
pub struct Places {
    /// The sites directory, absolute.
    pub root: PathBuf,
    /// The sites directory as it was named.
    pub shown: PathBuf,
}

impl Places {
    /// A sites directory, as it was named.
    pub fn new(sites: &Path) -> Self {
        Self { root: std::path::absolute(sites).unwrap_or_else(|_| sites.to_path_buf()), shown: sites.to_path_buf() }
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
pub fn compile(source: &Source, ids: &Ids, modules: &ModuleTable, places: &Places) -> Compiled {
    let finder = Finder { ids, modules, places, asked: RefCell::default() };
    let path = places.show(&source.path);
    let unit = dsl::Unit {
        file: source.file,
        path: &path,
        text: &source.text,
        gateway: *source.path == *Path::new(GATEWAY),
        modules: &finder,
    };
    let made = dsl::compile_parsed(&unit, &source.parsed);
    let mut compiled = Compiled {
        programs: made.programs,
        gateway: made.gateway,
        claims: Vec::new(),
        findings: made.diagnostics,
        asked: finder.asked.into_inner(),
    };
    let mut claims = BTreeMap::new();
    for (pattern, loc) in made.claims {
        let key = claims::key(&pattern);
        claims.entry(Arc::clone(&key)).or_insert(Claim { key, pattern: Some(pattern), loc });
    }
    for site in compiled.programs.iter().map(|program| program.site()).filter(|site| site.settings.default) {
        let key: Key = claims::DEFAULT.into();
        claims.entry(Arc::clone(&key)).or_insert(Claim { key, pattern: None, loc: site.loc });
    }
    compiled.claims = claims.into_values().collect();
    if source.text.trim().is_empty() {
        let loc = Loc { file: source.file, span: Span::default() };
        compiled.findings.push(lint::files::empty(loc));
    }
    let dir = places.dir(&source.path);
    for program in &compiled.programs {
        paths::check(program.site(), &dir, &mut compiled.findings);
    }
    if !compiled.sound() {
        compiled.programs.clear();
    }
    compiled
}

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

struct Finder<'a> {
    ids: &'a Ids,
    modules: &'a ModuleTable,
    places: &'a Places,
    asked: RefCell<BTreeMap<PathBuf, Option<Digest>>>,
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
            Some(Module::Broken) => (Err(format!("{shown} does not load")), None),
            Some(Module::Ready(_)) if !paths::inside(&self.places.root, &self.places.root.join(&path)) => {
                (Err(outside()), None)
            }
            Some(Module::Ready(source)) => (Ok(Arc::clone(&source.parsed)), Some(source.digest)),
        };
        self.asked.borrow_mut().insert(path, digest);
        result
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
