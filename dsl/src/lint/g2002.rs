//! ## What
//!
//! Two routes claim the same request, and neither is more specific.
//!
//! ## Why
//!
//! Which one answers would be a matter of the language's tie order, which nobody remembers (rule 8).
//!
//! ## Wrong
//!
//! ```route
//! pool teams = 10.0.0.1:80
//! pool admin = 10.0.0.2:80
//!
//! site a.example.com {
//!     /{team}/settings -> teams
//!     /admin/{page} -> admin
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool teams = 10.0.0.1:80
//! pool admin = 10.0.0.2:80
//!
//! site a.example.com {
//!     /{team}/settings -> teams
//!     /admin/{page} -> admin
//!     /admin/settings -> admin
//!     else -> respond 404
//! }
//! ```

use super::show;
use super::solve::Sat;
use super::world::{At, MANY, World};
use crate::check::cond::and;
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{PathPattern, Plan, PlanIdx, Segment, Step, Target};
use crate::tree::request::Plain;

/// Finds pairs of routes of one scope that overlap without inclusion and lead to different outcomes.
pub(super) fn run(w: &mut World<'_>) {
    for a in w.entries() {
        // Of two literal patterns, one holds the other or they are apart.
        if w.entry(a).pattern.segments.iter().all(|s| matches!(s, Segment::Lit(_))) {
            continue;
        }
        let near = w.near(a.scope, &w.entry(a).pattern);
        // Who quarrels with thousands is told of one.
        let many = near.len() > MANY * 8;
        for b in near {
            let captures = w.entry(b).pattern.segments.iter().any(|s| matches!(s, Segment::Capture { .. }));
            if b == a || (captures && b.entry < a.entry) {
                continue;
            }
            if pair(w, a, b) && many {
                break;
            }
        }
    }
}

/// Reports two entries that claim one request; whether they do.
fn pair(w: &mut World<'_>, a: At, b: At) -> bool {
    let (p, q) = (&w.entry(a).pattern, &w.entry(b).pattern);
    if p == q || !matches!(w.paths.path_inside(p, q), Ok(false)) || !matches!(w.paths.path_inside(q, p), Ok(false)) {
        return false;
    }
    let Ok(Some(example)) = w.paths.path_overlap(p, q) else { return false };
    if same_outcome(w, a, b) {
        return false;
    }
    let guards = and(vec![w.entered(a.scope), w.entry(a).guard.clone(), w.entry(b).guard.clone()]);
    // Whoever takes requests before both is no part of the quarrel.
    let mut elders = Vec::new();
    for other in w.near(a.scope, p) {
        if other != a && other != b && w.before(other, a) && w.before(other, b) {
            elders.push(other);
        }
    }
    let mut paths = vec![example];
    if p.splat && q.splat {
        paths.push(format!("{}/x", paths[0].trim_end_matches('/')));
    }
    for path in paths {
        let Sat::Yes(request) = w.request(&path, &guards, &elders) else { continue };
        let Some(plan) = w.decide(&request, w.entry(a).loc) else { continue };
        if let Some(winner) = winner(w, a, b, plan) {
            report(w, a, b, winner, &request);
            return true;
        }
    }
    // None comes to mind: whether there is one at all.
    let Some(request) = quarrel(w, a, b, &elders) else { return false };
    let Some(plan) = w.decide(&request, w.entry(a).loc) else { return false };
    let Some(winner) = winner(w, a, b, plan) else { return false };
    report(w, a, b, winner, &request);
    true
}

fn winner(w: &World<'_>, a: At, b: At, plan: PlanIdx) -> Option<At> {
    [a, b].into_iter().find(|at| w.leads_to(*at, plan))
}

/// A request that both of two entries claim, that comes to one of them, and that nobody before both takes.
fn quarrel(w: &mut World<'_>, a: At, b: At, elders: &[At]) -> Option<Plain> {
    // The paths of the one that fewer routes share.
    let view = w.view(&w.entry(a).pattern)?;
    let both = w.claims(&view, a).and_then(|claims| claims.intersect(&w.claims(&view, b)?)).ok()?;
    let mut region = view.space().nothing();
    for at in [a, b] {
        if let Some(taken) = view.taken(at) {
            region = region.union(&taken.intersect(&both).ok()?).ok()?;
        }
    }
    for elder in elders {
        region = region.minus(&w.claims(&view, *elder).ok()?).ok()?;
    }
    region.witness(0)
}

