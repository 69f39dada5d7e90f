//! The reference interpreter: the semantics of [`ir`](super::ir), walked as it is written there.
//!
//! It is slow and plain, and nothing serves from it: fuzzing and the checks at load compare the
//! program with it.

use super::asking::Known;
use super::calls::Calls;
use super::eval;
use super::fields;
use super::ir::{Cond, Entry, Field, PlanIdx, ScopeIdx, Site, Target};
use super::order::order;
use super::program::Decision;
use super::request::Request;
use crate::region::Algebra;

/// Decides a request.
///
/// The *chain* of a path: the candidates of the site's scope in their order, up to and including the
/// first without a condition, each block followed by the chain of its own scope. A header, cookie or
/// query field that a condition of the chain names (`has` excepted) and that arrived with several
/// values is a conflict, whether or not its candidate would have been asked.
pub fn interpret(site: &Site, req: &impl Request) -> Decision {
    interpret_with(site, req, &mut Algebra::paths())
}

/// The same, for many requests: inclusions are decided once.
pub(super) fn interpret_with(site: &Site, req: &impl Request, algebra: &mut Algebra) -> Decision {
    interpret_near(site, req, algebra, &|_| None)
}

/// The same, for many requests to a large site: `near` names entries of a scope, in source order, among
/// which are all that match the request's path; `None` for all of them.
pub(crate) fn interpret_near(site: &Site, req: &impl Request, algebra: &mut Algebra, near: &Near<'_>) -> Decision {
    let mut strict = Vec::new();
    name_fields(site, ScopeIdx(0), req.path(), algebra, near, &mut strict);
    match strict.into_iter().find(|field| eval::conflicting(field, req)) {
        Some(field) => Decision::Conflict(field),
        None => Decision::Plan(
            walk(site, req, algebra, near, &mut Known::default()).unwrap_or_else(|scope| miss(site, scope)),
        ),
    }
}

/// Entries of a scope among which those are that match a path.
type Near<'n> = dyn Fn(ScopeIdx) -> Option<Vec<usize>> + 'n;

/// The plan; or the scope of the guard that reads a call at which the walk stops.
fn walk(
    site: &Site,
    req: &impl Request,
    algebra: &mut Algebra,
    near: &Near<'_>,
    known: &mut Known,
) -> Result<PlanIdx, ScopeIdx> {
    let mut scope = ScopeIdx(0);
    'scopes: loop {
        for entry in candidates_near(site, scope, req.path(), algebra, near) {
            match (known.holds(&entry.guard, req).ok_or(scope)?, entry.target) {
                (false, _) => {}
                (true, Target::Plan(plan)) => return Ok(plan),
                (true, Target::Scope(inner)) => {
                    scope = inner;
                    continue 'scopes;
                }
            }
        }
        return Ok(miss(site, scope));
    }
}

fn miss(site: &Site, scope: ScopeIdx) -> PlanIdx {
    site.scopes[scope.0 as usize].miss
}

/// For a request whose decision stops at a call: the scope of the guard that reads it, and which calls guards
/// read before it.
pub(super) fn stops_in(site: &Site, req: &impl Request) -> (ScopeIdx, Known) {
    let mut known = Known::default();
    let scope = walk(site, req, &mut Algebra::paths(), &|_| None, &mut known).err();
    req.calls().and_then(Calls::stopped); // It was told of before.
    (scope.unwrap_or(ScopeIdx(0)), known)
}

fn name_fields(
    site: &Site,
    scope: ScopeIdx,
    path: &str,
    algebra: &mut Algebra,
    near: &Near<'_>,
    into: &mut Vec<Field>,
) {
    for entry in candidates_near(site, scope, path, algebra, near) {
        fields::strict_fields(&entry.guard, into);
        match entry.target {
            Target::Plan(_) => {}
            Target::Scope(inner) => name_fields(site, inner, path, algebra, near, into),
        }
        if entry.guard == Cond::Const(true) {
            return;
        }
    }
}

/// The entries of a scope whose pattern matches the path, in their order. The compiler refuses a site
/// whose order cannot be decided; of one that it never saw, the source order is as good as any.
pub(crate) fn candidates<'s>(site: &'s Site, scope: ScopeIdx, path: &str, algebra: &mut Algebra) -> Vec<&'s Entry> {
    candidates_near(site, scope, path, algebra, &|_| None)
}

fn candidates_near<'s>(
    site: &'s Site,
    scope: ScopeIdx,
    path: &str,
    algebra: &mut Algebra,
    near: &Near<'_>,
) -> Vec<&'s Entry> {
    let all = &site.scopes[scope.0 as usize].entries;
    let matches = |entry: &&Entry| entry.pattern.matches(path);
    let matching: Vec<&Entry> = match near(scope) {
        Some(near) => near.into_iter().map(|at| &all[at]).filter(matches).collect(),
        None => all.iter().filter(matches).collect(),
    };
    let patterns: Vec<_> = matching.iter().map(|entry| &entry.pattern).collect();
    match order(&patterns, algebra) {
        Ok(order) => order.into_iter().map(|at| matching[at]).collect(),
        Err(_) => matching,
    }
}
