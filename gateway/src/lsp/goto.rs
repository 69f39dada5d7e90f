//! Where something is declared, and where it is used.

use super::server::{Answer, Server};
use super::text::Lines;
use dsl::ide::{self, Index, Means};
use dsl::syntax::span::Loc;
use serde_json::{Value, json};

pub(super) fn definition(server: &mut Server, params: &Value) -> Answer {
    let found = || {
        let (path, _, offset) = server.place(params)?;
        let index = server.world.index(&path)?;
        let loc = match index.at(offset).map(|seen| &seen.means) {
            Some(Means::Declared(loc)) => *loc,
            Some(Means::Module(file)) => Loc { file: *file, ..Loc::default() },
            Some(Means::Builtin(_) | Means::Path(_) | Means::Host(_)) => return None,
            None => Loc { file: index.import_at(offset)?, ..Loc::default() },
        };
        server.world.location(loc, server.encoding)
    };
    Ok(found().unwrap_or(Value::Null))
}

pub(super) fn references(server: &mut Server, params: &Value) -> Answer {
    let declaration = params.pointer("/context/includeDeclaration").and_then(Value::as_bool).unwrap_or(true);
    let found = || {
        let (declared, all) = everywhere(server, params)?;
        let all = all.into_iter().filter(|loc| declaration || *loc != declared);
        Some(all.filter_map(|loc| server.world.location(loc, server.encoding)).collect())
    };
    Ok(found().unwrap_or(Value::Null))
}

pub(super) fn highlight(server: &mut Server, params: &Value) -> Answer {
    let found = || {
        let (path, text, _) = server.place(params)?;
        let (_, all) = everywhere(server, params)?;
        let lines = Lines::new(&text, server.encoding);
        let own = server.world.id(&path);
        let here = all.into_iter().filter(|loc| loc.file == own);
        Some(here.map(|loc| json!({ "range": lines.range(loc.span), "kind": 1 })).collect())
    };
    Ok(found().unwrap_or(Value::Null))
}

/// What is declared by, or used at, the place that a request is about, and everywhere it is written.
pub(super) fn everywhere(server: &Server, params: &Value) -> Option<(Loc, Vec<Loc>)> {
    let (path, _, offset) = server.place(params)?;
    let index = server.world.index(&path)?;
    let Means::Declared(declared) = index.at(offset)?.means else { return None };
    let all = server.world.indices(&path);
    let all: Vec<&Index> = all.iter().map(|index| &**index).collect();
    Some((declared, ide::references(&all, declared)))
}
