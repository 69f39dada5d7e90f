//! ## What
//!
//! A condition that no request fulfils.
//!
//! ## Why
//!
//! Its route is dead, or its `require` refuses everybody.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /x when method is GET and method is POST -> respond 200
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /x when method in [GET, POST] -> respond 200
//!     else -> respond 404
//! }
//! ```

use super::l4::Item;
use super::solve::Sat;
use super::view::alternatives;
use super::world::{At, World};
use crate::diagnostic::Diagnostic;
use crate::tree::ir::Cond;

/// Looks for a request for every condition.
pub(super) fn run(w: &mut World<'_>) {
    for at in w.entries() {
        let entry = w.entry(at);
        // A constant is a policy's argument, or a capture that only another pattern has.
        if matches!(entry.guard, Cond::Const(_)) {
            continue;
        }
        let plainly = w.example(&entry.pattern);
        // A test of the path may have led the request off the pattern.
        if let Some(Sat::Yes(request)) = plainly.map(|path| w.request(&path, &entry.guard, &[]))
            && entry.pattern.matches(&request.path)
        {
            continue;
        }
        if never(w, at) == Some(true) {
            let d = Diagnostic::warning("G1013", entry.loc, "this condition never holds: no request fulfils all of it");
            w.out.push(d);
        }
    }
    parts(w);
}

/// Whether no request on an entry's paths that enters the blocks around it fulfils its condition.
fn never(w: &mut World<'_>, at: At) -> Option<bool> {
    let view = w.view(&w.entry(at).pattern)?;
    w.claims(&view, at).ok().map(|claims| claims.is_empty())
}

/// Looks for alternatives of a condition that nothing fulfils where the rest of it holds.
fn parts(w: &mut World<'_>) {
    for at in w.entries() {
        let entry = w.entry(at);
        let parts = alternatives(&entry.guard);
        // What a policy was given is no matter of whoever wrote the policy.
        if parts.is_empty() || w.source(w.entry_info(at).stmt).is_empty() {
            continue;
        }
        let parts: Vec<_> = parts.into_iter().filter(|(_, cond)| !w.plainly_takes(at, cond)).collect();
        if parts.is_empty() || never(w, at) != Some(false) {
            continue;
        }
        let Some(view) = w.view(&entry.pattern) else { continue };
        let Ok(claims) = w.claims(&view, at) else { continue };
        for (name, cond) in parts {
            let part = view.space().of_cond(0, &cond).and_then(|part| part.intersect(&claims));
            if part.is_ok_and(|part| part.is_empty()) {
                let name = w.named(at, &name);
                let said = format!("`{name}` never holds beside the rest of this condition");
                w.out.push(Diagnostic::warning("G1013", entry.loc, said));
            }
        }
    }
}

/// Looks for a connection for every condition of an item.
pub(super) fn item(item: &mut Item<'_>) {
    for n in unfulfilled(item) {
        let d = "this condition never holds: no connection fulfils all of it";
        item.out.push(Diagnostic::warning("G1013", item.rules.entries[n].loc, d));
    }
}

/// The entries that no connection fulfils, the blocks around them instead where nothing enters those.
fn unfulfilled(item: &Item<'_>) -> Vec<usize> {
    if !item.judged.complete {
        return Vec::new();
    }
    let holds = &item.judged.holds;
    let dead: Vec<usize> = (0..holds.len()).filter(|n| holds[*n].is_none()).collect();
    outermost(item, &dead)
}

/// Without those that stand in a block of which nothing is left.
pub(super) fn outermost(item: &Item<'_>, entries: &[usize]) -> Vec<usize> {
    let info = &item.info.entries;
    let within = |inner: usize, outer: usize| {
        info[outer].miss && inner != outer && super::l4::within(info[outer].stmt, info[inner].stmt)
    };
    let whole = |outer: usize| (0..info.len()).filter(|n| within(*n, outer)).all(|n| entries.contains(&n));
    let blocks: Vec<usize> = entries.iter().copied().filter(|n| info[*n].miss && whole(*n)).collect();
    let stays = |n: &usize| !blocks.iter().any(|o| within(*n, *o)) && (!info[*n].miss || blocks.contains(n));
    entries.iter().copied().filter(stays).collect()
}
