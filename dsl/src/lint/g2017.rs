//! ## What
//!
//! Hundreds of routes of a site are the same but for one part of their paths and where they lead.
//!
//! ## Why
//!
//! That is data: a `table` holds it, is read again alone when it changes, and is one line here.
//!
//! ## Wrong
//!
//! ```route
//! # /shops/1 -> shop-1, /shops/2 -> shop-2, and so on: more than 500 of them
//! ```
//!
//! ## Right
//!
//! ```route
//! # /shops/{shop}/* -> shops[shop] else respond 404
//! ```

use super::world::World;
use crate::diagnostic::Diagnostic;
use crate::tree::ir::{Answer, Cond, Destination, Entry, PlanIdx, Segment, Site, Target};
use std::collections::HashMap;

/// So many may be alike.
const MANY: usize = 500;

/// Counts routes that differ in one literal only.
pub(super) fn run(w: &mut World<'_>) {
    for scope in &w.site.scopes {
        if scope.entries.len() <= MANY {
            continue;
        }
        let Some((first, count)) = most(w.site, &scope.entries) else { continue };
        let d = Diagnostic::hint("G2017", first.loc, format!("{count} routes like this one differ only in data; a `table` would hold them"))
            .note("a table is read again by itself when its file changes, and may have 100000 rows");
        w.out.push(d);
    }
}

/// The first and the number of the most routes that are alike.
fn most<'e>(site: &Site, entries: &'e [Entry]) -> Option<(&'e Entry, usize)> {
    /// Everything but one literal: its place, and the rest of the pattern.
    type Likeness<'e> = (usize, usize, bool, Vec<&'e Segment>, u16);
    let mut groups: HashMap<Likeness<'e>, (&'e Entry, usize)> = HashMap::new();
    for entry in entries {
        let Target::Plan(plan) = entry.target else { continue };
        let Some(kind) = kind(site, plan) else { continue };
        if entry.pathless || entry.guard != Cond::Const(true) {
            continue;
        }
        let segments = &entry.pattern.segments;
        for (at, _) in segments.iter().enumerate().filter(|(_, s)| matches!(s, Segment::Lit(_))) {
            let rest = segments.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, s)| s).collect();
            let likeness = (at, segments.len(), entry.pattern.splat, rest, kind);
            groups.entry(likeness).or_insert((entry, 0)).1 += 1;
        }
    }
    groups.into_values().filter(|(_, count)| *count > MANY).max_by_key(|(first, count)| (*count, std::cmp::Reverse(first.loc)))
}

/// What a table could lead to: a pool, or one kind of redirect.
fn kind(site: &Site, plan: PlanIdx) -> Option<u16> {
    match &site.plans[plan.0 as usize].answer {
        Answer::Proxy { to: Destination::Pool(_), at: None, host: None } => Some(0),
        Answer::Redirect { status, .. } => Some(*status),
        _ => None,
    }
}
