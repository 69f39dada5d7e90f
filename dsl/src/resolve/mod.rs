//! Modules and names: which files belong to a program, and what each of them declares.
//!
//! INVARIANT: a module's text is never looked at here; everything is read off its syntax tree.

pub mod stdlib;

use crate::diagnostic::Diagnostic;
use crate::lint;
use crate::syntax::ast::{self, ItemKind};
use crate::syntax::span::{FileId, Loc, Span};
use crate::{Modules, Parsed};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How gateway.route is imported: what it exports is seen.
pub(crate) const GATEWAY: &str = "gateway";

/// Index of a module in [`Linked::modules`].
pub(crate) type ModIdx = usize;

/// A program's modules; the first is the file that is compiled.
#[derive(Debug)]
pub(crate) struct Linked {
    /// Every module once.
    pub(crate) modules: Vec<Module>,
}

/// A file and what it declares.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its number.
    pub(crate) file: FileId,
    /// How it is called in messages: `std/auth`, `./pools`, `sites/shop.route`.
    pub(crate) name: String,
    /// Where it stands, the same whoever imports it: `sites/shared/pools.route`, `std/auth.route`.
    pub(crate) path: String,
    /// Its syntax tree.
    pub(crate) parsed: Arc<Parsed>,
    /// The modules it imports, by the name they are known by in it.
    pub(crate) imports: BTreeMap<String, ModIdx>,
    /// Names of imports that failed: members of them are not reported again.
    pub(crate) broken_imports: Vec<String>,
    /// Names of items that did not parse: they are not missed again.
    pub(crate) broken: Vec<String>,
    /// `let`s, pools, tables and providers: index of the item by name.
    pub(crate) values: BTreeMap<String, usize>,
    /// Policies: index of the item by name.
    pub(crate) policies: BTreeMap<String, usize>,
    /// What others see of it; all of it without.
    pub(crate) exports: Option<BTreeSet<String>>,
}

impl Module {
    /// A `let`, pool, table or provider that others see.
    pub(crate) fn member(&self, name: &str) -> Option<usize> {
        self.values.get(name).copied().filter(|_| self.shows(name))
    }

    /// A policy that others see.
    pub(crate) fn policy_member(&self, name: &str) -> Option<usize> {
        self.policies.get(name).copied().filter(|_| self.shows(name))
    }

    /// Whether others see a name.
    pub(crate) fn shows(&self, name: &str) -> bool {
        self.exports.as_ref().is_none_or(|exports| exports.contains(name))
    }

    /// The names of values that others see.
    pub(crate) fn members(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str).filter(|name| self.shows(name))
    }

    /// The names of policies that others see.
    pub(crate) fn policy_members(&self) -> impl Iterator<Item = &str> {
        self.policies.keys().map(String::as_str).filter(|name| self.shows(name))
    }
}

/// The names that a gateway file exports.
fn exports(parsed: &Parsed) -> BTreeSet<String> {
    let blocks = parsed.ast.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Gateway(block) => Some(block),
        _ => None,
    });
    let words = blocks.flat_map(|block| &block.stmts).filter_map(|stmt| match &stmt.kind {
        ast::StmtKind::Setting { head, words, .. } if head.node == "export" => Some(words),
        _ => None,
    });
    let name = |word: &crate::syntax::span::Spanned<ast::Word>| match &word.node {
        ast::Word::Value(ast::Expr::Name(name)) => {
            Some(name.parts.iter().map(|p| p.node.as_str()).collect::<Vec<_>>().join("."))
        }
        _ => None,
    };
    words.flatten().filter_map(name).collect()
}

impl Linked {
    /// A place in a module.
    pub(crate) fn loc(&self, module: ModIdx, span: Span) -> Loc {
        Loc { file: self.modules[module].file, span }
    }

    /// Whether a name is missing only because its item, or its import, is broken.
    pub(crate) fn is_broken(&self, module: ModIdx, name: &str) -> bool {
        let m = &self.modules[module];
        m.broken.iter().chain(&m.broken_imports).any(|b| b == name)
    }

