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
use super::world::World;
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
        let Ok(Some(path)) = w.paths.path_example(&entry.pattern) else { continue };
        if matches!(w.request(&path, &entry.guard, &[]), Sat::No) {
            let d = Diagnostic::warning("G1013", entry.loc, "this condition never holds: no request fulfils all of it");
            w.out.push(d);
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
