//! ## What
//!
//! A route captures a part of the path, states a new path, and uses the capture nowhere.
//!
//! ## Why
//!
//! The origin gets one path for all of them. `at` states the new path as a whole: what is captured gets there
//! only if it is written.
//!
//! ## Wrong
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     /u/{id}   -> api at /users
//!     /u/{id}/* -> respond 404
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
//!     /u/{id}   -> api at /users/{id}
//!     /u/{id}/* -> respond 404
//!     else      -> respond 404
//! }
//! ```

use super::reads::Reads;
use super::world::World;
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Answer, Capture, Field, Target};
use std::sync::Arc;

/// Looks at each route of its own that states a path.
pub(super) fn run(w: &mut World<'_>) {
    for at in w.entries() {
        let entry = w.entry(at);
        let Target::Plan(plan) = entry.target else { continue };
        let plan = &w.site.plans[plan.0 as usize];
        let Answer::Proxy { at: Some(path), .. } = &plan.answer else { continue };
        let Some(pattern) = w.entry_info(at).pattern else { continue };
        let written = w.source(pattern);
        if written.is_empty() {
            continue;
        }
        let mut read: Vec<Capture> = Vec::new();
        // The path that came names all of them.
        let mut whole = false;
        let mut reads = Reads::of(w.site, |field: &Field| match field {
            Field::Capture(capture) => read.push(capture.clone()),
            Field::Path | Field::Uri => whole = true,
            _ => {}
        });
        reads.plan(plan);
        reads.cond(&entry.guard);
        let _ = path;
        if whole {
            continue;
        }
        let outer = w.leads[at.scope].map(|lead| w.entry(lead).names.as_slice()).unwrap_or_default();
        for (capture, name) in &entry.names {
            if matches!(capture, Capture::Host { .. })
                || read.iter().any(|r| overlaps(r, capture))
                || outer.iter().any(|(_, n)| n == name)
            {
                continue;
            }
            let Some((span, text)) = place(written, name) else { continue };
            let start = pattern.span.start as usize;
            let loc = Loc { file: pattern.file, span: Span::new(start + span.start, start + span.end) };
            let shown = if text == "*" { format!("*{name}") } else { format!("{{{name}}}") };
            let d = Diagnostic::warning("G1006", loc, format!("`{shown}` is captured and then dropped by the rewrite; is that meant?"))
                .label(plan.loc, "the new path does not have it")
                .help("write it there, or if it is meant, write", text.clone(), Some(Edit { loc, text, safe: true }));
            w.out.push(d);
        }
    }
}

/// Whether reading one reads the other.
fn overlaps(read: &Capture, of: &Capture) -> bool {
    match (read, of) {
        (Capture::Segment { index, .. }, Capture::Segment { index: other, .. }) => index == other,
        (Capture::Splat { from }, Capture::Segment { index, .. }) => from <= index,
        (Capture::Segment { index, .. }, Capture::Splat { from }) => from <= index,
        (Capture::Splat { .. }, Capture::Splat { .. }) => true,
        (Capture::Host { .. }, _) | (_, Capture::Host { .. }) => false,
    }
}

/// Where a capture stands in its pattern, and what to write without its name.
fn place(written: &str, name: &Arc<str>) -> Option<(std::ops::Range<usize>, String)> {
    if let Some(stem) = written.strip_suffix(&**name)
        && stem.ends_with("/*")
    {
        return Some((stem.len() - 1..written.len(), "*".to_owned()));
    }
    let open = format!("{{{name}");
    let at = written.match_indices(&open).map(|(at, _)| at).find(|at| written[at + open.len()..].starts_with(['}', ':', ' ']))?;
    let end = at + written[at..].find('}')? + 1;
    let rest = &written[at + open.len()..end];
    // A type with braces of its own is left alone.
    (!rest.contains('{')).then(|| (at..end, format!("{{_{rest}")))
}
