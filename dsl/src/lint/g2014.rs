//! ## What
//!
//! A path, or a block, takes some methods only, and the others get 404.
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
//! 400 from then on, where the site does not say `paths semicolon`. A block of such routes gets a `require` of the methods before them,
//! which says `Allow` by itself. Of a block whose own condition is the method only the help says it: what policies it has is to be seen first.

use super::solve::{Sat, describe};
use super::world::{At, World};
use crate::check::cond::and;
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Cond, Field, Step, Target, Test};
use crate::tree::judge::{Progress, Rendered, Unseen};
use crate::tree::request::Plain;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Methods that are tried where a path does not take them.
const OTHERS: &[&str] = &["POST", "GET", "PUT", "DELETE"];

/// Looks at each path, and each block, whose routes ask for the method and for nothing else.
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
        let pure = same.iter().all(|at| match (asked(w, *at), w.entry(*at).target) {
            (Some(all), Target::Plan(_)) => {
                methods.extend(all.iter().cloned());
                true
            }
            // Beside a block that protects its path nothing else may stand.
            (Some(all), Target::Scope(_)) => {
                methods.extend(all.iter().cloned());
                same.len() == 1
            }
            (None, _) => false,
        });
        if pure {
            say(w, &same, sorted(methods));
        }
    }
    for lead in w.entries() {
        if let Target::Scope(scope) = w.entry(lead).target {
            in_block(w, lead, scope.0 as usize);
        }
    }
}

/// The methods that an entry takes, where it asks for nothing else.
fn asked<'a>(w: &World<'a>, at: At) -> Option<&'a [Arc<str>]> {
    match &w.entry(at).guard {
        Cond::Test(Field::Method, Test::OneOf(all)) => Some(all),
        _ => None,
    }
}

fn sorted(mut methods: Vec<Arc<str>>) -> Vec<Arc<str>> {
    methods.sort();
    methods.dedup();
    methods
}

/// A request by another method that gets 404, below the entries of a scope, by somebody whom no policy refuses before.
fn unanswered(w: &mut World<'_>, path: &str, scope: usize, methods: &[Arc<str>]) -> Option<Plain> {
    let other = OTHERS.iter().find(|m| !methods.iter().any(|t| **t == ***m))?;
    let asks = Cond::Test(Field::Method, Test::OneOf(vec![(*other).into()]));
    let mut holds = vec![w.entered(scope), asks];
    let Sat::Yes(request) = w.request(path, &and(holds.clone()), &[]) else { return None };
    let plan = w.decide(&request, w.site.loc)?;
    holds.extend(w.site.plans[plan.0 as usize].steps.iter().filter_map(|step| match step {
        Step::Require { cond, .. } => Some(cond.clone()),
        Step::Header(_) | Step::Limit(_) | Step::Session(_) => None,
    }));
    let Sat::Yes(request) = w.request(path, &and(holds), &[]) else { return None };
    w.decide(&request, w.site.loc)?;
    let judged = w.program.judge(&*request, &mut || 0, &mut Unseen, &mut Progress::default());
    let found = match judged.answer {
        Rendered::NotFound => true,
        Rendered::Respond { status, .. } | Rendered::File { status, .. } | Rendered::Deny { status } => status == 404,
        _ => false,
    };
    found.then_some(*request)
}

fn say(w: &mut World<'_>, group: &[At], methods: Vec<Arc<str>>) {
    let (first, last) = (group[0], group[group.len() - 1]);
    let Some(plain) = w.plain_witness(first) else { return };
    let Some(request) = unanswered(w, &plain.path, first.scope, &methods) else { return };
    let (written, stmt) = (w.entry_info(last).pattern, w.entry_info(last).stmt);
    let (Some(written), Some(indent)) = (written.map(|p| w.source(p)), w.indent(stmt)) else { return };
    let allow = methods.join(", ");
    if let Target::Scope(_) = w.entry(first).target {
        let help = "put it inside the block instead of its condition";
        report(w, w.entry(first).loc, &allow, &request, (help, required(&methods), None));
        return;
    }
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
    report(w, w.entry(first).loc, &allow, &request, ("say so", lines.join("\n"), Some(edit)));
}

/// Looks at a block in which every route asks for the method, and what is left gets 404.
fn in_block(w: &mut World<'_>, lead: At, scope: usize) {
    let entries: Vec<At> = (0..w.site.scopes[scope].entries.len()).map(|entry| At { scope, entry }).collect();
    let mut methods: Vec<Arc<str>> = Vec::new();
    for at in &entries {
        let entry = w.entry(*at);
        match (asked(w, *at), entry.target) {
            (Some(all), Target::Plan(_)) if entry.pathless => methods.extend(all.iter().cloned()),
            // What answers the others is looked at below.
            (None, Target::Plan(_)) if entry.pathless && entry.guard == Cond::Const(true) => {}
            _ => return,
        }
    }
    let Some(first) = entries.first().filter(|_| !methods.is_empty()) else { return };
    let (block, stmt) = (w.info.scopes[scope].block, w.entry_info(*first).stmt);
    let inside = block.file == stmt.file && block.span.start < stmt.span.start && stmt.span.end <= block.span.end;
    let Some(indent) = w.indent(stmt).filter(|_| inside) else { return };
    let methods = sorted(methods);
    let Some(path) = w.example(&w.site.scopes[scope].pattern) else { return };
    let Some(request) = unanswered(w, &path, scope, &methods) else { return };
    if !w.decide(&request, w.entry(lead).loc).is_some_and(|plan| w.leads_to(lead, plan)) {
        return;
    }
    let line = stmt.span.start as usize - indent.len();
    let help = required(&methods);
    let text = format!("{indent}{help}\n");
    let edit = Edit { loc: Loc { file: stmt.file, span: Span::new(line, line) }, text, safe: true };
    report(w, w.entry(lead).loc, &methods.join(", "), &request, ("say so before its routes", help, Some(edit)));
}

/// The policy that answers other methods; its 405 says `Allow` by itself.
fn required(methods: &[Arc<str>]) -> String {
    match methods {
        [only] => format!("require method is {only} else deny 405"),
        all => format!("require method in [{}] else deny 405", all.join(", ")),
    }
}

fn report(w: &mut World<'_>, loc: Loc, allow: &str, request: &Plain, (help, text, edit): (&str, String, Option<Edit>)) {
    let shown = describe(request);
    let d = Diagnostic::hint("G2014", loc, format!("`{shown}` gets 404; 405 with `Allow: {allow}` would be right"))
        .help(help, text, edit)
        .witness(shown);
    w.out.push(d);
}
