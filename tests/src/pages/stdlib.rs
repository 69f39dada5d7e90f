//! `docs/stdlib.md`: the standard library, from its `##` comments.

use dsl::syntax::ast::{ItemKind, Policy};
use std::fmt::Write;

/// The page.
pub fn page() -> String {
    let mut out = String::from(
        "# The standard library\n\nGenerated from the `##` comments of its files by `tests/generate`. They are written in the language and are part of the \
         program:\n`import std/web` gives `web.secure-headers`. Each is tested in [stdlib/tests](../stdlib/tests).\n",
    );
    let mut modules: Vec<(&str, &str, dsl::syntax::ast::File)> = Vec::new();
    for (file, path, text) in dsl::stdlib::files() {
        let name = path.trim_start_matches("std/").trim_end_matches(".route");
        modules.push((name, text, dsl::syntax::parse(file, text).ast));
    }
    modules.sort_by_key(|(name, ..)| *name);
    out.push_str("\n| | |\n|---|---|\n");
    for (name, _, ast) in &modules {
        for (policy, doc) in policies(ast) {
            let full = format!("{name}.{}", policy.name.node);
            let flat = doc.replace('\n', " ");
            let first = flat.split_once(". ").map_or(flat.trim_end_matches('.'), |(first, _)| first);
            let anchor = full.replace('.', "");
            let _ = writeln!(out, "| [`{full}{}`](#{anchor}) | {first}. |", arguments(policy));
        }
    }
    for (name, text, ast) in &modules {
        let _ = write!(out, "\n## std/{name}\n\n");
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("# ")).map(|line| &line[2..]).collect();
        if !head.is_empty() {
            let _ = write!(out, "{}\n\n", head.join("\n"));
        }
        let parts: Vec<String> = policies(ast).map(|(policy, doc)| part(name, policy, doc, text)).collect();
        out.push_str(&parts.join("\n"));
    }
    out
}

fn policies(ast: &dsl::syntax::ast::File) -> impl Iterator<Item = (&Policy, &str)> {
    ast.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Policy(policy) => Some((policy, item.doc.as_deref().unwrap_or_default())),
        _ => None,
    })
}

/// `(keys, realm)`
fn arguments(policy: &Policy) -> String {
    let names: Vec<&str> = policy.params.iter().map(|param| param.name.node.as_str()).collect();
    if names.is_empty() { String::new() } else { format!("({})", names.join(", ")) }
}

fn part(module: &str, policy: &Policy, doc: &str, text: &str) -> String {
    let mut out = format!("### {module}.{}\n\n{}\n", policy.name.node, doc.trim());
    if !policy.params.is_empty() {
        out.push_str("\n| parameter | type | default |\n|---|---|---|\n");
        for param in &policy.params {
            let ty = param.ty.as_ref().map_or("", |ty| ty.node.as_str());
            let default = param.default.as_ref().map(|default| &text[default.span.range()]);
            let default =
                default.map_or_else(|| "none: it has to be said".to_owned(), |default| format!("`{default}`"));
            let _ = writeln!(out, "| `{}` | {ty} | {} |", param.name.node, default.replace('|', "\\|"));
        }
    }
    out
}
