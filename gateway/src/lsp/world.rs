//! The files of a sites directory as the editor sees them: what it has open, and what is on disk.

use super::text::{Encoding, Lines};
use crate::cli::offline;
use crate::sites::compile::{Drafts, GATEWAY};
use crate::sites::{paths, tree};
use dsl::ide::{self, Index};
use dsl::syntax::span::{FileId, Loc};
use dsl::tree::ir::{Tenancy, Tenant};
use dsl::{Data, Modules, Parsed};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// What a path keeps in a `file:` URI.
const ESCAPED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}');

/// Where documents stand that are no files yet.
const UNTITLED: &str = "/untitled";

/// A document that the editor has open.
pub(super) struct Document {
    pub(super) uri: String,
    pub(super) text: Arc<str>,
}

/// Everything that is known.
#[derive(Default)]
pub(super) struct World {
    /// What is open, by path.
    pub(super) open: BTreeMap<PathBuf, Document>,
    /// Texts of files on disk, by path: `None` for one that cannot be read.
    disk: RefCell<HashMap<PathBuf, Option<Arc<str>>>>,
    /// The route files of each sites directory.
    listed: RefCell<HashMap<PathBuf, Vec<PathBuf>>>,
    /// Paths by file number.
    ids: RefCell<Vec<PathBuf>>,
    parsed: RefCell<HashMap<FileId, ParsedText>>,
    /// The tenants of each sites directory, and the gateway.route that says so.
    tenants: RefCell<HashMap<PathBuf, OfGateway>>,
    indices: RefCell<HashMap<FileId, Made>>,
}

/// A syntax tree, and the text that it is of.
type ParsedText = (Arc<str>, Arc<Parsed>);

/// The text of a gateway.route, and its tenants.
type OfGateway = (Arc<str>, Vec<Arc<Tenant>>);

/// An index, and the texts that it was made of.
struct Made {
    of: Vec<(PathBuf, Option<Arc<str>>)>,
    index: Arc<Index>,
}

// === impl World ===

impl World {
    /// What is on disk is read again.
    pub(super) fn forget_disk(&self) {
        self.disk.borrow_mut().clear();
        self.listed.borrow_mut().clear();
    }

    /// What a file says: the editor's text, else the disk's.
    pub(super) fn text(&self, path: &Path) -> Option<Arc<str>> {
        if let Some(document) = self.open.get(path) {
            return Some(Arc::clone(&document.text));
        }
        if let Some(known) = self.disk.borrow().get(path) {
            return known.clone();
        }
        let read = tree::read(path).ok().map(|read| read.text);
        self.disk.borrow_mut().insert(path.to_path_buf(), read.clone());
        read
    }

    /// The number of a file, the same as long as the server runs.
    pub(super) fn id(&self, path: &Path) -> FileId {
        let mut ids = self.ids.borrow_mut();
        let at = ids.iter().position(|known| known == path).unwrap_or_else(|| {
            ids.push(path.to_path_buf());
            ids.len() - 1
        });
        FileId(u32::try_from(at).unwrap_or(u32::MAX / 2))
    }

    pub(super) fn path(&self, file: FileId) -> Option<PathBuf> {
        self.ids.borrow().get(file.0 as usize).cloned()
    }

    /// The sites directory that a file belongs to.
    pub(super) fn root(path: &Path) -> PathBuf {
        offline::home(path).0
    }

    /// The route files of the sites directory that a file belongs to, and what is open there.
    pub(super) fn files(&self, root: &Path) -> Vec<PathBuf> {
        let mut files = self
            .listed
            .borrow_mut()
            .entry(root.to_path_buf())
            .or_insert_with(|| {
                let scan = tree::scan(root, Path::new(""), &mut |_, _| {});
                scan.files.iter().map(|(path, _)| root.join(path)).collect()
            })
            .clone();
        files.extend(self.open.keys().filter(|path| path.starts_with(root)).cloned());
        files.sort_unstable();
        files.dedup();
        files
    }

    /// What the editor has open and the disk has too: for the code behind `sluice lint`.
    pub(super) fn drafts(&self) -> Drafts {
        Arc::new(self.open.iter().map(|(path, document)| (path.clone(), Arc::clone(&document.text))).collect())
    }

