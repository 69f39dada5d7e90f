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
use super::solve::Sat;
use super::world::{At, MANY, World};
use crate::check::cond::and;
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::region::space::Region;
use crate::tree::ir::{Cond, Target};
use crate::tree::request::Plain;
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

/// The entries that together take every request of this one; `None` when it lives, when its condition
/// never holds, or when nobody knows.
fn dead(w: &mut World<'_>, at: At) -> Option<Vec<At>> {
    let view = w.view(&w.entry(at).pattern)?;
    if view.taken(at).is_some() {
        return None;
    }
    let mut rest = w.claims(&view, at).and_then(|own| own.minus(&view.reached.conflicts)).ok()?;
    if rest.is_empty() {
        return None;
    }
    let mut elders = Vec::new();
    for elder in w.elders(at) {
        elders.push((elder, w.claims(&view, elder).ok()?));
    }
    for (elder, claims) in &elders {
        if rest.is_inside(claims).ok()? {
            return Some(vec![*elder]);
        }
    }
    let own = rest.clone();
    let mut culprits: Vec<(At, Region)> = Vec::new();
    for (elder, claims) in elders {
        let left = rest.minus(&claims).ok()?;
        if left.boxes() != rest.boxes() || !rest.is_inside(&left).ok()? {
            culprits.push((elder, claims));
        }
        rest = left;
    }
    // Nobody takes what is left, and yet it does not come here: better nothing is said.
    if !rest.is_empty() {
        return None;
    }
    least(&own, culprits)
}

/// Drops the culprits that are not needed.
fn least(own: &Region, mut culprits: Vec<(At, Region)>) -> Option<Vec<At>> {
    let mut n = 0;
    while n < culprits.len() && culprits.len() <= MANY {
        let others = culprits.iter().enumerate().filter(|(at, _)| *at != n);
        let mut rest = own.clone();
        for (_, (_, claims)) in others {
            rest = rest.minus(claims).ok()?;
        }
        if rest.is_empty() {
            culprits.remove(n);
        } else {
            n += 1;
        }
    }
    Some(culprits.into_iter().map(|(at, _)| at).collect())
}

fn report(w: &mut World<'_>, at: At, culprits: &[At]) {
    let entry = w.entry(at);
    if let [one] = culprits
        && super::g2018::differ_by_slash(w, *one, at)
    {
        return; // Said so.
    }
    let shown = w.shown(at);
    let witness = witness(w, at);
    // The witness is taken by somebody else: replayed, or nothing is said.
    if let Some(witness) = &witness {
        let Some(plan) = w.decide(witness, entry.loc) else { return };
        if w.leads_to(at, plan) {
            return;
        }
    }
    let first = match culprits {
        [one] => format!("`{}` on {}", w.shown(*one), w.line(w.entry(*one).loc)),
        _ => "the routes before it".to_owned(),
    };
    let takes = if culprits.len() == 1 { "takes" } else { "take" };
    // A condition that the ones before it leave nothing is one thing, a route behind a wall another.
    let asked = entry.guard != Cond::Const(true) && culprits.iter().any(|c| w.entry(*c).guard != Cond::Const(true));
    let mut d = if asked {
        let said = format!("this condition is never asked: {first} {takes} every request that fulfils it");
        Diagnostic::error("G2004", place(w, at), said)
    } else {
        Diagnostic::error("G2001", place(w, at), format!("`{shown}` is never reached: {first} {takes} every request first"))
    };
    d = match &witness {
        Some(witness) => d.witness(w.describe(witness)),
        // What each of the conditions says is as good as unknown, yet they are the same for both.
        None => d.possibly(&opaque(w, at)),
    };
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

/// A request that would be the entry's if nobody were asked before it.
fn witness(w: &mut World<'_>, at: At) -> Option<Plain> {
    let entry = w.entry(at);
    let guard = and(vec![w.entered(at.scope), entry.guard.clone()]);
    if let Some(path) = w.example(&entry.pattern)
        && let Sat::Yes(request) = w.request(&path, &guard, &[])
    {
        return Some(*request);
    }
    claimed(w, at)?.witness(0)
}

/// The conditions that a route's requests depend on and that the analysis cannot see into.
fn opaque(w: &mut World<'_>, at: At) -> Vec<String> {
    claimed(w, at).map(|region| region.opaque()).unwrap_or_default()
}

/// The requests that would be an entry's if nobody were asked before it.
fn claimed(w: &mut World<'_>, at: At) -> Option<Region> {
    let view = w.view(&w.entry(at).pattern)?;
    w.claims(&view, at).ok()?.minus(&view.reached.conflicts).ok()
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
