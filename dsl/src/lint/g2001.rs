//! ## What
//!
//! A route that no request can reach.
//!
//! ## Why
//!
//! Something above it, or something more specific, takes every request first: it is dead, and its author does not know.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//! pool api = 10.0.0.2:80
//!
//! site a.example.com {
//!     /api/* -> api
//!     /api/* -> web
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web = 10.0.0.1:80
//! pool api = 10.0.0.2:80
//!
//! site a.example.com {
//!     /api/* -> api
//!     else -> web
//! }
//! ```

use super::l4::Item;
use super::solve::{Sat, describe};
use super::world::{At, MANY, World};
use crate::check::cond::and;
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Cond, PathPattern, Target};
use std::collections::BTreeMap;

/// Finds the routes that nothing reaches. A block that is dead is said once, not route by route; and
/// what stands in the file once and in the program several times (a block with several patterns) is
/// dead when all of it is.
pub(super) fn run(w: &mut World<'_>) {
    let mut dead_scopes: Vec<usize> = Vec::new();
    let mut by_place: BTreeMap<Loc, Place> = BTreeMap::new();
    for at in w.entries() {
        if dead_scopes.contains(&at.scope) {
            if let Target::Scope(inner) = w.entry(at).target {
                dead_scopes.push(inner.0 as usize);
            }
            continue;
        }
        let culprits = match w.plain_witness(at) {
            Some(_) => None,
            None => dead(w, at),
        };
        let seen = by_place.entry(place(w, at)).or_default();
        seen.entries += 1;
        if let Some(culprits) = culprits {
            seen.dead.push((at, culprits));
            if let Target::Scope(inner) = w.entry(at).target {
                dead_scopes.push(inner.0 as usize);
            }
        }
    }
    for Place { entries, dead } in by_place.into_values() {
        if let Some((at, culprits)) = dead.first()
            && dead.len() == entries
        {
            report(w, *at, culprits);
        }
    }
}

/// What stands at one place of the file.
#[derive(Default)]
struct Place {
    /// How many entries the program has of it.
    entries: usize,
    /// The dead ones, each with those that take its requests.
    dead: Vec<(At, Vec<At>)>,
}

/// Where an entry is spoken of: at its pattern, when its statement has several.
fn place(w: &World<'_>, at: At) -> Loc {
    let info = w.entry_info(at);
    let others = &w.info.scopes[at.scope].entries;
    let near = [at.entry.checked_sub(1), at.entry.checked_add(1)];
    let several = near.into_iter().flatten().filter_map(|n| others.get(n)).any(|o| o.stmt == info.stmt);
    info.pattern.filter(|_| several).unwrap_or(w.entry(at).loc)
}

/// The entries that together take every request of this one; `None` when it lives or nobody knows.
fn dead(w: &mut World<'_>, at: At) -> Option<Vec<At>> {
    let entry = w.entry(at);
    let guard = and(vec![w.entered(at.scope), entry.guard.clone()]);
    // A capture that only another pattern has, or a policy's argument: no matter of who comes first.
    if guard == Cond::Const(false) {
        return None;
    }
    let elders = w.elders(at);
    if elders.len() > MANY {
        return None;
    }
    let (always, sometimes): (Vec<At>, Vec<At>) =
        elders.iter().partition(|e| w.entry(**e).guard == Cond::Const(true));
    let taken: Vec<&PathPattern> = always.iter().map(|e| &w.entry(*e).pattern).collect();
    match w.paths.path_outside(&[&entry.pattern], &taken) {
        Err(_) => None,
        Ok(None) => Some(least(w, at, always)),
        Ok(Some(path)) => {
            // Its condition may be the part of the ones before it, on this path and on all.
            let everywhere = sometimes.iter().all(|e| {
                matches!(w.paths.path_inside(&entry.pattern, &w.entry(*e).pattern), Ok(true))
            });
            match w.request(&path, &guard, &sometimes) {
                Sat::Yes(request) if w.reaches(&request, at) => None,
                Sat::No if everywhere && !sometimes.is_empty() => Some(sometimes),
                Sat::Yes(_) | Sat::No | Sat::Unknown => None,
            }
        }
    }
}

