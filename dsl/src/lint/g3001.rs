//! ## What
//!
//! A request inside a protected block's path is answered outside the block.
//!
//! ## Why
//!
//! What the block requires is not asked of it. A block with `require`, `limit` or the removal of a header is protected; every request of its pattern belongs inside, those that its own condition lets past included (rule 3).
//!
//! ## Wrong
//!
//! ```route
//! import std/auth
//!
//! pool admin = 10.0.0.1:80
//! pool login = 10.0.0.2:80
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.only-from([10.0.0.0/8])
//!         else -> admin
//!     }
//!     /admin/login -> login
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! import std/auth
//!
//! pool admin = 10.0.0.1:80
//! pool login = 10.0.0.2:80
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.only-from([10.0.0.0/8])
//!         ./login without auth.only-from -> login
//!         else -> admin
//!     }
//!     else -> respond 404
//! }
//! ```

use super::show;
use super::solve::Sat;
use super::world::{At, World};
use crate::check::Protector;
use crate::check::cond::and;
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Answer, Cond, PathPattern, PlanIdx};
use crate::tree::request::Plain;

/// Looks past every protected block.
pub(super) fn run(w: &mut World<'_>) {
    for scope in 1..w.site.scopes.len() {
        // A pathless block has no path of its own to protect: `when method is POST { require … }`.
        let pathless = w.leads[scope].is_some_and(|lead| w.entry(lead).pathless);
        if pathless || w.info.scopes[scope].protectors.is_empty() {
            continue;
        }
        for lead in w.chain(scope) {
            for other in w.near(lead.scope, &w.site.scopes[scope].pattern) {
                if other != lead {
                    past(w, scope, lead, other);
                }
            }
        }
    }
}

/// Reports requests of a block's pattern that another route takes without what protects the block.
fn past(w: &mut World<'_>, scope: usize, lead: At, other: At) {
    let block = &w.site.scopes[scope];
    let Ok(Some(example)) = w.paths.path_overlap(&w.entry(other).pattern, &block.pattern) else { return };
    if unasked(w, scope, &w.plans(other)).is_empty() {
        return;
    }
    let first = w.before(other, lead);
    if !first && w.entry(lead).guard == Cond::Const(true) {
        // The block takes everything on its paths, and this route is asked after it.
        return;
    }
    let guard = and(vec![w.entered(other.scope), w.entry(other).guard.clone()]);
    let mut elders = w.elders(other);
    elders.retain(|e| *e != lead);
    if !first {
        // It is asked after the block: only what the block's own condition lets past comes to it.
        elders.push(lead);
    }
    let mut paths = vec![example];
    if w.entry(other).pattern.splat && block.pattern.splat {
        let stem = paths[0].trim_end_matches('/').to_owned();
        paths.push(format!("{stem}/x"));
    }
    for path in paths {
        let Sat::Yes(request) = w.request(&path, &guard, &elders) else { continue };
        let Some(plan) = w.decide(&request, w.entry(other).loc) else { continue };
        let missing = unasked(w, scope, &[plan]);
        let counts = first || !harmless(w, plan);
        if w.leads_to(other, plan) && block.pattern.matches(&request.path) && counts && !missing.is_empty() {
            report(w, scope, lead, other, first, &missing, &request);
            return;
        }
    }
    // None comes to mind: whether there is one at all.
    let Some(view) = w.view(&block.pattern) else { return };
    let Ok(within) = view.space().of_pattern(&block.pattern) else { return };
    let Some(Ok(taken)) = view.taken(other).map(|taken| taken.intersect(&within)) else { return };
    let Ok(plans) = w.plans_reached(&view, other, &taken) else { return };
    for plan in plans {
        let missing = unasked(w, scope, &[plan]);
        if missing.is_empty() || (!first && harmless(w, plan)) {
            continue;
        }
        let Some(Ok(region)) = view.reached.plan(plan).map(|region| region.intersect(&taken)) else { continue };
        if let Some(request) = w.shown_by(&region, |_, to| to == plan) {
            report(w, scope, lead, other, first, &missing, &request);
            return;
        }
    }
}

/// The block's own protectors that not all of some plans have. A login is what who lacks them needs: nobody gets past
/// by it.
fn unasked(w: &World<'_>, scope: usize, plans: &[PlanIdx]) -> Vec<Protector> {
    let visits = |plan: &&PlanIdx| matches!(w.site.plans[plan.0 as usize].answer, Answer::Visit { .. });
    let asked = |p: &Protector| {
        plans.iter().filter(|plan| !visits(plan)).all(|plan| w.info.protectors[plan.0 as usize].iter().any(|q| q.key == p.key))
    };
    w.info.scopes[scope].protectors.iter().filter(|p| !asked(p)).cloned().collect()
}

/// Whether a plan refuses.
pub(super) fn harmless(w: &World<'_>, plan: PlanIdx) -> bool {
    match &w.site.plans[plan.0 as usize].answer {
        Answer::Relay { .. } | Answer::Deny { .. } | Answer::Visit { .. } => true,
        Answer::NotFound => !w.info.broken.contains(&plan.0),
        Answer::Respond { status, .. } | Answer::RespondFile { status, .. } => *status >= 400,
        Answer::Redirect { .. } | Answer::Files { .. } | Answer::Proxy { .. } => false,
    }
}

