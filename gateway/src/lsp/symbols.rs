//! The outline of a file.

use super::server::{Answer, Server};
use super::text::Lines;
use dsl::ide::{Symbol, SymbolKind};
use serde_json::{Value, json};

pub(super) fn symbols(server: &mut Server, params: &Value) -> Answer {
    let found = || {
        let (path, text) = server.document(params)?;
        let lines = Lines::new(&text, server.encoding);
        let symbols = server.world.index(&path)?.symbols(&text);
        Some(symbols.iter().map(|symbol| shown(symbol, &lines)).collect())
    };
    Ok(found().unwrap_or_else(|| json!([])))
}

fn shown(symbol: &Symbol, lines: &Lines<'_>) -> Value {
    let kind = match symbol.kind {
        SymbolKind::Module => 2,
        SymbolKind::Value => 13,
        SymbolKind::Pool => 23,
        SymbolKind::Policy => 12,
        SymbolKind::Site => 3,
        SymbolKind::Route => 6,
        SymbolKind::Test => 24,
    };
    let inside: Vec<Value> = symbol.inside.iter().map(|symbol| shown(symbol, lines)).collect();
    json!({
        "name": symbol.name,
        "detail": symbol.detail,
        "kind": kind,
        "range": lines.range(symbol.span),
        "selectionRange": lines.range(symbol.own),
        "children": inside,
    })
}
