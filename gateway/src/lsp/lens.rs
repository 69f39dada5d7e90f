//! Above each test: how it goes, and a way to run it again.

use super::server::{Answer, Refused, Server};
use super::text::Lines;
use super::world::path_of;
use crate::cli::offline;
use crate::sites::item;
use dsl::testing::{self, Subject, Verdict};
use serde_json::{Value, json};
use std::path::Path;

/// The command behind a lens.
pub(super) const RUN: &str = "sluice.test";

pub(super) fn lenses(server: &mut Server, params: &Value) -> Answer {
    let found = || {
        let (path, text) = server.document(params)?;
        let lines = Lines::new(&text, server.encoding);
        let index = server.world.index(&path)?;
        let tests = index.tests();
        if tests.is_empty() {
            return None;
        }
        let verdicts = verdicts(server, &path);
        let uri = server.world.uri(&path);
        let lens = |range: Value, title: String, which: Value| json!({ "range": range, "command": { "title": title, "command": RUN, "arguments": [uri, which] } });
        let mut out = Vec::new();
        for (title, span) in &tests {
            let says = match &verdicts {
                Ok(verdicts) => verdicts
                    .iter()
                    .find(|verdict| *verdict.test.title == **title)
                    .map_or_else(|| "run".to_owned(), |verdict| format!("run · {}", result(verdict))),
                Err(_) => "run · the file does not compile".to_owned(),
            };
            out.push(lens(lines.range(*span), says, json!(title)));
        }
        if let Ok(verdicts) = &verdicts {
            out.push(lens(lines.range(dsl::syntax::span::Span::default()), summary(verdicts), Value::Null));
        }
        Some(out.into())
    };
    Ok(found().unwrap_or_else(|| json!([])))
}

/// Runs the tests of a file, or one of them.
pub(super) fn execute(server: &mut Server, params: &Value) -> Answer {
    let command = params.get("command").and_then(Value::as_str).unwrap_or_default();
    let arguments = params.get("arguments").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let (RUN, Some(uri)) = (command, arguments.first().and_then(Value::as_str)) else {
        return Err(Refused(format!("`{command}` is not known, or its arguments are not")));
    };
    let title = arguments.get(1).and_then(Value::as_str);
    let mut verdicts = verdicts(server, &path_of(uri)).map_err(Refused)?;
    verdicts.retain(|verdict| title.is_none_or(|title| *verdict.test.title == *title));
    let failed: Vec<&Verdict> = verdicts.iter().filter(|verdict| !verdict.failures.is_empty()).collect();
    let mut said = summary(&verdicts);
    for verdict in &failed {
        said.push_str(&format!("\n{}: {}", verdict.test.title, result(verdict)));
    }
    server.show(if failed.is_empty() { 3 } else { 1 }, &said);
    server.refresh_lenses();
    let told = |verdict: &Verdict| {
        let failures: Vec<Value> =
            verdict.failures.iter().map(|f| json!({ "expected": &*f.expected, "got": f.got })).collect();
        json!({ "title": &*verdict.test.title, "ok": verdict.failures.is_empty(), "failures": failures })
    };
    Ok(verdicts.iter().map(told).collect())
}

fn verdicts(server: &Server, path: &Path) -> Result<Vec<Verdict>, String> {
    let (root, below) = offline::home(path);
    let loaded = offline::load_drafts(&root, Some(&below), &server.world.drafts()).map_err(|why| why.0)?;
    let tested = loaded.loader.tests().into_iter().find(|tested| *tested.path == *below);
    match tested {
        Some(tested) => {
            let (listening, passthroughs) = item::by_kind(tested.items.iter().map(|item| &**item));
            let subject = Subject { programs: &tested.sites, listening: &listening, passthroughs: &passthroughs };
            Ok(testing::run(&tested.tests, subject, testing::BUDGET))
        }
        None => Err("the file does not compile, so its tests were not run".to_owned()),
    }
}

fn result(verdict: &Verdict) -> String {
    match verdict.failures.first() {
        None => "passes".to_owned(),
        Some(first) => format!("FAILS: expected {}, got {}", first.expected, first.got),
    }
}

fn summary(verdicts: &[Verdict]) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.failures.is_empty()).count();
    let tests = crate::cli::run::count(verdicts.len(), "test");
    if failed == 0 { format!("{tests}: all pass") } else { format!("{tests}: {failed} failed") }
}
