//! What findings say to type, as edits.

use super::diagnostics::Fix;
use super::server::{Answer, Server};
use super::text::Lines;
use serde_json::{Map, Value, json};

pub(super) fn actions(server: &mut Server, params: &Value) -> Answer {
    let found = || {
        let (path, text) = server.document(params)?;
        let wanted = Lines::new(&text, server.encoding).span(params.get("range")?)?;
        let lines = Lines::new(&text, server.encoding);
        let published = server.published.get(&server.world.uri(&path))?;
        let mut out = Vec::new();
        for one in published {
            let Some(at) = one.shown.get("range").and_then(|range| lines.span(range)) else { continue };
            if at.end < wanted.start || wanted.end < at.start {
                continue;
            }
            for fix in &one.fixes {
                out.push(json!({
                    "title": fix.title,
                    "kind": "quickfix",
                    "diagnostics": [one.shown],
                    "isPreferred": fix.edit.safe,
                    "edit": edit(server, &[fix]),
                }));
            }
        }
        let safe: Vec<&Fix> = published.iter().filter_map(|one| one.fixes.iter().find(|fix| fix.edit.safe)).collect();
        let mut apart: Vec<&Fix> = Vec::new();
        for fix in safe {
            let touches = |other: &Fix| {
                other.path == fix.path
                    && other.edit.loc.span.start <= fix.edit.loc.span.end
                    && fix.edit.loc.span.start <= other.edit.loc.span.end
            };
            if !apart.iter().any(|other| touches(other)) {
                apart.push(fix);
            }
        }
        if !apart.is_empty() {
            let title = "mend what can be mended without changing what is meant";
            out.push(json!({ "title": title, "kind": "source.fixAll", "edit": edit(server, &apart) }));
        }
        let only = params.pointer("/context/only").and_then(Value::as_array);
        out.retain(|action| only.is_none_or(|only| only.iter().any(|kind| Some(kind) == action.get("kind"))));
        Some(out.into())
    };
    Ok(found().unwrap_or_else(|| json!([])))
}

fn edit(server: &Server, fixes: &[&Fix]) -> Value {
    let mut changes = Map::new();
    for fix in fixes {
        let Some(text) = server.world.text(&fix.path) else { continue };
        let range = Lines::new(&text, server.encoding).range(fix.edit.loc.span);
        let change = json!({ "range": range, "newText": fix.edit.text });
        let of_file = changes.entry(server.world.uri(&fix.path)).or_insert_with(|| json!([]));
        if let Some(of_file) = of_file.as_array_mut() {
            of_file.push(change);
        }
    }
    json!({ "changes": changes })
}
