//! ## What
//!
//! Who may pass is decided by a service that says no, and its failure counts as a no.
//!
//! ## Why
//!
//! While it does not answer, everybody passes. Without `failed:` a failure is answered 503, and nobody does.
//!
//! ## Wrong
//!
//! ```route
//! pool blocklist = 10.0.0.2:80
//! pool api       = 10.0.0.1:80
//!
//! site a.example.com {
//!     require not ask(blocklist, GET /blocked, failed: no) else deny 403
//!     else -> api
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool blocklist = 10.0.0.2:80
//! pool api       = 10.0.0.1:80
//!
//! site a.example.com {
//!     require not ask(blocklist, GET /blocked) else deny 403
//!     else -> api
//! }
//! ```

use super::world::World;
use crate::diagnostic::Diagnostic;
use crate::tree::ir::{CallIdx, CallKind, Cond, Field, Step};

/// Looks at what is required of services.
pub(super) fn run(w: &mut World<'_>) {
    let mut found = Vec::new();
    for step in w.site.plans.iter().flat_map(|plan| &plan.steps) {
        let Step::Require { cond, loc, .. } = step else { continue };
        let mut open = false;
        negated(cond, false, &mut |call| {
            let call = w.site.calls.get(call.0 as usize).map(|call| &call.kind);
            open |= matches!(call, Some(CallKind::Ask(ask)) if ask.failed == Some(false));
        });
        if open {
            found.push(
                Diagnostic::error("G3017", *loc, "when the service does not answer this holds: everybody passes")
                    .help("leave `failed: no` out, and a failure answers 503; or write", "failed: yes", None),
            );
        }
    }
    w.out.append(&mut found);
}

/// Calls that must have said no.
fn negated(cond: &Cond, not: bool, each: &mut impl FnMut(CallIdx)) {
    match cond {
        Cond::Test(Field::Call(call, _), _) if not => each(*call),
        Cond::Const(_) | Cond::Test(..) | Cond::Relate(..) => {}
        Cond::Not(inner) => negated(inner, !not, each),
        Cond::And(all) | Cond::Or(all) => all.iter().for_each(|c| negated(c, not, each)),
    }
}
