//! ## What
//!
//! Whether somebody comes in hangs on a session cookie that is only asked for.
//!
//! ## Why
//!
//! The condition says that there is a cookie of this name, not that anybody issued it: everybody can send one.
//!
//! ## Wrong
//!
//! ```route
//! pool admin = 10.0.0.1:80
//!
//! site a.example.com {
//!     /admin/* {
//!         require cookie.sid else redirect 303 /login
//!         -> admin
//!     }
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool admin = 10.0.0.1:80
//!
//! site a.example.com {
//!     /admin/* {
//!         require client.ip in [10.0.0.0/8] else deny 403
//!         -> admin
//!     }
//!     else -> respond 404
//! }
//! ```

use super::reads::Reads;
use super::solve::{Sat, describe};
use super::world::{At, World};
use crate::check::cond::{and, not};
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::{Answer, Cond, Field, Plan, Step, Target, Test};
use crate::tree::request::Plain;

/// Words that cookies are called by which say who somebody is.
const WORDS: &[&str] = &[
    "sid", "session", "sessionid", "sess", "auth", "token", "jwt", "login", "phpsessid", "jsessionid", "sessid",
];

/// Words of cookies that guard against something else.
const OTHER: &[&str] = &["csrf", "xsrf"];

/// Looks at each route that leads somewhere behind a cookie.
pub(super) fn run(w: &mut World<'_>) {
    let mut said: Vec<Loc> = Vec::new();
    for at in w.entries() {
        let Target::Plan(index) = w.entry(at).target else { continue };
        let plan = &w.site.plans[index.0 as usize];
        if !matches!(plan.answer, Answer::Proxy { .. } | Answer::Files { .. }) || is_verified(w, at, plan) {
            continue;
        }
        let of_step = plan.steps.iter().find_map(|step| match step {
            Step::Require { cond, loc, .. } => asked(cond).map(|name| (name.to_owned(), *loc)),
            _ => None,
        });
        let entry = w.entry(at);
        let found = of_step.or_else(|| {
            let name = asked(&entry.guard)?.to_owned();
            // Others go elsewhere, as canaries do: only who is kept out is meant to be.
            keeps_out(w, at).then_some((name, entry.loc))
        });
        let Some((name, loc)) = found.filter(|(_, loc)| !said.contains(loc)) else { continue };
        let Some(request) = comes_in(w, at, index.0 as usize, &name) else { continue };
        said.push(loc);
        let d = Diagnostic::warning("G3004", loc, format!("this only asks whether there is a cookie `{name}`; anybody can send one"))
            .help("verify it", format!("use auth.session(\"{name}\", key: secret.session-key)"), None)
            .witness(describe(&request));
        w.out.push(d);
    }
}

/// Whether something else tells who comes: a token or another service, an address, a certificate.
fn is_verified(w: &World<'_>, at: At, plan: &Plan) -> bool {
    let mut verified = false;
    let mut reads = Reads::of(w.site, |field: &Field| {
        verified |= matches!(field, Field::Call(..) | Field::Claim(..) | Field::ClientIp);
    });
    for step in &plan.steps {
        if let Step::Require { cond, .. } = step {
            reads.cond(cond);
        }
    }
    reads.cond(&w.entered(at.scope));
    reads.cond(&w.entry(at).guard);
    verified
}

/// The session cookie that a condition needs, and only asks for.
fn asked(cond: &Cond) -> Option<&str> {
    match cond {
        Cond::Test(Field::Cookie(name), Test::Present) if tells_who(name) => Some(name),
        Cond::And(all) => all.iter().find_map(asked),
        Cond::Const(_) | Cond::Test(..) | Cond::Relate(..) | Cond::Not(_) | Cond::Or(_) => None,
    }
}

pub(super) fn tells_who(cookie: &str) -> bool {
    let lower = cookie.to_ascii_lowercase();
    let mut words = lower.split(['-', '_', '.']);
    words.clone().any(|word| WORDS.contains(&word)) && !words.any(|word| OTHER.contains(&word))
}

/// Whether a request without the cookie is refused, or sent to log in.
fn keeps_out(w: &mut World<'_>, at: At) -> bool {
    let Some(plain) = w.plain_witness(at) else { return false };
    let without = and(vec![w.entered(at.scope), not(w.entry(at).guard.clone())]);
    let Sat::Yes(request) = w.request(&plain.path, &without, &[]) else { return false };
    let Some(plan) = w.decide(&request, w.entry(at).loc) else { return false };
    match &w.site.plans[plan.0 as usize].answer {
        Answer::NotFound
        | Answer::Relay { .. }
        | Answer::Deny { .. }
        | Answer::Visit { .. }
        | Answer::Redirect { .. } => true,
        Answer::Respond { status, .. } | Answer::RespondFile { status, .. } => *status >= 400,
        Answer::Files { .. } | Answer::Proxy { .. } => false,
    }
}

/// A request with a cookie of somebody's own making that gets to where the route leads.
fn comes_in(w: &mut World<'_>, at: At, plan: usize, name: &str) -> Option<Plain> {
    let plain = w.plain_witness(at)?;
    let mut all = vec![w.entered(at.scope), w.entry(at).guard.clone()];
    let steps = &w.site.plans[plan].steps;
    all.extend(steps.iter().filter_map(|step| match step {
        Step::Require { cond, .. } => Some(cond.clone()),
        _ => None,
    }));
    let own = Cond::Test(Field::Cookie(name.into()), Test::Present);
    all.push(own);
    let Sat::Yes(request) = w.request(&plain.path, &and(all), &[]) else { return None };
    let decided = w.decide(&request, w.entry(at).loc)?;
    (decided.0 as usize == plan).then_some(*request)
}