    /// What is known of a file's names.
    pub(super) fn index(&self, path: &Path) -> Option<Arc<Index>> {
        let text = self.text(path)?;
        let file = self.id(path);
        if let Some(made) = self.indices.borrow().get(&file)
            && made.of.iter().all(|(path, text)| self.text(path) == *text)
        {
            return Some(Arc::clone(&made.index));
        }
        let finder = Finder::of(self, path, Vec::new());
        let shown = path.display().to_string();
        let gateway = path.file_name().is_some_and(|name| name == GATEWAY);
        let unit = dsl::Unit { file, path: &shown, text: &text, gateway, modules: &finder };
        let index = Arc::new(ide::index(&unit));
        let mut of = finder.asked.into_inner();
        of.push((path.to_path_buf(), Some(text)));
        self.indices.borrow_mut().insert(file, Made { of, index: Arc::clone(&index) });
        Some(index)
    }

    /// The indices of all files of a sites directory, the given file's first.
    pub(super) fn indices(&self, path: &Path) -> Vec<Arc<Index>> {
        let root = Self::root(path);
        let others = self.files(&root).into_iter().filter(|other| other != path);
        std::iter::once(path.to_path_buf()).chain(others).filter_map(|path| self.index(&path)).collect()
    }

    /// The index of a file by its number, those of the standard library included.
    pub(super) fn index_of(&self, file: FileId) -> Option<(Arc<Index>, Arc<str>)> {
        if let Some((path, text)) = dsl::stdlib::source(file) {
            let unit = dsl::Unit { file, path, text, gateway: false, modules: &dsl::NoModules };
            return Some((Arc::new(ide::index(&unit)), text.into()));
        }
        let path = self.path(file)?;
        Some((self.index(&path)?, self.text(&path)?))
    }

    /// A place in the words of the protocol. Files of the standard library are written to the user's
    /// cache first, for they are on no disk.
    pub(super) fn location(&self, loc: Loc, encoding: Encoding) -> Option<Value> {
        if let Some((name, text)) = dsl::stdlib::source(loc.file) {
            let path = cached(name, text)?;
            return Some(json!({ "uri": uri(&path), "range": Lines::new(text, encoding).range(loc.span) }));
        }
        let path = self.path(loc.file)?;
        let text = self.text(&path)?;
        Some(json!({ "uri": self.uri(&path), "range": Lines::new(&text, encoding).range(loc.span) }))
    }

    /// How the editor calls a file.
    pub(super) fn uri(&self, path: &Path) -> String {
        self.open.get(path).map_or_else(|| uri(path), |document| document.uri.clone())
    }

    /// The tenants that the gateway.route of a sites directory names: those of the last one that compiled.
    fn tenants(&self, root: &Path) -> Vec<Arc<Tenant>> {
        let path = root.join(GATEWAY);
        let Some(text) = self.text(&path) else { return Vec::new() };
        let known = self.tenants.borrow().get(root).cloned();
        if let Some((of, tenants)) = &known
            && *of == text
        {
            return tenants.clone();
        }
        let finder = Finder::of(self, &path, Vec::new());
        let shown = path.display().to_string();
        let unit = dsl::Unit { file: self.id(&path), path: &shown, text: &text, gateway: true, modules: &finder };
        let made = dsl::compile(&unit);
        let before = known.filter(|_| !made.is_sound()).map(|(_, tenants)| tenants);
        let tenants = before.unwrap_or(made.tenants);
        self.tenants.borrow_mut().insert(root.to_path_buf(), (text, tenants.clone()));
        tenants
    }

    /// What is wrong with a file by itself, imports included.
    pub(super) fn compile(&self, path: &Path) -> Vec<dsl::diagnostic::Diagnostic> {
        let Some(text) = self.text(path) else { return Vec::new() };
        let finder = Finder::of(self, path, self.tenants(&Self::root(path)));
        let shown = path.display().to_string();
        let gateway = path.file_name().is_some_and(|name| name == GATEWAY);
        dsl::compile(&dsl::Unit { file: self.id(path), path: &shown, text: &text, gateway, modules: &finder })
            .diagnostics
    }

    /// Puts texts in the place of what is there; [`World::put_back`] undoes it.
    pub(super) fn try_out(&mut self, texts: Vec<(PathBuf, Arc<str>)>) -> Vec<(PathBuf, Option<Document>)> {
        let mut kept = Vec::new();
        for (path, text) in texts {
            let uri = self.uri(&path);
            kept.push((path.clone(), self.open.insert(path, Document { uri, text })));
        }
        kept
    }

    pub(super) fn put_back(&mut self, kept: Vec<(PathBuf, Option<Document>)>) {
        for (path, document) in kept {
            match document {
                Some(document) => drop(self.open.insert(path, document)),
                None => drop(self.open.remove(&path)),
            }
        }
    }

    /// The specs by which a file can import the others of its sites directory.
    pub(super) fn modules(&self, path: &Path) -> Vec<String> {
        let from = path.parent().unwrap_or(path);
        let others = self.files(&Self::root(path)).into_iter().filter(|other| other != path);
        others.filter_map(|other| spec(from, &other)).collect()
    }
}

