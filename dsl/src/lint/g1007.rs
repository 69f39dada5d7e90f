//! ## What
//!
//! A pool is declared and nothing leads to it.
//!
//! ## Why
//!
//! It is dialled by nobody, and whoever reads the file thinks that it is. Files that import this one are looked at
//! too; what is exported, looked up in a table or asked is used.
//!
//! ## Wrong
//!
//! ```route
//! pool old = 10.0.0.2:80
//!
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     else -> web
//! }
//! ```

use crate::diagnostic::{Diagnostic, Edit, Sources};
use crate::syntax::span::{FileId, Loc, Span};
use std::collections::HashSet;

/// The pools that a file declares, and those that it names.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    /// The file.
    pub file: FileId,
    /// The files that it imports, those imported by them included.
    pub imports: Vec<FileId>,
    /// Whether all of it could be read: what an error hides may name any pool.
    pub sound: bool,
    /// Name, the place of the name, and the whole item.
    pub declared: Vec<(String, Loc, Loc)>,
    /// The names' places of the pools that it names, its own and its modules'.
    pub named: Vec<Loc>,
}

/// Pools that no file of these names. All files that may import them must be among these.
#[must_use]
pub fn unused_pools(files: &[&Pools], sources: &dyn Sources) -> Vec<Diagnostic> {
    let named: HashSet<Loc> = files.iter().flat_map(|f| &f.named).copied().collect();
    let mut out = Vec::new();
    for of in files.iter().filter(|f| f.sound) {
        if files.iter().any(|other| !other.sound && other.imports.contains(&of.file)) {
            continue;
        }
        for (name, loc, item) in of.declared.iter().filter(|(_, loc, _)| !named.contains(loc)) {
            let edit = sources.source(loc.file).map(|(_, text)| Edit { loc: whole(text, *item), text: String::new(), safe: true });
            out.push(Diagnostic::warning("G1007", *loc, format!("pool `{name}` is never used")).help("remove it", "", edit));
        }
    }
    out
}

/// An item with its doc comment and the blank line behind it.
fn whole(text: &str, item: Loc) -> Loc {
    let lines = super::g2001::whole_lines(text, item);
    let (mut start, mut end) = (lines.span.start as usize, lines.span.end as usize);
    while let Some(line) = text[..start].strip_suffix('\n') {
        let from = line.rfind('\n').map_or(0, |n| n + 1);
        if !line[from..].starts_with("##") {
            break;
        }
        start = from;
    }
    if text[end..].starts_with('\n') {
        end += 1;
    }
    Loc { file: item.file, span: Span::new(start, end) }
}