/// What two patterns share, where a pattern can say it.
fn intersection(p: &PathPattern, q: &PathPattern) -> Option<PathPattern> {
    let (short, long) = if p.segments.len() <= q.segments.len() { (p, q) } else { (q, p) };
    let mut segments = Vec::new();
    for (at, segment) in long.segments.iter().enumerate() {
        segments.push(match (short.segments.get(at), segment) {
            (None, s) => s.clone(),
            (Some(lit @ Segment::Lit(_)), _) | (_, lit @ Segment::Lit(_)) => lit.clone(),
            (Some(a), b) if a == b || *b == Segment::any() => a.clone(),
            (Some(a), b) if *a == Segment::any() => b.clone(),
            (Some(_), _) => return None,
        });
    }
    Some(PathPattern { segments, splat: p.splat && q.splat })
}

/// Whether two entries lead to plans that do the same.
fn same_outcome(w: &World<'_>, a: At, b: At) -> bool {
    let (Target::Plan(a), Target::Plan(b)) = (w.entry(a).target, w.entry(b).target) else { return false };
    same(w, a, b)
}

/// Whether two plans do the same, under the same policies.
pub(super) fn same(w: &World<'_>, a: PlanIdx, b: PlanIdx) -> bool {
    // Of a broken answer nobody knows where it leads.
    if w.info.broken.contains(&a.0) || w.info.broken.contains(&b.0) {
        return true;
    }
    let plan = |p: PlanIdx| &w.site.plans[p.0 as usize];
    plan(a).answer == plan(b).answer && plan(a).settings == plan(b).settings && same_policies(plan(a), plan(b))
}

fn same_policies(a: &Plan, b: &Plan) -> bool {
    let places = |p: &Plan| {
        let steps = p.steps.iter().map(|s| match s {
            Step::Require { loc, .. } => *loc,
            Step::Header(edit) => edit.loc,
            Step::Limit(limit) => limit.loc,
            Step::Session(session) => session.loc,
        });
        steps.chain(p.catches.iter().map(|c| c.loc)).collect::<Vec<_>>()
    };
    places(a) == places(b)
}

fn report(w: &mut World<'_>, a: At, b: At, winner: At, request: &Plain) {
    let (first, second) = if a.entry < b.entry { (a, b) } else { (b, a) };
    let (p, q) = (w.shown(first), w.shown(second));
    if let Some((x, y)) = super::g2003::types(w, first, second) {
        let said = format!("`{p}` and `{q}` both match `{}`: of `{x}` and `{y}` neither lies in the other", request.path);
        let d = Diagnostic::error("G2003", w.entry(second).loc, said)
            .label(w.entry(first).loc, "matches it too")
            .note(format!("{} would win", w.line(w.entry(winner).loc)))
            .witness(w.describe(request))
            .help("make the types disjoint, or one of them a part of the other", "", None);
        w.out.push(d);
        return;
    }
    let mut d = Diagnostic::error("G2002", w.entry(second).loc, format!("two routes claim the same request: `{p}` and `{q}`"))
        .label(w.entry(first).loc, "claims it too")
        .note(format!("{} would win", w.line(w.entry(winner).loc)))
        .witness(w.describe(request));
    let info = w.entry_info(winner);
    let body = w.source(info.body);
    let pattern = intersection(&w.entry(a).pattern, &w.entry(b).pattern);
    let route = match (&pattern, body.starts_with('{')) {
        (Some(both), false) if !body.is_empty() && !body.contains('{') => Some(format!("{} -> {body}", show::path(both))),
        _ => None,
    };
    match route {
        Some(route) => {
            let stmt = w.entry_info(second).stmt;
            let edit = w.indent(stmt).map(|indent| {
                let end = stmt.span.end as usize;
                let text = format!("\n{indent}{route}");
                Edit { loc: Loc { file: stmt.file, span: Span::new(end, end) }, text, safe: true }
            });
            d = d.help("say which one you mean", route, edit);
        }
        None => d = d.help("say which one you mean, with a route for what both match", "", None),
    }
    w.out.push(d);
}
