//! What editors ask about a file: what a name means, where it is declared and used, what may be
//! written here.
//!
//! The answers are those of the checker, which keeps what it looked up. A file with errors is checked
//! with its broken statements left out (`mend`), so that what is sound in it can still be asked about.

pub mod complete;
pub mod keywords;
mod mend;
mod symbols;

pub use crate::check::seen::{Means, Seen, Visible};
pub use symbols::{Symbol, SymbolKind};

use crate::check::seen::Names;
use crate::syntax::ast::{self, Body, ItemKind, Stmt, StmtKind};
use crate::syntax::span::{FileId, Loc, Span};
use crate::{Parsed, Unit};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A file as editors see it.
#[derive(Debug)]
pub struct Index {
    /// Its number.
    pub file: FileId,
    /// Its sound items, and the sound statements of the others.
    parsed: Arc<Parsed>,
    /// Names written in it, by place; those of one place beside each other.
    seen: Vec<Seen>,
    /// Its blocks, and what is visible in them.
    scopes: Vec<(Span, Vec<Visible>)>,
    /// The modules it imports, by the name they are known by in it.
    imports: Vec<(String, FileId)>,
}

/// What an item or a parameter is, for whoever hovers over its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// `pool`, `let`, `table`, `policy`, `parameter`, `capture`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// How it is declared, on one line.
    pub head: String,
    /// Its `##` lines.
    pub doc: Option<String>,
}

/// Looks at a file.
pub fn index(unit: &Unit<'_>) -> Index {
    let mended = mend::mended(unit.file, unit.text);
    let text = mended.as_deref().unwrap_or(unit.text);
    let parsed = Arc::new(crate::syntax::parse(unit.file, text));
    let Names { mut seen, scopes, imports } = crate::check::names(&parsed, unit.path, text, unit.gateway, unit.modules);
    seen.retain(|seen| seen.at.file == unit.file);
    for item in &parsed.ast.items {
        if let Some(name) = crate::resolve::item_name(item) {
            let at = Loc { file: unit.file, span: name.span };
            seen.push(Seen { at, means: Means::Declared(at), ty: None });
        }
    }
    // Stable: of what was seen twice at a place, what was looked at first comes first.
    seen.sort_by_key(|seen| seen.at.span);
    seen.dedup_by(|b, a| a.at == b.at && a.means == b.means);
    let own = scopes.into_iter().filter(|(at, _)| at.file == unit.file).map(|(at, visible)| (at.span, visible));
    Index { file: unit.file, parsed, seen, scopes: own.collect(), imports }
}

/// Every place that means what is declared at `declared`, the declaration included, in the order of
/// the files given and of the places in them.
pub fn references(files: &[&Index], declared: Loc) -> Vec<Loc> {
    let same = files
        .iter()
        .find(|index| index.file == declared.file)
        .map_or_else(|| BTreeSet::from([declared]), |index| index.same(declared));
    let mut found = BTreeSet::new();
    let mut out = Vec::new();
    for index in files {
        for seen in &index.seen {
            let means = matches!(&seen.means, Means::Declared(at) if same.contains(at));
            if means && found.insert(seen.at) {
                out.push(seen.at);
            }
        }
    }
    out
}

/// Whether a word can be the name of something that is declared.
pub fn is_name(word: &str) -> bool {
    use crate::syntax::words;
    let bytes = word.as_bytes();
    let inner = |at: usize| match bytes[at] {
        b'-' => bytes.get(at + 1).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_'),
        b => b.is_ascii_alphanumeric() || b == b'_',
    };
    bytes.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        && (1..bytes.len()).all(inner)
        && !words::OPERATORS.contains(&word)
        && !words::ANSWERS.contains(&word)
        && !crate::resolve::is_builtin(word)
}

// === impl Index ===

