//! ## What
//!
//! Two routes that differ only by a slash at the end.
//!
//! ## Why
//!
//! A trailing slash does not distinguish: `/blog` and `/blog/` are one path pattern, so that the second route is never reached, or shares its requests with the first.
//!
//! ## Wrong
//!
//! ```route
//! pool blog = 10.0.0.1:80
//! pool old = 10.0.0.2:80
//!
//! site a.example.com {
//!     /blog  -> blog
//!     /blog/ -> old
//!     else   -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool blog = 10.0.0.1:80
//!
//! site a.example.com {
//!     /blog/* -> blog
//!     else    -> respond 404
//! }
//! ```

use super::world::{At, World};
use crate::diagnostic::{Diagnostic, Edit};
use crate::tree::ir::PathPattern;
use std::collections::HashMap;

/// Finds routes of a scope whose patterns are the same but for a slash as they are written.
pub(super) fn run(w: &mut World<'_>) {
    let mut first: HashMap<(usize, &PathPattern), At> = HashMap::new();
    for at in w.entries() {
        let pattern = &w.entry(at).pattern;
        if pattern.splat || pattern.segments.is_empty() {
            continue;
        }
        match first.get(&(at.scope, pattern)) {
            None => {
                first.insert((at.scope, pattern), at);
            }
            Some(before) if differ_by_slash(w, *before, at) => report(w, *before, at),
            Some(_) => {}
        }
    }
}

/// Whether two entries are written alike but for a slash at the end of one.
pub(super) fn differ_by_slash(w: &World<'_>, a: At, b: At) -> bool {
    let written = |at: At| w.entry_info(at).pattern.map(|p| w.source(p)).filter(|text| !text.is_empty());
    let (Some(a), Some(b)) = (written(a), written(b)) else { return false };
    a.ends_with('/') != b.ends_with('/') && a.trim_end_matches('/') == b.trim_end_matches('/')
}

fn report(w: &mut World<'_>, before: At, at: At) {
    let entry = w.entry(at);
    let (a, b) = (w.shown(before), w.shown(at));
    let said = format!("`{b}` is the same route as `{a}` on {}: a trailing slash does not distinguish", w.line(w.entry(before).loc));
    let mut d = Diagnostic::warning("G2018", entry.loc, said).label(w.entry(before).loc, "the same route");
    if let Some(path) = w.example(&entry.pattern)
        && let super::solve::Sat::Yes(request) = w.request(&path, &entry.guard, &[])
        && w.decide(&request, entry.loc).is_some()
    {
        d = d.witness(w.describe(&request));
    }
    let place = w.entry_info(at).pattern.unwrap_or(entry.loc);
    let stmt = w.entry_info(at).stmt;
    let lives = w.view(&entry.pattern).is_some_and(|view| view.taken(at).is_some());
    d = if lives {
        // Only the spelling changes; what it means stays as it is.
        d.help("write both alike", a.clone(), Some(Edit { loc: place, text: a, safe: true }))
    } else {
        // Nothing comes to it: that it goes changes nothing.
        let edit = Edit { loc: super::g2001::whole_lines(w.text, stmt), text: String::new(), safe: true };
        d.help("remove it: the first takes every request", "", Some(edit))
    };
    w.out.push(d);
}
