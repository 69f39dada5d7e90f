//! ## What
//!
//! Answers say that whatever site asks may read them, with the visitor's cookies.
//!
//! ## Why
//!
//! `Access-Control-Allow-Origin` that repeats the request's `Origin`, together with
//! `Access-Control-Allow-Credentials: true`, lets any page on the web read what the visitor may read.
//!
//! ## Wrong
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site api.example.com {
//!     require header.origin else deny 400
//!     set response header access-control-allow-origin      = header.origin
//!     set response header access-control-allow-credentials = "true"
//!     else -> api
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site api.example.com {
//!     require header.origin in ["https://a.example.com", "https://b.example.com"] else deny 403
//!     set response header access-control-allow-origin      = header.origin
//!     set response header access-control-allow-credentials = "true"
//!     else -> api
//! }
//! ```

use super::world::World;
use crate::diagnostic::Diagnostic;
use crate::syntax::ast::Side;
use crate::syntax::span::Loc;
use crate::tree::ir::{Cond, Field, Part, Step, Target, Test, Value};

/// Looks at what each route's answers say.
pub(super) fn run(w: &mut World<'_>) {
    let mut said: Vec<Loc> = Vec::new();
    for at in w.entries() {
        let Target::Plan(plan) = w.entry(at).target else { continue };
        let steps = &w.site.plans[plan.0 as usize].steps;
        let set = |wanted: &str| {
            let mut written = steps.iter().rev().filter_map(|step| step.writes(Side::Response));
            written.find(|edit| *edit.name == *wanted)
        };
        let Some(origin) = set("access-control-allow-origin") else { continue };
        let Some(credentials) = set("access-control-allow-credentials") else { continue };
        let (when, loc, also) = (&origin.when, origin.loc, credentials.loc);
        if !repeats(&origin.value) || !says_true(&credentials.value) || said.contains(&loc) {
            continue;
        }
        let required = steps.iter().filter_map(|step| match step {
            Step::Require { cond, .. } => Some(cond),
            _ => None,
        });
        let guards = [w.entered(at.scope), w.entry(at).guard.clone()];
        if required.chain([when]).chain(&guards).any(looks_at_origin) {
            continue;
        }
        said.push(loc);
        w.out.push(
            Diagnostic::error("G3010", loc, "any site could read authenticated answers: whatever `origin` asks is allowed")
                .label(also, "with the visitor's cookies")
                .help("allow the origins that you know, above", "require header.origin in [\"https://app.example.com\"] else deny 403", None),
        );
    }
}

fn repeats(value: &Value) -> bool {
    let texts = value.parts.iter().any(|part| matches!(part, Part::Text(text) if !text.is_empty()));
    !texts && value.fields().any(|field| matches!(field, Field::Header(name) if **name == *"origin"))
}

fn says_true(value: &Value) -> bool {
    matches!(value.parts.as_slice(), [Part::Text(text)] if text.trim().eq_ignore_ascii_case("true"))
}

/// Whether a condition asks more of the origin than that there is one.
fn looks_at_origin(cond: &Cond) -> bool {
    match cond {
        Cond::Test(Field::Header(name), test) => **name == *"origin" && *test != Test::Present,
        Cond::Relate(left, _, right) => repeats(left) || repeats(right),
        Cond::Const(_) | Cond::Test(..) => false,
        Cond::Not(inner) => looks_at_origin(inner),
        Cond::And(all) | Cond::Or(all) => all.iter().any(looks_at_origin),
    }
}
