//! The outline of a file.

use crate::syntax::ast::{self, Body, Item, ItemKind, Stmt, StmtKind};
use crate::syntax::span::Span;

/// What an entry of an outline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// `import`
    Module,
    /// `let`
    Value,
    /// `pool`, `table`
    Pool,
    /// `policy`
    Policy,
    /// `site`, `passthrough`, `tcp`, `udp`, `gateway`, `tenant`
    Site,
    /// A path, `when`, `else`.
    Route,
    /// `test`, `prove`
    Test,
}

/// An entry of an outline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// As written, without its block.
    pub name: String,
    /// The word that it begins with, or what it is.
    pub detail: &'static str,
    /// What it is.
    pub kind: SymbolKind,
    /// All of it.
    pub span: Span,
    /// Its name or pattern.
    pub own: Span,
    /// What is inside.
    pub inside: Vec<Symbol>,
}

/// The keyword of an item.
pub(super) fn word(item: &Item) -> &'static str {
    match &item.kind {
        ItemKind::Import(_) => "import",
        ItemKind::Let(_) => "let",
        ItemKind::Pool(_) => "pool",
        ItemKind::Table(_) => "table",
        ItemKind::Policy(_) => "policy",
        ItemKind::Provider(_) => "provider",
        ItemKind::Site(_) => "site",
        ItemKind::Passthrough(_) => "passthrough",
        ItemKind::L4(l4) if l4.udp => "udp",
        ItemKind::L4(_) => "tcp",
        ItemKind::Gateway(_) => "gateway",
        ItemKind::Tenant { .. } => "tenant",
        ItemKind::Test { .. } => "test",
        ItemKind::Prove { .. } => "prove",
    }
}

pub(super) fn outline(file: &ast::File, text: &str) -> Vec<Symbol> {
    file.items.iter().map(|item| symbol(item, text)).collect()
}

fn symbol(item: &Item, text: &str) -> Symbol {
    let written = |span: Span| text.get(span.range()).unwrap_or_default().to_owned();
    let whole = |first: Option<Span>, last: Option<Span>| match (first, last) {
        (Some(first), Some(last)) => first.to(last),
        _ => item.span,
    };
    let (kind, own, inside) = match &item.kind {
        ItemKind::Import(import) => (SymbolKind::Module, import.module.span, Vec::new()),
        ItemKind::Let(l) => (SymbolKind::Value, l.name.span, Vec::new()),
        ItemKind::Pool(pool) => (SymbolKind::Pool, pool.name.span, Vec::new()),
        ItemKind::Table(table) => (SymbolKind::Pool, table.name.span, Vec::new()),
        ItemKind::Provider(provider) => (SymbolKind::Value, provider.name.span, Vec::new()),
        ItemKind::Policy(policy) => (SymbolKind::Policy, policy.name.span, routes(&policy.body.stmts, text)),
        ItemKind::Site(site) => {
            let own = whole(site.hosts.first().map(|h| h.span), site.hosts.last().map(|h| h.span));
            (SymbolKind::Site, own, routes(&site.body.stmts, text))
        }
        ItemKind::Passthrough(item) => {
            let own = whole(item.hosts.first().map(|h| h.span), item.hosts.last().map(|h| h.span));
            (SymbolKind::Site, own, Vec::new())
        }
        ItemKind::L4(l4) => (SymbolKind::Site, l4.listen.span, Vec::new()),
        ItemKind::Gateway(_) => {
            let own = Span { end: item.span.start + 7, ..item.span };
            (SymbolKind::Site, own, Vec::new())
        }
        ItemKind::Tenant { name, .. } => (SymbolKind::Site, name.span, Vec::new()),
        ItemKind::Test { title, .. } | ItemKind::Prove { title, .. } => (SymbolKind::Test, title.span, Vec::new()),
    };
    Symbol { name: written(own), detail: word(item), kind, span: item.span, own, inside }
}

fn routes(stmts: &[Stmt], text: &str) -> Vec<Symbol> {
    let mut out = Vec::new();
    for stmt in stmts {
        let (own, detail, body) = match &stmt.kind {
            StmtKind::Route { patterns, body, when, .. } => {
                let first = patterns.first().map_or(stmt.span, |p| p.span);
                let last = when.as_ref().map(|w| w.span).or(patterns.last().map(|p| p.span)).unwrap_or(first);
                (first.to(last), "route", body)
            }
            StmtKind::When { cond, body } => (Span { start: stmt.span.start, end: cond.span.end }, "when", body),
            StmtKind::Else(body) => (Span { end: stmt.span.start + 4, ..stmt.span }, "else", body),
            _ => continue,
        };
        let inside = match body {
            Body::Block(block) => routes(&block.stmts, text),
            Body::Action(_) => Vec::new(),
        };
        let name = text.get(own.range()).unwrap_or_default().to_owned();
        out.push(Symbol { name, detail, kind: SymbolKind::Route, span: stmt.span, own, inside });
    }
    out
}
