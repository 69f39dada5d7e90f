//! ## What
//!
//! Another service is asked about a request before it is counted.
//!
//! ## Why
//!
//! Who asks too often then makes the gateway ask as often. The cheap check comes first.
//!
//! ## Wrong
//!
//! ```route
//! pool checker = 10.0.0.2:80
//! pool api     = 10.0.0.1:80
//!
//! site a.example.com {
//!     require ask(checker, GET /verify) else respond 401
//!     limit 10/s per client.ip
//!     else -> api
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool checker = 10.0.0.2:80
//! pool api     = 10.0.0.1:80
//!
//! site a.example.com {
//!     limit 10/s per client.ip
//!     require ask(checker, GET /verify) else respond 401
//!     else -> api
//! }
//! ```
//!
//! ## Fix
//!
//! The limit moves above the check, in its block. Requests that the check refuses are then counted too.

use super::reads::Reads;
use super::world::World;
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{CallKind, Field, Step};

/// Looks at what stands before limits.
pub(super) fn run(w: &mut World<'_>) {
    let calls = &w.site.calls;
    let asks = |field: &Field| match field {
        Field::Call(call, _) | Field::Claim(call, _) => {
            calls.get(call.0 as usize).is_some_and(|call| matches!(call.kind, CallKind::Ask(_)))
        }
        _ => false,
    };
    let mut found = Vec::new();
    for plan in &w.site.plans {
        let mut asked = None;
        for step in &plan.steps {
            let mut reads_call = false;
            match step {
                Step::Require { cond, loc, .. } => {
                    Reads::of(w.site, |field: &Field| reads_call |= asks(field)).cond(cond);
                    if reads_call {
                        asked.get_or_insert(*loc);
                    }
                }
                Step::Limit(limit) => {
                    // What is counted by the answer has to be asked first.
                    let mut reads = Reads::of(w.site, |field: &Field| {
                        reads_call |= matches!(field, Field::Call(..) | Field::Claim(..) | Field::Body(..));
                    });
                    limit.key.iter().for_each(|key| reads.value(&key.value));
                    limit.cost.iter().for_each(|cost| reads.value(cost));
                    reads.cond(&limit.when);
                    if let Some(asked) = asked.filter(|_| !reads_call) {
                        found.push(
                            Diagnostic::warning("G6001", limit.loc, "the costly check runs before the cheap one")
                                .label(asked, "another service is asked here")
                                .help("put the limit first", "", first(w, asked, limit.loc)),
                        );
                    }
                }
                Step::Header(_) | Step::Session(_) => {}
            }
        }
    }
    w.out.append(&mut found);
}

/// The edit that moves a limit above what asks, where both stand in one block: above its line, or, where a
/// policy asks, above the first `use`.
fn first(w: &World<'_>, asked: Loc, limit: Loc) -> Option<Edit> {
    let inside = |outer: Loc| outer.file == limit.file && outer.span.start < limit.span.start && limit.span.end < outer.span.end;
    let blocks = w.info.scopes.iter().map(|scope| scope.block).filter(|block| inside(*block));
    let block = blocks.min_by_key(|block| block.span.end - block.span.start)?;
    let written = w.source(limit);
    let indent = w.indent(limit).filter(|_| !written.is_empty() && !written.contains('\n'))?;
    let own = |at: usize| &w.text[w.text[..at].rfind('\n').map_or(0, |n| n + 1)..at];
    let (open, at) = (block.span.start as usize + 1, limit.span.start as usize);
    let to = if asked.file == limit.file {
        let asked = asked.span.start as usize;
        (open..at).contains(&asked).then_some(asked).filter(|asked| own(*asked) == indent)?
    } else {
        let line = format!("\n{indent}use ");
        open + w.text.get(open..at)?.find(&line)? + line.len() - "use ".len()
    };
    let between = &w.text[to..at];
    // A name that the limit may read stays above it; what stands behind it on its line stays where it is.
    if between.lines().any(|line| line.trim_start().starts_with("let ")) || !w.text[limit.span.end as usize..].starts_with('\n') {
        return None;
    }
    let text = format!("{written}\n{indent}{}", between.trim_end());
    Some(Edit { loc: Loc { file: limit.file, span: Span::new(to, limit.span.end as usize) }, text, safe: true })
}
