//! Text to syntax tree.
//!
//! [`parse`] never fails: it gives the sound items and says what is wrong with the others. First
//! `scan` finds the items and their logical lines, then each is parsed alone by the grammar; an
//! item that does not parse is taken apart into its statements by `recover`, which words one error
//! for each broken one.

pub mod ast;
pub mod span;

mod build;
mod explain;
pub(crate) mod grammar;
mod recover;
pub(crate) mod scan;
pub(crate) mod words;

use crate::Parsed;
use crate::diagnostic::Diagnostic;
use build::{Builder, Offsets};
use grammar::Rule;
use span::{FileId, Loc, Span};

/// The code of everything that the parser itself refuses.
pub(crate) const CODE: &str = "G0001";

/// Files above this are refused unread.
const MAX_BYTES: usize = 64 << 20;

/// Parses a file.
///
/// Lines may end with LF or CRLF, and a byte order mark is skipped. Offsets in the tree and in the
/// diagnostics are bytes of `text` as given.
pub fn parse(file: FileId, text: &str) -> Parsed {
    let mut parsed = Parsed { file, ast: ast::File::default(), diagnostics: Vec::new() };
    if text.len() > MAX_BYTES {
        let message = format!("this file has more than {} MB", MAX_BYTES >> 20);
        let loc = Loc { file, span: Span::default() };
        parsed.diagnostics.push(Diagnostic::error(CODE, loc, message));
        return parsed;
    }
    let scan::Scan { text: lines, items, blocks, errors, comments: _ } = scan::scan(file, text);
    parsed.diagnostics = errors;
    let mut known: Vec<usize> = parsed.diagnostics.iter().map(|d| d.primary.loc.span.start as usize).collect();
    known.sort_unstable();
    for item in items {
        if item.too_deep {
            continue;
        }
        let whole = &lines[item.start..item.end];
        if let Ok(mut pairs) = grammar::run(Rule::only_item, whole) {
            let pair = pairs.next().expect("the entry rule gives the item");
            let mut builder = Builder::new(file, Offsets { base: item.start, end: item.end, cuts: Vec::new() });
            let built = builder.item(pair, item.doc);
            if builder.errors.is_empty() {
                parsed.ast.items.push(built);
            } else {
                parsed.ast.broken.push(recover::broken(&built));
                parsed.diagnostics.append(&mut builder.errors);
            }
            continue;
        }
        let (broken, mut errors) = recover::item(file, &lines, &blocks, &item, &known);
        parsed.ast.broken.push(broken);
        parsed.diagnostics.append(&mut errors);
    }
    parsed.diagnostics.sort_by_key(|d| (d.primary.loc.span.start, d.primary.loc.span.end));
    parsed
}
