//! ## What
//!
//! `retry … any method` lets a request run twice that is not idempotent.
//!
//! ## Why
//!
//! After a reset, a timeout or a status nobody knows whether the origin acted. What costs money would cost it twice.
//!
//! ## Wrong
//!
//! ```route
//! pool web {
//!     10.0.0.1:80
//!     10.0.0.2:80
//!     check tcp
//!     retry 2 on [connect, 503] any method
//! }
//!
//! site a.example.com {
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web {
//!     10.0.0.1:80
//!     10.0.0.2:80
//!     check tcp
//!     retry 2 on [connect, 503]
//! }
//!
//! site a.example.com {
//!     else -> web
//! }
//! ```

use super::solve::{Sat, describe};
use super::world::World;
use crate::check::cond::and;
use crate::diagnostic::Diagnostic;
use crate::tree::eval;
use crate::tree::ir::{Cond, Field, RetryOn, Step, Target, Test};
use crate::tree::request::Plain;

/// Methods whose effect a second time is another one (RFC 9110, section 9.2.2).
const TWICE: &[&str] = &["POST", "PATCH"];

/// What is tried again though the origin may have acted.
pub(crate) fn cause(on: &RetryOn) -> Option<String> {
    let status = on.statuses.first().map(ToString::to_string);
    let reset = on.reset.then(|| "`reset`".to_owned());
    let timeout = on.timeout.then(|| "`timeout`".to_owned());
    status.or(timeout).or(reset)
}

/// Asks of each route with such a retry whether it takes them.
pub(super) fn run(w: &mut World<'_>) {
    let mut said = Vec::new();
    for (plan, retry, cause) in &w.info.twice {
        for at in w.entries() {
            let entry = w.entry(at);
            if said.contains(retry) || !matches!(entry.target, Target::Plan(p) if p == *plan) {
                continue;
            }
            let Some(plain) = w.plain_witness(at) else { continue };
            let guard = and(vec![w.entered(at.scope), entry.guard.clone()]);
            let request = TWICE.iter().find_map(|method| {
                let method = Cond::Test(Field::Method, Test::OneOf(vec![(*method).into()]));
                match w.request(&plain.path, &and(vec![method, guard.clone()]), &[]) {
                    Sat::Yes(request) => Some(request),
                    Sat::No | Sat::Unknown => None,
                }
            });
            let Some(request) = request else { continue };
            if w.decide(&request, entry.loc) != Some(*plan) || !passes(w, plan.0 as usize, &request) {
                continue;
            }
            said.push(*retry);
            let method = &request.method;
            let d = Diagnostic::warning("G5003", *retry, format!("a {method} may run twice: `any method` sends it again after {cause}"))
                .label(entry.loc, format!("this route takes {method}"))
                .help("leave `any method` out, or say it in a block of its own", "when method in [PUT, DELETE] { … }", None)
                .witness(describe(&request));
            w.out.push(d);
        }
    }
}

/// Whether a request passes what stands before the pool.
fn passes(w: &World<'_>, plan: usize, request: &Plain) -> bool {
    w.site.plans[plan].steps.iter().all(|step| match step {
        Step::Require { cond, .. } => eval::holds(cond, request),
        Step::Header(_) | Step::Limit(_) | Step::Session(_) => true,
    })
}