impl Index {
    /// What is written at a byte: the innermost name or pattern.
    pub fn at(&self, offset: usize) -> Option<&Seen> {
        let holds = |seen: &&Seen| seen.at.span.start as usize <= offset && offset <= seen.at.span.end as usize;
        self.seen.iter().filter(holds).min_by_key(|seen| (seen.at.span.end - seen.at.span.start, rank(&seen.means)))
    }

    /// Everything that was seen, by place.
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// The declarations that are one: a capture of several patterns of a route.
    fn same(&self, declared: Loc) -> BTreeSet<Loc> {
        let mut same = BTreeSet::from([declared]);
        loop {
            let before = same.len();
            for run in self.seen.chunk_by(|a, b| a.at == b.at) {
                let declared: Vec<Loc> = run
                    .iter()
                    .filter_map(|seen| match &seen.means {
                        Means::Declared(at) => Some(*at),
                        Means::Module(_) | Means::Builtin(_) | Means::Path(_) | Means::Host(_) => None,
                    })
                    .collect();
                if declared.iter().any(|at| same.contains(at)) {
                    same.extend(declared);
                }
            }
            if same.len() == before {
                return same;
            }
        }
    }

    /// The file that an `import` at a byte brings in.
    pub fn import_at(&self, offset: usize) -> Option<FileId> {
        let import = self.parsed.ast.items.iter().find_map(|item| match &item.kind {
            ItemKind::Import(import) if within(item.span, offset) => Some(import),
            _ => None,
        })?;
        let last = import.module.node.rsplit('/').next().unwrap_or_default();
        let alias = import.alias.as_ref().map_or(last, |alias| alias.node.as_str());
        self.imports.iter().find(|(name, _)| name == alias).map(|(_, file)| *file)
    }

    /// The modules that it imports, by the name they are known by in it.
    pub fn imports(&self) -> &[(String, FileId)] {
        &self.imports
    }

    /// What is declared at a place of this file.
    pub fn declaration(&self, at: Span, text: &str) -> Option<Declaration> {
        for item in &self.parsed.ast.items {
            if let Some(name) = crate::resolve::item_name(item).filter(|name| name.span == at) {
                let head = head(text, item.span);
                return Some(Declaration {
                    kind: symbols::word(item),
                    name: name.node.clone(),
                    head,
                    doc: item.doc.clone(),
                });
            }
            let params = match &item.kind {
                ItemKind::Policy(policy) => policy.params.as_slice(),
                ItemKind::Let(l) => l.params.as_deref().unwrap_or_default(),
                _ => continue,
            };
            if let Some(param) = params.iter().find(|param| param.name.span == at) {
                let end = param.default.as_ref().map(|d| d.span.end).or(param.ty.as_ref().map(|t| t.span.end));
                let span = Span { start: at.start, end: end.unwrap_or(at.end) };
                let head = text.get(span.range()).unwrap_or_default().to_owned();
                return Some(Declaration { kind: "parameter", name: param.name.node.clone(), head, doc: None });
            }
        }
        let name = text.get(at.range())?.to_owned();
        let visible = self.scopes.iter().flat_map(|(_, visible)| visible).find(|visible| visible.loc.span == at);
        let kind = visible.map_or("capture", |visible| visible.kind);
        let head = match kind {
            "let" => head(text, Span { start: line_start(text, at.start), end: at.end }),
            _ => text.get(capture_around(text, at)).unwrap_or(&name).to_owned(),
        };
        Some(Declaration { kind, name, head, doc: None })
    }

    /// A path pattern as a whole: `./x` with the block it stands in put before it, captures by their
    /// names. `None` where no pattern is written there.
    pub fn whole_path(&self, at: Span, text: &str) -> Option<String> {
        let mut found = None;
        for item in &self.parsed.ast.items {
            let body = match &item.kind {
                ItemKind::Site(site) => &site.body,
                ItemKind::Policy(policy) => &policy.body,
                _ => continue,
            };
            if within(item.span, at.start as usize) {
                paths(&body.stmts, "", text, &mut |span, whole| {
                    if span == at {
                        found = Some(whole.to_owned());
                    }
                });
            }
        }
        found
    }

