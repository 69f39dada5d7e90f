//! ## What
//!
//! Some requests of a site match nothing in it.
//!
//! ## Why
//!
//! They get 404. That may be meant; `else` says so.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     /app/* -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     /app/* -> web
//!     else -> respond 404
//! }
//! ```
//!
//! ## Fix
//!
//! The line is added. The 404 is then an answer of the site, with an empty body, and not counted as a request without a route.

use super::l4::Item;
use super::solve::Sat;
use super::world::{At, World};
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Cond, Entry};
use crate::tree::request::Plain;

/// Finds a request that the site's own scope misses.
pub(super) fn run(w: &mut World<'_>) {
    if w.info.dropped {
        return;
    }
    let Some(request) = missed(w, 0) else { return };
    let witness = w.describe(&request);
    let d = Diagnostic::warning("G2005", w.site.loc, format!("`{witness}` matches nothing here and gets 404"))
        .witness(witness.clone());
    let d = with_else(w, 0, d);
    w.out.push(d);
}

/// A request that enters a scope and that nothing in it takes.
pub(super) fn missed(w: &mut World<'_>, scope: usize) -> Option<Plain> {
    let of = &w.site.scopes[scope];
    let covers = |e: &Entry| e.guard == Cond::Const(true);
    if of.entries.iter().any(|e| covers(e) && e.pattern == of.pattern) {
        return None;
    }
    let entered = w.entered(scope);
    let mut elders: Vec<At> = (0..of.entries.len()).map(|entry| At { scope, entry }).collect();
    for lead in w.chain(scope) {
        for other in w.near(lead.scope, &of.pattern) {
            if other != lead && w.before(other, lead) {
                elders.push(other);
            }
        }
    }
    let mut paths = Vec::new();
    let example = w.example(&of.pattern)?;
    if of.pattern.splat {
        let stem = example.trim_end_matches('/').to_owned();
        paths.extend(["x", "x/x", "other"].iter().map(|more| format!("{stem}/{more}")));
    }
    paths.push(example);
    for path in paths {
        if let Sat::Yes(request) = w.request(&path, &entered, &elders)
            && w.decide(&request, of.loc) == Some(of.miss)
        {
            return Some(*request);
        }
    }
    // None comes to mind: whether there is one at all.
    let view = w.view(&of.pattern)?;
    let region = view.missed(scope)?.clone();
    w.shown_by(&region, |_, plan| plan == of.miss)
}

/// Adds the line to paste.
pub(super) fn with_else(w: &World<'_>, scope: usize, d: Diagnostic) -> Diagnostic {
    let paste = "else -> respond 404";
    let block = w.info.scopes[scope].block;
    let source = w.source(block);
    let edit = source.ends_with('}').then(|| {
        let brace = block.span.end as usize - 1;
        let line = w.text[..brace].rfind('\n').map_or(0, |n| n + 1);
        let indent = &w.text[line..brace];
        let (at, text) = if indent.trim().is_empty() {
            (line, format!("{indent}    {paste}\n"))
        } else {
            (brace, format!("\n{paste}\n"))
        };
        Edit { loc: Loc { file: block.file, span: Span::new(at, at) }, text, safe: true }
    });
    d.help("say what they get", paste, edit)
}

/// Finds a connection that nothing in an item takes.
pub(super) fn item(item: &mut Item<'_>) {
    let Some(witness) = &item.judged.missed else { return };
    let shown = item.describe(witness);
    let d = Diagnostic::warning("G2005", item.head, format!("`{shown}` matches nothing here and is refused"))
        .witness(shown.clone())
        .help("say so", "else -> deny", item.info.block.and_then(|block| at_the_end(item, block)));
    item.out.push(d);
}

/// The edit that adds `else -> deny` to a block.
pub(super) fn at_the_end(item: &Item<'_>, block: Loc) -> Option<Edit> {
    let source = if block.file == item.head.file { item.text.get(block.span.range())? } else { return None };
    let brace = (block.span.start as usize + source.rfind('}')?).min(item.text.len());
    let line = item.text[..brace].rfind('\n').map_or(0, |n| n + 1);
    let indent = &item.text[line..brace];
    indent.trim().is_empty().then(|| Edit {
        loc: Loc { file: block.file, span: Span::new(line, line) },
        text: format!("{indent}    else -> deny\n"),
        safe: true,
    })
}
