//! ## What
//!
//! A path takes some methods only, and the others get 404.
//!
//! ## Why
//!
//! The path is there: 405 with the methods that it takes in `Allow` says what is wrong (RFC 9110, section 15.5.6).
//!
//! ## Wrong
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     /x when method is GET -> api
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     /x when method is GET -> api
//!     /x {
//!         set response header allow = "GET"
//!         -> deny 405
//!     }
//!     else -> respond 404
//! }
//! ```
//!
//! ## Fix
//!
//! Other methods are answered 405 with `Allow` in place of 404. The path has a block of its own for it, so that a `;` in a path is answered
//! 400 from then on, where the site does not say `paths semicolon`.

use super::solve::{Sat, describe};
use super::world::{At, World};
use crate::check::cond::and;
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Answer, Cond, Field, Target, Test};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Methods that are tried where a path does not take them.
const OTHERS: &[&str] = &["POST", "GET", "PUT", "DELETE"];

/// Looks at each path whose routes ask for the method and for nothing else.
pub(super) fn run(w: &mut World<'_>) {
    let mut groups: BTreeMap<(usize, String), Vec<At>> = BTreeMap::new();
    for at in w.entries() {
        let entry = w.entry(at);
        if !entry.pathless && entry.guard != Cond::Const(true) {
            groups.entry((at.scope, super::show::path(&entry.pattern))).or_default().push(at);
        }
    }
    for (_, group) in groups {
        let pattern = &w.entry(group[0]).pattern;
        let same: Vec<At> = w.near(group[0].scope, pattern).into_iter().filter(|at| w.entry(*at).pattern == *pattern).collect();
        let mut methods: Vec<Arc<str>> = Vec::new();
        let pure = same.iter().all(|at| match (&w.entry(*at).guard, w.entry(*at).target) {
            // Beside a block that protects its path nothing else may stand.
            (Cond::Test(Field::Method, Test::OneOf(all)), Target::Plan(_)) => {
                methods.extend(all.iter().cloned());
                true
            }
            _ => false,
        });
        if pure {
            methods.sort();
            methods.dedup();
            say(w, &same, &methods);
        }
    }
}

fn say(w: &mut World<'_>, group: &[At], methods: &[Arc<str>]) {
    let (first, last) = (group[0], group[group.len() - 1]);
    let Some(other) = OTHERS.iter().find(|m| !methods.iter().any(|t| **t == ***m)) else { return };
    let Some(plain) = w.plain_witness(first) else { return };
    let asks = Cond::Test(Field::Method, Test::OneOf(vec![(*other).into()]));
    let Sat::Yes(request) = w.request(&plain.path, &and(vec![w.entered(first.scope), asks]), &[]) else { return };
    let entry = w.entry(first);
    let Some(plan) = w.decide(&request, entry.loc) else { return };
    let found = match w.site.plans[plan.0 as usize].answer {
        Answer::NotFound => true,
        Answer::Respond { status, .. } | Answer::Deny { status } => status == 404,
        _ => false,
    };
    let (written, stmt) = (w.entry_info(last).pattern, w.entry_info(last).stmt);
    let (Some(written), Some(indent)) = (written.map(|p| w.source(p)), w.indent(stmt)) else { return };
    if !found {
        return;
    }
    let allow = methods.join(", ");
    let lines = [
        format!("{written} {{"),
        format!("    set response header allow = \"{allow}\""),
        "    -> deny 405".to_owned(),
        "}".to_owned(),
    ];
    let text: String = lines.iter().map(|line| format!("\n{indent}{line}")).collect();
    let end = stmt.span.end as usize;
    // What stands behind the statement on its line stays there.
    let end = w.text[end..].find('\n').map_or(w.text.len(), |n| end + n);
    let edit = Edit { loc: Loc { file: stmt.file, span: Span::new(end, end) }, text, safe: true };
    let shown = describe(&request);
    let d = Diagnostic::hint("G2014", entry.loc, format!("`{shown}` gets 404; 405 with `Allow: {allow}` would be right"))
        .help("say so", lines.join("\n"), Some(edit))
        .witness(shown);
    w.out.push(d);
}