    /// The relative patterns of the file, with what they are as a whole.
    pub fn relative_paths(&self, text: &str) -> Vec<(Span, String)> {
        let mut out = Vec::new();
        for item in &self.parsed.ast.items {
            if let ItemKind::Site(site) = &item.kind {
                paths(&site.body.stmts, "", text, &mut |span, whole| {
                    if text.get(span.range()).is_some_and(|own| own.starts_with('.')) {
                        out.push((span, whole.to_owned()));
                    }
                });
            }
        }
        out
    }

    /// Its tests and proofs: their titles and their places.
    pub fn tests(&self) -> Vec<(&str, Span)> {
        let tests = self.parsed.ast.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Test { title, .. } | ItemKind::Prove { title, .. } => Some((title.node.as_str(), item.span)),
            _ => None,
        });
        tests.collect()
    }

    /// Its items and routes, as an outline.
    pub fn symbols(&self, text: &str) -> Vec<Symbol> {
        symbols::outline(&self.parsed.ast, text)
    }

    /// What is visible at a byte beside the items of the file, the innermost block's.
    fn visible(&self, offset: usize) -> &[Visible] {
        let around = self.scopes.iter().filter(|(span, _)| within(*span, offset));
        around.min_by_key(|(span, _)| span.end - span.start).map_or(&[], |(_, visible)| visible)
    }

    fn items(&self) -> &[ast::Item] {
        &self.parsed.ast.items
    }
}

/// A name before a pattern that it stands in, a declaration before its parts.
fn rank(means: &Means) -> u8 {
    match means {
        Means::Declared(_) => 0,
        Means::Module(_) => 1,
        Means::Builtin(_) => 2,
        Means::Path(_) | Means::Host(_) => 3,
    }
}

fn within(span: Span, offset: usize) -> bool {
    span.start as usize <= offset && offset <= span.end as usize
}

fn line_start(text: &str, at: u32) -> u32 {
    let start = text.get(..at as usize).and_then(|before| before.rfind('\n')).map_or(0, |n| n + 1);
    u32::try_from(start).unwrap_or(at)
}

/// The first line of something, without the `{` that opens its block.
fn head(text: &str, span: Span) -> String {
    let rest = text.get(span.start as usize..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    line.trim().trim_end_matches('{').trim_end().to_owned()
}

/// `{name:type}` around a name, or `*name`.
fn capture_around(text: &str, at: Span) -> std::ops::Range<usize> {
    let bytes = text.as_bytes();
    let (start, end) = (at.start as usize, at.end as usize);
    match start.checked_sub(1).and_then(|before| bytes.get(before)) {
        Some(b'{') => {
            let close = text.get(end..).and_then(|rest| rest.find('}')).map_or(end, |n| end + n + 1);
            start - 1..close
        }
        Some(b'*') => start - 1..end,
        _ => start..end,
    }
}

/// Every path pattern, with what it is as a whole (rule 10: the base without its splat, then `./x`).
fn paths(stmts: &[Stmt], base: &str, text: &str, each: &mut dyn FnMut(Span, &str)) {
    for stmt in stmts {
        match &stmt.kind {
            StmtKind::Route { patterns, body, .. } => {
                let mut first = None;
                for pattern in patterns {
                    let own = text.get(pattern.span.range()).unwrap_or_default();
                    let whole = match own.strip_prefix('.') {
                        Some(rest) => format!("{base}{rest}"),
                        None => own.to_owned(),
                    };
                    each(pattern.span, &whole);
                    first.get_or_insert(whole);
                }
                if let (Body::Block(block), Some(first)) = (body, first) {
                    let inner = first.rfind("/*").map_or(first.as_str(), |at| &first[..at]);
                    paths(&block.stmts, inner.trim_end_matches('/'), text, each);
                }
            }
            StmtKind::When { body: Body::Block(block), .. } | StmtKind::Else(Body::Block(block)) => {
                paths(&block.stmts, base, text, each);
            }
            _ => {}
        }
    }
}
