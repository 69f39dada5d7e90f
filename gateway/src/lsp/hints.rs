//! Behind each `./x` the path that it is as a whole.

use super::server::{Answer, Server};
use super::text::Lines;
use serde_json::{Value, json};

pub(super) fn hints(server: &mut Server, params: &Value) -> Answer {
    let found = || {
        let (path, text) = server.document(params)?;
        let lines = Lines::new(&text, server.encoding);
        let wanted = lines.span(params.get("range")?)?;
        let index = server.world.index(&path)?;
        let shown = index
            .relative_paths(&text)
            .into_iter()
            .filter(|(span, _)| span.start >= wanted.start && span.end <= wanted.end);
        let hint = |(span, whole): (dsl::syntax::span::Span, String)| json!({ "position": lines.position(span.end as usize), "label": whole, "kind": 2, "paddingLeft": true });
        Some(shown.map(hint).collect())
    };
    Ok(found().unwrap_or_else(|| json!([])))
}
