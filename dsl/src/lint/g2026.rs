//! ## What
//!
//! A pool is reached by an exact path, and nothing below it is.
//!
//! ## Why
//!
//! `/api -> api` takes `/api` and `/api/` alone; most people mean the prefix (rule 14).
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//! pool api = 10.0.0.2:80
//!
//! site a.example.com {
//!     /api -> api
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

use super::show;
use super::solve::{Sat, describe};
use super::world::{At, World};
use crate::diagnostic::{Diagnostic, Edit};
use crate::tree::ir::{Answer, PathPattern, Segment, Target};

/// Looks at literal paths that lead to a pool as they are.
pub(super) fn run(w: &mut World<'_>) {
    for at in w.entries() {
        let entry = w.entry(at);
        let literal = !entry.pathless && !entry.pattern.splat && !entry.pattern.segments.is_empty();
        let Some(Segment::Lit(last)) = entry.pattern.segments.last().filter(|_| literal) else { continue };
        // `/favicon.ico` is a file, not a prefix.
        if last.contains('.') || !entry.pattern.is_literal() {
            continue;
        }
        let Target::Plan(plan) = entry.target else { continue };
        let Answer::Proxy { to, at: None, .. } = &w.site.plans[plan.0 as usize].answer else { continue };
        // `without` takes one path and nothing more.
        if w.entry_info(at).without {
            continue;
        }
        let sibling = w.near(at.scope, &entry.pattern).into_iter().any(|other| {
            let e = w.entry(other);
            // It is singled out of an exact pattern.
            let out_of = other != at && !e.pattern.splat && e.pattern.segments.len() == entry.pattern.segments.len();
            // What is below it is named too, or goes to the same pool anyway.
            out_of || (e.pattern.splat && e.pattern.segments == entry.pattern.segments)
                || (e.pattern.splat && matches!(e.target, Target::Plan(p)
                    if matches!(&w.site.plans[p.0 as usize].answer, Answer::Proxy { to: other, .. } if other == to)))
        });
        let below = below_of(&entry.pattern);
        let below = w.near(at.scope, &below).into_iter().any(|other| {
            w.entry(other).pattern.segments.len() > entry.pattern.segments.len()
        });
        if sibling || below {
            continue;
        }
        let shown = show::path(&entry.pattern);
        let path = format!("{shown}/x");
        let Sat::Yes(request) = w.request(&path, &entry.guard, &[]) else { continue };
        let Some(plan) = w.decide(&request, entry.loc) else { continue };
        let walled = |other: &At| matches!(w.entry(*other).target, Target::Scope(_)) && w.leads_to(*other, plan);
        // What is below it has a block of its own.
        if w.leads_to(at, plan) || w.near(at.scope, &below_of(&entry.pattern)).iter().any(walled) {
            continue;
        }
        let mut d = Diagnostic::warning("G2026", entry.loc, format!("`{shown}` is this one path; nothing below it goes to its pool"))
            .witness(describe(&request));
        let written = w.entry_info(at).pattern;
        let edit = written.filter(|p| !w.source(*p).is_empty()).map(|p| Edit {
            loc: p,
            text: format!("{}/*", w.source(p).trim_end_matches('/')),
            safe: false,
        });
        let paste = edit.as_ref().map_or_else(|| format!("{shown}/*"), |e| e.text.clone());
        d = d.help("if everything below it is meant, write", paste, edit);
        w.out.push(d);
    }
}

/// A path and everything below it.
fn below_of(pattern: &PathPattern) -> PathPattern {
    PathPattern { splat: true, ..pattern.clone() }
}
