//! Completion.

use super::server::{Answer, Server};
use super::world::World;
use dsl::ide::Index;
use dsl::ide::complete::{self, Kind, Others};
use dsl::syntax::span::FileId;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

struct Around<'a> {
    world: &'a World,
    path: PathBuf,
    others: Vec<(FileId, Arc<Index>)>,
}

impl Others for Around<'_> {
    fn index(&self, file: FileId) -> Option<&Index> {
        self.others.iter().find(|(number, _)| *number == file).map(|(_, index)| &**index)
    }

    fn modules(&self) -> Vec<String> {
        self.world.modules(&self.path)
    }
}

pub(super) fn complete(server: &mut Server, params: &Value) -> Answer {
    let found = || {
        let (path, text, offset) = server.place(params)?;
        let index = server.world.index(&path)?;
        let imported = index.imports().iter().filter_map(|(_, file)| Some((*file, server.world.index_of(*file)?.0)));
        let around = Around { world: &server.world, path: path.clone(), others: imported.collect() };
        let all = complete::complete(&index, &text, offset, &around);
        Some(all.into_iter().map(|one| item(one, server.snippets)).collect())
    };
    Ok(found().unwrap_or_else(|| json!([])))
}

fn item(one: complete::Completion, snippets: bool) -> Value {
    let kind = match one.kind {
        Kind::Keyword => 14,
        Kind::Setting => 10,
        Kind::Pool => 9,
        Kind::Policy | Kind::Function => 3,
        Kind::Value => 6,
        Kind::Member => 5,
        Kind::Module => 17,
    };
    let mut out = json!({ "label": one.label, "kind": kind });
    if let Some(detail) = one.detail {
        out["detail"] = detail.into();
    }
    if let Some(doc) = one.doc {
        out["documentation"] = json!({ "kind": "markdown", "value": doc });
    }
    if let Some(snippet) = one.snippet.filter(|_| snippets) {
        out["insertText"] = snippet.into();
        out["insertTextFormat"] = 2.into();
    }
    out
}