    /// An item of a module.
    pub(crate) fn item(&self, module: ModIdx, item: usize) -> &ast::Item {
        &self.modules[module].parsed.ast.items[item]
    }
}

/// Follows the imports of a file. What is wrong with them is said once, at the import.
pub(crate) fn link(root: &Arc<Parsed>, path: &str, finder: &dyn Modules, out: &mut Vec<Diagnostic>) -> Linked {
    let mut linker = Linker { finder, linked: Linked { modules: Vec::new() }, stack: Vec::new(), out };
    let root_file = root.file;
    linker.add(Arc::clone(root), path.to_owned(), path.to_owned());
    // The operator's policies stand around a tenant's sites whether or not the file imports anything.
    if finder.tenancy().is_some_and(|tenancy| !tenancy.tenant.uses.is_empty())
        && !linker.linked.modules.iter().any(|m| m.name == GATEWAY)
    {
        match finder.find(root_file, GATEWAY) {
            Ok(parsed) => {
                linker.add(parsed, GATEWAY.to_owned(), GATEWAY.to_owned());
            }
            Err(why) => {
                let loc = Loc { file: root_file, span: Span::default() };
                linker.out.push(lint::g1009::not_found(loc, GATEWAY, &why));
            }
        }
    }
    linker.linked
}

struct Linker<'a> {
    finder: &'a dyn Modules,
    linked: Linked,
    /// The modules whose imports are being followed, outermost first.
    stack: Vec<ModIdx>,
    out: &'a mut Vec<Diagnostic>,
}

impl Linker<'_> {
    fn add(&mut self, parsed: Arc<Parsed>, name: String, path: String) -> ModIdx {
        let index = self.linked.modules.len();
        let exports = (name == GATEWAY).then(|| exports(&parsed));
        self.linked.modules.push(Module {
            file: parsed.file,
            name,
            path,
            parsed: Arc::clone(&parsed),
            imports: BTreeMap::new(),
            broken_imports: Vec::new(),
            broken: parsed.ast.broken.iter().filter_map(|b| b.name.as_ref()).map(|n| n.node.clone()).collect(),
            values: BTreeMap::new(),
            policies: BTreeMap::new(),
            exports,
        });
        self.stack.push(index);
        for (i, item) in parsed.ast.items.iter().enumerate() {
            self.declare(index, i, item);
        }
        self.stack.pop();
        index
    }

    fn declare(&mut self, module: ModIdx, index: usize, item: &ast::Item) {
        let (name, policy) = match &item.kind {
            ItemKind::Import(import) => return self.import(module, import),
            ItemKind::Let(l) => (&l.name, false),
            ItemKind::Pool(p) => (&p.name, false),
            ItemKind::Table(t) => (&t.name, false),
            ItemKind::Policy(p) => (&p.name, true),
            ItemKind::Provider(p) => (&p.name, false),
            // These declare no name.
            ItemKind::Site(_)
            | ItemKind::Passthrough(_)
            | ItemKind::L4(_)
            | ItemKind::Gateway(_)
            | ItemKind::Tenant { .. }
            | ItemKind::Test { .. }
            | ItemKind::Prove { .. } => return,
        };
        let loc = self.linked.loc(module, name.span);
        if !policy && is_builtin(&name.node) {
            self.out.push(lint::g1018::builtin(loc, &name.node));
            return;
        }
        let m = &self.linked.modules[module];
        let table = if policy { &m.policies } else { &m.values };
        if let Some(&first) = table.get(&name.node) {
            let first =
                self.linked.loc(module, item_name(self.linked.item(module, first)).map_or(item.span, |n| n.span));
            self.out.push(lint::g1018::taken(loc, &name.node, first));
            return;
        }
        let m = &mut self.linked.modules[module];
        let table = if policy { &mut m.policies } else { &mut m.values };
        table.insert(name.node.clone(), index);
    }

    fn import(&mut self, module: ModIdx, import: &ast::Import) {
        let spec = import.module.node.as_str();
        let loc = self.linked.loc(module, import.module.span);
        let alias = match &import.alias {
            Some(a) => a.node.clone(),
            None => spec.rsplit('/').next().unwrap_or(spec).to_owned(),
        };
        if self.linked.modules[module].imports.contains_key(&alias) {
            self.out.push(lint::g1018::import(loc, &alias));
            return;
        }
        let found = if let Some(rest) = spec.strip_prefix("std/") {
            stdlib::module(rest).ok_or_else(|| {
                let near = nearest(rest, stdlib::names());
                lint::g1009::no_std_module(loc, spec, near)
            })
        } else if spec == GATEWAY || spec.starts_with("./") || spec.starts_with("../") {
            let importer = self.linked.modules[module].file;
            self.finder.find(importer, spec).map_err(|why| lint::g1009::not_found(loc, spec, &why))
        } else {
            Err(lint::g1009::bad_path(loc, spec))
        };
        let parsed = match found {
            Ok(parsed) => parsed,
            Err(d) => {
                self.out.push(d);
                self.linked.modules[module].broken_imports.push(alias);
                return;
            }
        };
        if let Some(at) = self.stack.iter().position(|&m| self.linked.modules[m].file == parsed.file) {
            let mut names: Vec<String> = self.stack[at..].iter().map(|&m| self.short(m)).collect();
            names.push(names[0].clone());
            self.out.push(lint::g1008::cycle(loc, &names));
            self.linked.modules[module].broken_imports.push(alias);
            return;
        }
        let known = self.linked.modules.iter().position(|m| m.file == parsed.file);
        let target = match known {
            Some(index) => index,
            None => {
                self.out.extend(parsed.diagnostics.iter().cloned());
                let path = beside(&self.linked.modules[module].path, spec);
                self.add(parsed, spec.to_owned(), path)
            }
        };
        self.linked.modules[module].imports.insert(alias, target);
    }

    /// `a` of `./a` and of `sites/a.route`.
    fn short(&self, module: ModIdx) -> String {
        let name = &self.linked.modules[module].name;
        let last = name.rsplit('/').next().unwrap_or(name);
        last.strip_suffix(".route").unwrap_or(last).to_owned()
    }
}

