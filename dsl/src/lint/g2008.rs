//! ## What
//!
//! A route without which nothing would change: the wider one beside it does the same.
//!
//! ## Why
//!
//! What need not be written need not be read. It may be meant for whoever reads it; then it can stay.
//!
//! ## Wrong
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     /api/v1/* -> api
//!     /api/*    -> api
//!     else      -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     /api/* -> api
//!     else   -> respond 404
//! }
//! ```

use super::g2002::same;
use super::solve::Sat;
use super::world::{At, World};
use crate::diagnostic::{Diagnostic, Edit};
use crate::region::space::Region;
use crate::tree::ir::{PlanIdx, ScopeIdx, Target};

/// Finds routes that could be left out.
pub(super) fn run(w: &mut World<'_>) {
    for at in w.entries() {
        let entry = w.entry(at);
        let Target::Plan(plan) = entry.target else { continue };
        // Of a broken answer nobody knows where it leads.
        if w.info.broken.contains(&plan.0) {
            continue;
        }
        // A route with several patterns is entries beside each other.
        let others = &w.info.scopes[at.scope].entries;
        let near = [at.entry.checked_sub(1), at.entry.checked_add(1)];
        let several =
            near.into_iter().flatten().filter_map(|n| others.get(n)).any(|o| o.stmt == w.entry_info(at).stmt);
        if entry.pathless || several || w.source(w.entry_info(at).stmt).is_empty() {
            continue;
        }
        let Some(wider) = wider(w, at, plan) else { continue };
        if !settles(w, at, wider) && needless(w, at, plan) == Some(true) {
            report(w, at, wider);
        }
    }
}

/// A route of the same scope whose pattern holds this one and that does the same.
fn wider(w: &mut World<'_>, at: At, plan: PlanIdx) -> Option<At> {
    let pattern = &w.entry(at).pattern;
    let near = w.near(at.scope, pattern);
    near.into_iter().find(|other| {
        let same = matches!(w.entry(*other).target, Target::Plan(p) if !w.info.broken.contains(&p.0) && same(w, plan, p));
        // `else` says what is left: a route above it says what is meant.
        *other != at
            && same
            && !w.entry(*other).pathless
            && w.entry(*other).pattern != *pattern
            && matches!(w.paths.path_inside(pattern, &w.entry(*other).pattern), Ok(true))
    })
}

/// Whether a route says who takes what the wider one and a third share: without it they would claim
/// the same requests (G2002).
fn settles(w: &mut World<'_>, at: At, wider: At) -> bool {
    let pattern = &w.entry(at).pattern;
    let near = w.near(at.scope, pattern);
    near.into_iter().filter(|other| *other != at && *other != wider).any(|other| {
        let (third, wide) = (&w.entry(other).pattern, &w.entry(wider).pattern);
        let inside = |w: &mut World<'_>, a, b| w.paths.path_inside(a, b) != Ok(false);
        inside(w, pattern, third) && !inside(w, third, wide) && !inside(w, wide, third)
    })
}

/// Whether everything would go as it does now, were an entry not there.
fn needless(w: &mut World<'_>, at: At, plan: PlanIdx) -> Option<bool> {
    let view = w.view(&w.entry(at).pattern)?;
    let taken: Region = view.taken(at)?.clone();
    let scope = ScopeIdx(u32::try_from(at.scope).ok()?);
    let without = view.space().reached_without(0, Some((scope, at.entry))).ok()?;
    let mut left = taken;
    for (other, region) in &without.plans {
        if same(w, plan, *other) {
            left = left.minus(region).ok()?;
        }
    }
    let refused = |a: &Region, b: &Region| a.is_inside(b).ok();
    let (now, then) = (&view.reached.conflicts, &without.conflicts);
    Some(left.is_empty() && refused(now, then)? && refused(then, now)?)
}

fn report(w: &mut World<'_>, at: At, wider: At) {
    let entry = w.entry(at);
    let (a, b) = (w.shown(at), w.shown(wider));
    let said = format!("`{a}` leads where `{b}` on {} leads anyway, under the same policies: it can be removed", w.line(w.entry(wider).loc));
    let mut d = Diagnostic::hint("G2008", entry.loc, said).label(w.entry(wider).loc, "does the same");
    if let Some(path) = w.example(&entry.pattern)
        && let Sat::Yes(request) = w.request(&path, &entry.guard, &[])
        && w.decide(&request, entry.loc).is_some()
    {
        d = d.witness(w.describe(&request));
    }
    let stmt = w.entry_info(at).stmt;
    let edit = Edit { loc: super::g2001::whole_lines(w.text, stmt), text: String::new(), safe: true };
    d = d.help("remove it", "", Some(edit));
    w.out.push(d);
}