fn report(w: &mut World<'_>, scope: usize, lead: At, other: At, first: bool, missing: &[Protector], request: &Plain) {
    let block = &w.site.scopes[scope];
    let (entry, base) = (w.entry(other), show::path(&block.pattern));
    let names = names(missing);
    let head = w.entry(*w.chain(scope).last().unwrap_or(&lead));
    if !first {
        let lost = format!("requests that `{base}` lets past go to {} without {names}", w.line(entry.loc));
        let mut d = Diagnostic::error("G3001", head.loc, lost)
            .label(entry.loc, "answers them")
            .label(missing[0].loc, "does not apply to them")
            .witness(w.describe(request));
        d = into_require(w, lead, d);
        w.out.push(d);
        return;
    }
    let shown = w.shown(other);
    let mut d = Diagnostic::error(
        "G3001",
        entry.loc,
        format!("`{shown}` lies inside `{base}` but outside its block, so {names} does not apply"),
    )
    .label(missing[0].loc, "does not apply")
    .witness(w.describe(request));
    if entry.pattern.segments.len() < block.pattern.segments.len() || entry.pathless {
        d = d.help("move what lies inside the block's path into the block", "", None);
        w.out.push(d);
        return;
    }
    let rest = PathPattern { segments: entry.pattern.segments[block.pattern.segments.len()..].to_vec(), splat: entry.pattern.splat };
    let mut without: Vec<&str> = missing.iter().filter(|p| p.used).map(|p| p.name.as_str()).collect();
    without.dedup();
    let info = w.entry_info(other);
    let written = info.pattern.map(|p| w.source(p)).unwrap_or_default();
    let relative = written
        .match_indices('/')
        .nth(block.pattern.segments.len())
        .map(|(at, _)| format!(".{}", &written[at..]))
        .filter(|_| written.starts_with('/'))
        .unwrap_or_else(|| format!(".{}", show::path(&rest)));
    let tail = info.pattern.map_or("", |p| {
        let end = info.stmt.span.end as usize;
        w.text.get(p.span.end as usize..end).filter(|_| !w.source(info.stmt).is_empty()).unwrap_or("")
    });
    let out = if entry.pattern.is_literal() && !without.is_empty() && missing.iter().all(|p| p.used) {
        format!("{relative} without {}", without.join(" without "))
    } else {
        relative
    };
    let paste = format!("{out} {}", tail.trim_start());
    let edit = moved(w, info.stmt, w.info.scopes[scope].block, &paste);
    d = d.help("move it into the block", paste, edit);
    w.out.push(d);
}

/// `auth.session`, or the statements that stand in the block itself.
fn names(missing: &[Protector]) -> String {
    let mut all: Vec<String> = missing
        .iter()
        .map(|p| if p.used { format!("`{}`", p.name) } else { format!("its `{}`", p.name) })
        .collect();
    all.dedup();
    all.join(", ")
}

/// One edit that takes a statement away and puts a line before a block's closing brace.
fn moved(w: &World<'_>, stmt: Loc, block: Loc, line: &str) -> Option<Edit> {
    if w.source(stmt).is_empty() || !w.source(block).ends_with('}') || stmt.file != block.file {
        return None;
    }
    let text = w.text;
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |n| n + 1);
    let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |n| at + n + 1);
    let (from, to) = (line_start(stmt.span.start as usize), line_end(stmt.span.end as usize));
    let whole = text[from..stmt.span.start as usize].trim().is_empty() && text[stmt.span.end as usize..to].trim().is_empty();
    let brace = line_start(block.span.end as usize - 1);
    let indent = &text[brace..block.span.end as usize - 1];
    if !whole || !indent.trim().is_empty() {
        return None;
    }
    let added = format!("{indent}    {line}\n");
    let (range, text) = if from >= brace {
        (brace..to, format!("{added}{}", &text[brace..from]))
    } else {
        (from..brace, format!("{}{added}", &text[to..brace]))
    };
    Some(Edit { loc: Loc { file: stmt.file, span: Span::new(range.start, range.end) }, text, safe: true })
}

/// The condition of a block as its first `require`.
pub(super) fn into_require(w: &World<'_>, lead: At, d: Diagnostic) -> Diagnostic {
    let info = w.entry_info(lead);
    let start = info.pattern.map_or(info.stmt.span.start, |p| p.span.end) as usize;
    let head = w.text.get(start..info.body.span.start as usize).unwrap_or("");
    let Some(cond) = head.trim().strip_prefix("when ").filter(|_| !w.source(info.stmt).is_empty()) else {
        return d.help("put the condition inside the block as a `require`", "", None);
    };
    let cond = cond.trim();
    let line = w.text[..info.stmt.span.start as usize].rfind('\n').map_or(0, |n| n + 1);
    let indent: String = w.text[line..].chars().take_while(|c| *c == ' ' || *c == '\t').collect();
    let paste = format!("require {cond} else deny");
    let head_loc = Loc { file: info.stmt.file, span: Span::new(start, info.body.span.start as usize + 1) };
    let edit = info.pattern.is_some().then(|| Edit {
        loc: head_loc,
        text: format!(" {{\n{indent}    {paste}"),
        safe: true,
    });
    d.help("put the condition inside the block", paste, edit)
}
