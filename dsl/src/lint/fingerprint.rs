//! What a finding is known by when lines move: its code, the item it stands in, and the routes around it.

use super::allow::{block_in, block_of};
use crate::diagnostic::{Diagnostic, Sources};
use crate::syntax::ast::{self, Block, ItemKind, StmtKind};
use crate::syntax::span::{FileId, Span};
use std::collections::HashMap;
use std::fmt::Write;

/// One for each finding: 16 hexadecimal digits. They stay when lines are added, moved or reformatted and when
/// a file is renamed, and change with the code, the site and the pattern. A second finding of the same
/// code at the same route has one of its own, by its order.
pub fn fingerprints(findings: &[Diagnostic], sources: &dyn Sources) -> Vec<String> {
    let mut files: HashMap<FileId, (Vec<Place>, &str)> = HashMap::new();
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut out = Vec::with_capacity(findings.len());
    for d in findings {
        let file = d.primary.loc.file;
        let (places, path) = files.entry(file).or_insert_with(|| match sources.source(file) {
            Some((path, text)) => (places(&crate::syntax::parse(file, text).ast, text), path),
            None => (Vec::new(), ""),
        });
        let at = d.primary.loc.span.start;
        let inside = places.iter().filter(|p| p.span.start <= at && at < p.span.end);
        let mut site = inside.map(|p| p.name.as_str()).collect::<Vec<_>>().join(" ");
        if site.is_empty() {
            // About the file, or in an item that does not parse.
            (*path).clone_into(&mut site);
        }
        let mut key = format!("{} {site}", d.code);
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        if *count > 1 {
            let _ = write!(key, " #{count}");
        }
        out.push(format!("{:016x}", crate::check::salt(&key)));
    }
    out
}

/// An item, or a route in it.
struct Place {
    span: Span,
    name: String,
}

fn places(file: &ast::File, text: &str) -> Vec<Place> {
    let mut out = Vec::new();
    for item in &file.items {
        out.push(Place { span: item.span, name: name_of(&item.kind, text) });
        if let Some(block) = block_of(&item.kind) {
            routes(block, text, &mut out);
        }
    }
    out
}

/// `site a.com, b.com`, `pool web`: in one spelling.
fn name_of(kind: &ItemKind, text: &str) -> String {
    let written = |spans: Vec<Span>| {
        let all: Vec<&str> = spans.into_iter().filter_map(|span| text.get(span.range())).collect();
        all.join(",")
    };
    match kind {
        ItemKind::Import(import) => format!("import {}", import.module.node),
        ItemKind::Let(item) => format!("let {}", item.name.node),
        ItemKind::Pool(pool) => format!("pool {}", pool.name.node),
        ItemKind::Table(table) => format!("table {}", table.name.node),
        ItemKind::Policy(policy) => format!("policy {}", policy.name.node),
        ItemKind::Provider(provider) => format!("provider {}", provider.name.node),
        ItemKind::Site(site) => format!("site {}", written(site.hosts.iter().map(|h| h.span).collect())),
        ItemKind::Passthrough(p) => format!("passthrough {}", written(p.hosts.iter().map(|h| h.span).collect())),
        ItemKind::L4(l4) => format!("{} {}", if l4.udp { "udp" } else { "tcp" }, written(vec![l4.listen.span])),
        ItemKind::Gateway(_) => "gateway".to_owned(),
        ItemKind::Tenant { name, .. } => format!("tenant {}", name.node),
        ItemKind::Test { title, .. } => format!("test {}", title.node),
        ItemKind::Prove { title, .. } => format!("prove {}", title.node),
    }
}

fn routes(block: &Block, text: &str, out: &mut Vec<Place>) {
    for stmt in &block.stmts {
        if let StmtKind::Route { patterns, .. } = &stmt.kind {
            let all: Vec<&str> = patterns.iter().filter_map(|p| text.get(p.span.range())).collect();
            out.push(Place { span: stmt.span, name: all.join(",") });
        }
        if let Some(inner) = block_in(stmt) {
            routes(inner, text, out);
        }
    }
}