/// `./pools`, `../shared/pools`
fn spec(from: &Path, to: &Path) -> Option<String> {
    if to.file_name().is_some_and(|name| name == GATEWAY) {
        return None;
    }
    let mut up = String::from("./");
    let mut base = from;
    loop {
        if let Ok(below) = to.strip_prefix(base) {
            return Some(format!("{up}{}", below.to_str()?.strip_suffix(".route")?));
        }
        base = base.parent()?;
        up = if up == "./" { "../".to_owned() } else { format!("../{up}") };
    }
}

/// A file of the standard library where an editor can open it.
fn cached(name: &str, text: &str) -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home)?;
    let path = cache.join("sluice").join(env!("CARGO_PKG_VERSION")).join(name);
    if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
        std::fs::create_dir_all(path.parent()?).ok()?;
        std::fs::write(&path, text).ok()?;
    }
    Some(path)
}

/// Finds imports among the texts of the editor and of the disk, inside the sites directory.
struct Finder<'a> {
    world: &'a World,
    root: PathBuf,
    /// The file that is looked at, relative to the sites directory.
    below: String,
    tenants: Vec<Arc<Tenant>>,
    asked: RefCell<Vec<(PathBuf, Option<Arc<str>>)>>,
}

impl<'a> Finder<'a> {
    fn of(world: &'a World, path: &Path, tenants: Vec<Arc<Tenant>>) -> Self {
        let root = World::root(path);
        let below = path.strip_prefix(&root).unwrap_or(path).to_string_lossy().into_owned();
        Self { world, root, below, tenants, asked: RefCell::default() }
    }
}

impl Modules for Finder<'_> {
    fn find(&self, importer: FileId, module: &str) -> Result<Arc<Parsed>, String> {
        let from = self.world.path(importer).ok_or("nobody knows who imports it")?;
        let mut path = from.parent().unwrap_or(Path::new("/")).to_path_buf();
        let module = if module == "gateway" {
            path.clone_from(&self.root);
            "./gateway"
        } else {
            module
        };
        for part in Path::new(&format!("{module}.route")).components() {
            match part {
                Component::ParentDir => drop(path.pop()),
                Component::Normal(name) => path.push(name),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        if !path.starts_with(&self.root) {
            return Err("it leads out of the sites directory".to_owned());
        }
        let text = self.world.text(&path);
        self.asked.borrow_mut().push((path.clone(), text.clone()));
        let text = text.ok_or_else(|| format!("{} does not exist", path.display()))?;
        let file = self.world.id(&path);
        if let Some((known, parsed)) = self.world.parsed.borrow().get(&file)
            && *known == text
        {
            return Ok(Arc::clone(parsed));
        }
        let parsed = Arc::new(dsl::syntax::parse(file, &text));
        self.world.parsed.borrow_mut().insert(file, (text, Arc::clone(&parsed)));
        Ok(parsed)
    }

    fn tenancy(&self) -> Option<Tenancy<'_>> {
        let tenant = self.tenants.iter().find(|tenant| self.below != GATEWAY && tenant.has(&self.below))?;
        Some(Tenancy { tenant, all: &self.tenants })
    }

    fn data(&self, declarer: FileId, named: &str) -> Result<Data, String> {
        let from = self.world.path(declarer).ok_or("nobody knows who names it")?;
        let dir = from.parent().unwrap_or(Path::new("/"));
        let at = dir.join(named);
        if !paths::inside(dir, &at) {
            return Err("it leads out of this file's folder".to_owned());
        }
        let read = tree::read_rows(&at).map_err(|e| format!("{}: {e}", at.display()))?;
        Ok(Data { file: self.world.id(&at), text: read.text })
    }
}

/// A path as a URI.
pub(super) fn uri(path: &Path) -> String {
    if let Some(name) = path.to_str().and_then(|path| path.strip_prefix(UNTITLED)) {
        return format!("untitled:{}", name.trim_start_matches('/'));
    }
    format!("file://{}", utf8_percent_encode(&path.to_string_lossy(), ESCAPED))
}

/// The path behind a URI; documents that are no files have one that nothing else has.
pub(super) fn path_of(uri: &str) -> PathBuf {
    match uri.strip_prefix("file://") {
        Some(rest) => {
            let rest = rest.strip_prefix("localhost").unwrap_or(rest);
            PathBuf::from(percent_decode_str(rest).decode_utf8_lossy().into_owned())
        }
        None => Path::new(UNTITLED).join(uri.split_once(':').map_or(uri, |(_, name)| name).trim_start_matches('/')),
    }
}
