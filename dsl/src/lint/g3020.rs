//! ## What
//!
//! A route takes requests with a body, and does not say how long one may be.
//!
//! ## Why
//!
//! Bodies are streamed, so that costs the gateway nothing; the origin sees them whole.
//!
//! ## Wrong
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     /upload/* when method is POST -> api
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
//!     /upload/* when method is POST {
//!         body limit 10MB
//!         -> api
//!     }
//!     else -> respond 404
//! }
//! ```

use super::solve::describe;
use super::world::{At, World};
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Answer, Cond, Field, Target, Test};

/// Methods whose requests have a body.
const WITH_BODY: &[&str] = &["POST", "PUT", "PATCH"];

/// Looks at routes that ask for such a method: the others are as public as the site.
pub(super) fn run(w: &mut World<'_>) {
    for at in w.entries() {
        let entry = w.entry(at);
        let Target::Plan(index) = entry.target else { continue };
        let plan = &w.site.plans[index.0 as usize];
        if plan.settings.body_limit.is_some() || !matches!(plan.answer, Answer::Proxy { .. }) || !asks(&entry.guard) {
            continue;
        }
        if w.info.protectors.get(index.0 as usize).is_some_and(|all| !all.is_empty()) {
            continue;
        }
        let Some(mut request) = w.plain_witness(at) else { continue };
        // The plain request may be a GET where the guard takes both.
        let Some(method) = WITH_BODY.iter().find(|m| takes(&entry.guard, m)) else { continue };
        request.method = (*method).to_owned();
        if w.decide(&request, entry.loc) != Some(index) {
            continue;
        }
        let d = Diagnostic::hint("G3020", entry.loc, format!("a {method} of any length goes to the origin"))
            .help("bound it", "body limit 10MB", edit(w, at))
            .witness(describe(&request));
        w.out.push(d);
    }
}

/// Whether a condition names such a method.
fn asks(cond: &Cond) -> bool {
    WITH_BODY.iter().any(|method| takes(cond, method))
}

fn takes(cond: &Cond, method: &str) -> bool {
    match cond {
        Cond::Test(Field::Method, Test::OneOf(all)) => all.iter().any(|m| **m == *method),
        Cond::And(all) => all.iter().any(|c| takes(c, method)),
        Cond::Const(_) | Cond::Test(..) | Cond::Relate(..) | Cond::Not(_) | Cond::Or(_) => false,
    }
}

/// A block around the arrow. How long is too long is not known here, so it is not done unasked.
fn edit(w: &World<'_>, at: At) -> Option<Edit> {
    let info = w.entry_info(at);
    let indent = w.indent(info.stmt)?;
    let stmt = w.source(info.stmt);
    let action = w.source(info.body);
    let arrow = stmt.strip_suffix(action)?.rfind("->")?;
    let start = info.stmt.span.start as usize + arrow;
    let text = format!("{{\n{indent}    body limit 10MB\n{indent}    -> {action}\n{indent}}}");
    let span = Span::new(start, info.stmt.span.end as usize);
    Some(Edit { loc: Loc { file: info.stmt.file, span }, text, safe: false })
}