/// Drops the culprits that are not needed.
fn least(w: &mut World<'_>, at: At, mut culprits: Vec<At>) -> Vec<At> {
    let pattern = &w.entry(at).pattern;
    for one in &culprits {
        if matches!(w.paths.path_inside(pattern, &w.entry(*one).pattern), Ok(true)) {
            return vec![*one];
        }
    }
    let mut n = 0;
    while n < culprits.len() {
        let others: Vec<At> = culprits.iter().copied().filter(|c| *c != culprits[n]).collect();
        let taken: Vec<&PathPattern> = others.iter().map(|e| &w.entry(*e).pattern).collect();
        match w.paths.path_outside(&[pattern], &taken) {
            Ok(None) => culprits = others,
            Ok(Some(_)) | Err(_) => n += 1,
        }
    }
    culprits
}

fn report(w: &mut World<'_>, at: At, culprits: &[At]) {
    let entry = w.entry(at);
    let shown = w.shown(at);
    let guard = and(vec![w.entered(at.scope), entry.guard.clone()]);
    let Ok(Some(path)) = w.paths.path_example(&entry.pattern) else { return };
    let witness = match w.request(&path, &guard, &[]) {
        Sat::Yes(request) => Some(*request),
        Sat::No | Sat::Unknown => match w.request(&path, &Cond::Const(true), &[]) {
            Sat::Yes(request) => Some(*request),
            Sat::No | Sat::Unknown => None,
        },
    };
    let Some(witness) = witness else { return };
    // The witness is taken by somebody else: replayed, or nothing is said.
    let Some(plan) = w.decide(&witness, entry.loc) else { return };
    if w.leads_to(at, plan) {
        return;
    }
    let who = match culprits {
        [one] => format!("`{}` on {} takes every request first", w.shown(*one), w.line(w.entry(*one).loc)),
        [] => "its condition never holds".to_owned(),
        _ => "the routes before it take every request first".to_owned(),
    };
    let mut d = Diagnostic::error("G2001", place(w, at), format!("`{shown}` is never reached: {who}"))
        .witness(describe(&witness));
    for one in culprits {
        d = d.label(w.entry(*one).loc, "takes its requests");
    }
    let stmt = w.entry_info(at).stmt;
    if place(w, at) == entry.loc && !w.source(stmt).is_empty() {
        let edit = Edit { loc: lines(w, stmt), text: String::new(), safe: false };
        d = d.help("remove it", "", Some(edit));
    }
    w.out.push(d);
}

fn lines(w: &World<'_>, stmt: Loc) -> Loc {
    whole_lines(w.text, stmt)
}

/// A statement with the spaces before it and the end of its line.
pub(super) fn whole_lines(text: &str, stmt: Loc) -> Loc {
    let (start, end) = (stmt.span.start as usize, stmt.span.end as usize);
    let Some(before) = text.get(..start) else { return stmt };
    let from = before.rfind('\n').map_or(0, |n| n + 1);
    let from = if before[from..].trim().is_empty() { from } else { start };
    let to = text[end..].find('\n').map_or(text.len(), |n| end + n + 1);
    let to = if text[end..to].trim().is_empty() { to } else { end };
    Loc { file: stmt.file, span: Span::new(from, to) }
}

/// Finds the entries of an item that no connection reaches.
pub(super) fn item(item: &mut Item<'_>) {
    if !item.judged.complete {
        return;
    }
    let judged = &item.judged;
    // What never holds is said by itself.
    let dead = |n: &usize| judged.taken[*n].is_none() && judged.holds[*n].is_some();
    let dead: Vec<usize> = (0..item.rules.entries.len()).filter(dead).collect();
    let mut out = Vec::new();
    for n in super::g1013::outermost(item, &dead) {
        let Some(witness) = &judged.holds[n] else { continue };
        let entry = &item.rules.entries[n];
        // Replayed: somebody else takes it.
        let Some(taker) = item.rules.decide(&witness.facts()).filter(|e| !std::ptr::eq(*e, entry)) else { continue };
        let shown = item.source(entry.loc);
        let who = match judged.taker[n] {
            Some(_) => format!("`{}` on {} takes every connection first", item.source(taker.loc), item.line(taker.loc)),
            None => "the lines before it take every connection first".to_owned(),
        };
        let stmt = item.info.entries[n].stmt;
        let edit = Edit { loc: whole_lines(item.text, stmt), text: String::new(), safe: false };
        let d = Diagnostic::error("G2001", entry.loc, format!("`{shown}` is never reached: {who}"))
            .witness(item.describe(witness))
            .label(taker.loc, "takes its connections");
        out.push(if stmt.file == item.head.file { d.help("remove it", "", Some(edit)) } else { d });
    }
    item.out.append(&mut out);
}
