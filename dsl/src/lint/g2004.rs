//! ## What
//!
//! A condition, or a part of one, that is never asked: routes before it take every request that fulfils it.
//!
//! ## Why
//!
//! Conditions on one path are read from top to bottom, so what a wider one above has taken never comes down to a narrower one. Its route is dead, and its author does not know. Of a part (a value of a list, a side of an `or`) it is a warning.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//! pool beta = 10.0.0.2:80
//!
//! site a.example.com {
//!     /x when method in [GET, HEAD] -> web
//!     /x when method is GET and header.beta is "1" -> beta
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web = 10.0.0.1:80
//! pool beta = 10.0.0.2:80
//!
//! site a.example.com {
//!     /x when method is GET and header.beta is "1" -> beta
//!     /x when method in [GET, HEAD] -> web
//!     else -> respond 404
//! }
//! ```

use super::view::{View, alternatives};
use super::world::{At, World};
use crate::diagnostic::Diagnostic;
use crate::region::space::Region;

/// Finds the parts of conditions that are never asked, of routes that are reached. Those of dead
/// routes are found with the routes.
pub(super) fn run(w: &mut World<'_>) {
    for at in w.entries() {
        let entry = w.entry(at);
        let parts = alternatives(&entry.guard);
        // What a policy was given is no matter of whoever wrote the policy.
        if parts.is_empty() || w.source(w.entry_info(at).stmt).is_empty() {
            continue;
        }
        let parts: Vec<_> = parts.into_iter().filter(|(_, cond)| !w.plainly_takes(at, cond)).collect();
        if parts.is_empty() {
            continue;
        }
        let Some(view) = w.view(&entry.pattern) else { continue };
        let Some(taken) = view.taken(at) else { continue };
        let Ok(claims) = w.claims(&view, at) else { continue };
        for (name, cond) in parts {
            let Ok(part) = view.space().of_cond(0, &cond) else { continue };
            let (Ok(claimed), Ok(taken)) = (part.intersect(&claims), part.intersect(taken)) else { continue };
            if !claimed.is_empty() && taken.is_empty() {
                part_is_dead(w, &view, at, &name, &claimed);
            }
        }
    }
}

/// Reports a part of a condition, by a request that fulfils it and that somebody else takes; as possible where
/// none can be shown.
fn part_is_dead(w: &mut World<'_>, view: &View, at: At, name: &str, claimed: &Region) {
    let entry = w.entry(at);
    let name = w.named(at, name);
    let Ok(asked) = claimed.minus(&view.reached.conflicts) else { return };
    if asked.is_empty() {
        let said = format!("`{name}` is never asked here: every request that fulfils it repeats a field with another value, and gets 400");
        let d = Diagnostic::warning("G2004", entry.loc, said);
        w.out.push(match claimed.witness(0) {
            Some(request) => d.witness(w.describe(&request)),
            None => d.possibly(&claimed.opaque()),
        });
        return;
    }
    let Some(request) = asked.witness(0) else {
        let said = format!("`{name}` is never asked here: routes before it take every request that fulfils it");
        w.out.push(Diagnostic::warning("G2004", entry.loc, said).possibly(&asked.opaque()));
        return;
    };
    let Some(plan) = w.decide(&request, entry.loc) else { return };
    if w.leads_to(at, plan) {
        return;
    }
    let taker = w.elders(at).into_iter().find(|elder| w.leads_to(*elder, plan));
    let who = taker.map_or_else(|| "routes before it".to_owned(), |t| w.line(w.entry(t).loc));
    let verb = if taker.is_some() { "takes" } else { "take" };
    let said = format!("`{name}` is never asked here: {who} already {verb} every request that fulfils it");
    let mut d = Diagnostic::warning("G2004", entry.loc, said).witness(w.describe(&request));
    if let Some(taker) = taker {
        d = d.label(w.entry(taker).loc, "takes its requests");
    }
    w.out.push(d);
}