/// The path of a module, as another one at `importer` names it.
fn beside(importer: &str, spec: &str) -> String {
    if spec.starts_with("std/") {
        return format!("{spec}.route");
    }
    let mut parts: Vec<&str> = importer.split('/').collect();
    parts.pop();
    for part in spec.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("{}.route", parts.join("/"))
}

/// The name that an item declares.
pub(crate) fn item_name(item: &ast::Item) -> Option<&ast::Ident> {
    match &item.kind {
        ItemKind::Let(l) => Some(&l.name),
        ItemKind::Pool(p) => Some(&p.name),
        ItemKind::Table(t) => Some(&t.name),
        ItemKind::Policy(p) => Some(&p.name),
        ItemKind::Provider(p) => Some(&p.name),
        ItemKind::Import(_)
        | ItemKind::Site(_)
        | ItemKind::Passthrough(_)
        | ItemKind::L4(_)
        | ItemKind::Gateway(_)
        | ItemKind::Tenant { .. }
        | ItemKind::Test { .. }
        | ItemKind::Prove { .. } => None,
    }
}

/// Names that every file sees.
pub(crate) const BUILTINS: &[&str] = &[
    "request",
    "method",
    "host",
    "client",
    "header",
    "cookie",
    "query",
    "body",
    "tls",
    "secret",
    "lower",
    "jwt",
    "signed",
    "hash",
    "ask",
    "local-path",
];

/// Whether a name is one of [`BUILTINS`].
pub(crate) fn is_builtin(name: &str) -> bool {
    BUILTINS.contains(&name)
}

/// The candidate that a misspelt word most likely means.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|c| *c != word)
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .filter(|(distance, c)| *distance <= limit && *distance < c.chars().count())
        .min_by_key(|&(distance, c)| (distance, c.len(), c))
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_and_a_missing_letter_are_near() {
        assert_eq!(nearest("requrie", ["remove", "require", "response"]), Some("require"));
        assert_eq!(nearest("chekout", ["checkout", "web"]), Some("checkout"));
        assert_eq!(nearest("zzz", ["checkout", "web"]), None);
        assert_eq!(nearest("a", ["b"]), None, "one letter is no likeness");
    }
}
