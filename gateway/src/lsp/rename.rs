//! Renaming: every place, in every file, or nothing.

use super::goto;
use super::server::{Answer, Refused, Server};
use super::text::Lines;
use dsl::diagnostic::Severity;
use dsl::ide::Means;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) fn prepare(server: &mut Server, params: &Value) -> Answer {
    let found = || {
        let (path, text, offset) = server.place(params)?;
        let index = server.world.index(&path)?;
        let seen = index.at(offset)?;
        let Means::Declared(declared) = seen.means else { return None };
        server.world.path(declared.file)?;
        let name = text.get(seen.at.span.range())?;
        let range = Lines::new(&text, server.encoding).range(seen.at.span);
        Some(json!({ "range": range, "placeholder": name }))
    };
    Ok(found().unwrap_or(Value::Null))
}

pub(super) fn rename(server: &mut Server, params: &Value) -> Answer {
    let refused = |why: &str| Err(Refused(why.to_owned()));
    let Some(new) = params.get("newName").and_then(Value::as_str) else { return refused("no new name is given") };
    let Some((declared, all)) = goto::everywhere(server, params) else {
        return refused("there is nothing here that has a name of its own");
    };
    if server.world.path(declared.file).is_none() {
        return refused("it is declared by the standard library");
    }
    if !dsl::ide::is_name(new) {
        return Err(Refused(format!(
            "`{new}` cannot be a name: letters, digits, `_` and inner `-`, and no word of the language"
        )));
    }
    let mut edits: BTreeMap<PathBuf, Vec<dsl::syntax::span::Span>> = BTreeMap::new();
    for loc in all {
        if let Some(path) = server.world.path(loc.file) {
            edits.entry(path).or_default().push(loc.span);
        }
    }
    let before = errors(server, &edits);
    let mut changes = Map::new();
    let mut texts = Vec::new();
    for (path, spans) in &mut edits {
        let Some(text) = server.world.text(path) else {
            return Err(Refused(format!("cannot read {}", path.display())));
        };
        spans.sort_unstable();
        let lines = Lines::new(&text, server.encoding);
        let shown = spans.iter().map(|span| json!({ "range": lines.range(*span), "newText": new })).collect();
        changes.insert(server.world.uri(path), shown);
        let mut after = text.to_string();
        spans.iter().rev().for_each(|span| after.replace_range(span.range(), new));
        texts.push((path.clone(), Arc::from(after)));
    }
    // Whether the name is taken is asked of the checker: the files are tried with it.
    let kept = server.world.try_out(texts);
    let after = errors(server, &edits);
    server.world.put_back(kept);
    if let Some(why) = after.into_iter().find(|error| !before.contains(error)) {
        return Err(Refused(format!("`{new}` is taken, or means something else: {why}")));
    }
    Ok(json!({ "changes": changes }))
}

/// What is wrong with these files, without places.
fn errors(server: &Server, files: &BTreeMap<PathBuf, Vec<dsl::syntax::span::Span>>) -> Vec<String> {
    let found = files.keys().flat_map(|path| server.world.compile(path));
    found.filter(|d| d.severity == Severity::Error).map(|d| format!("{}: {}", d.code, d.message)).collect()
}
