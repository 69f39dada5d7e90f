//! ## What
//!
//! A block whose own condition keeps requests out, and a wider route that takes them.
//!
//! ## Why
//!
//! A block that is guarded by `when` is entered only when its condition holds. Requests that fail it go on to the next route, past the block's policies. Whoever wrote the condition as a check wants `require` inside the block. Where a check stands inside the block already, G3001 says so.
//!
//! ## Wrong
//!
//! ```route
//! pool admin = 10.0.0.1:80
//! pool web = 10.0.0.2:80
//!
//! site a.example.com {
//!     /admin/* when client.ip in [10.0.0.0/8] {
//!         set request header x-office = "yes"
//!         -> admin
//!     }
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool admin = 10.0.0.1:80
//! pool web = 10.0.0.2:80
//!
//! site a.example.com {
//!     /admin/* {
//!         require client.ip in [10.0.0.0/8] else deny
//!         set request header x-office = "yes"
//!         -> admin
//!     }
//!     else -> web
//! }
//! ```
//!
//! ## Fix
//!
//! The condition moves into the block as its first `require`: requests that do not fulfil it are answered 403 there
//! and no longer go to the wider route. Who meant them to go on writes `# allow G2019: …` instead.

use super::g3001::{harmless, into_require};
use super::show;
use super::solve::Sat;
use super::world::{At, World};
use crate::diagnostic::Diagnostic;
use crate::tree::ir::{Cond, Field, PlanIdx, Target};
use crate::tree::request::Plain;

/// Looks past every block that asks who is there in its own condition.
pub(super) fn run(w: &mut World<'_>) {
    for lead in w.entries() {
        let entry = w.entry(lead);
        let Target::Scope(scope) = entry.target else { continue };
        let scope = scope.0 as usize;
        let own = w.info.scopes[scope].protectors.is_empty();
        if entry.pathless || !own || w.info.scopes[scope].block == w.entry_info(lead).stmt || !asks_who(&entry.guard) {
            continue;
        }
        if let Some((request, plan)) = past(w, lead) {
            report(w, scope, lead, &request, plan);
        }
    }
}

/// Whether a condition asks for something by which people are told apart: an address, a call, a
/// certificate's or a cookie's word. Methods, versions and paths tell requests apart.
fn asks_who(cond: &Cond) -> bool {
    match cond {
        Cond::Const(_) | Cond::Relate(..) => false,
        Cond::Test(field, _) => matches!(field, Field::ClientIp | Field::Call(..) | Field::Claim(..)),
        Cond::Not(inner) => asks_who(inner),
        Cond::And(all) | Cond::Or(all) => all.iter().any(asks_who),
    }
}

/// A request of the block's pattern that its condition keeps out and that somebody answers.
fn past(w: &mut World<'_>, lead: At) -> Option<(Plain, PlanIdx)> {
    let entry = w.entry(lead);
    let path = w.example(&entry.pattern)?;
    let entered = w.entered(lead.scope);
    if let Sat::Yes(request) = w.request(&path, &entered, &[lead])
        && let Some(plan) = w.decide(&request, entry.loc)
        && answers(w, lead, plan)
    {
        return Some((*request, plan));
    }
    let view = w.view(&entry.pattern)?;
    let mut region = w.way_to(&view, lead).ok()?;
    if let Some(taken) = view.taken(lead) {
        region = region.minus(taken).ok()?;
    }
    for (plan, reached) in &view.reached.plans {
        if answers(w, lead, *plan)
            && let Some(request) = w.shown_by(&reached.intersect(&region).ok()?, |_, to| to == *plan)
        {
            return Some((request, *plan));
        }
    }
    None
}

/// Whether a plan outside a block lets requests through.
fn answers(w: &World<'_>, lead: At, plan: PlanIdx) -> bool {
    !w.leads_to(lead, plan) && !harmless(w, plan)
}

fn report(w: &mut World<'_>, scope: usize, lead: At, request: &Plain, plan: PlanIdx) {
    let base = show::path(&w.site.scopes[scope].pattern);
    let taker = w.site.plans[plan.0 as usize].loc;
    let said = format!("requests that do not fulfil the condition of `{base}` go to {} without this block's policies", w.line(taker));
    let mut d = Diagnostic::warning("G2019", w.entry(lead).loc, said)
        .label(taker, "answers them")
        .witness(w.describe(request));
    d = into_require(w, lead, d);
    w.out.push(d);
}
