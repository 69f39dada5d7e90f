//! ## What
//!
//! A site lets addresses in, reads who a proxy says the client is, and trusts no proxy.
//!
//! ## Why
//!
//! Behind a balancer `client.ip` is then the balancer's address for every request: the condition holds for everybody
//! or for nobody. `trust proxies` in gateway.route makes it the client's.
//!
//! ## Wrong
//!
//! ```route
//! gateway {
//!     http :80
//!     https :443
//! }
//!
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     require client.ip in [192.0.2.0/24] else deny 403
//!     set request header x-client = header.x-forwarded-for if missing "none"
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! gateway {
//!     http :80
//!     https :443
//!     trust proxies [10.0.0.0/8]
//! }
//!
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     require client.ip in [192.0.2.0/24] else deny 403
//!     set request header x-client = header.x-forwarded-for if missing "none"
//!     else -> web
//! }
//! ```

use super::reads::Reads;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::{Cond, Field, Gateway, Site, Step, Test};

/// Headers in which a proxy names the client.
const NAMES_CLIENT: &[&str] =
    &["cf-connecting-ip", "forwarded", "true-client-ip", "x-client-ip", "x-forwarded-for", "x-real-ip"];

/// Whether nobody's word about the client is taken.
pub(super) fn trusts_nobody(gateway: &Gateway) -> bool {
    gateway.trusted_proxies.is_empty() && gateway.proxy_protocol_from.is_empty()
}

/// Looks at one site.
pub(super) fn run(site: &Site, out: &mut Vec<Diagnostic>) {
    let Some(header) = proxied(site) else { return };
    let Some(loc) = by_address(site) else { return };
    out.push(
        Diagnostic::warning("G3007", loc, "behind a balancer this is the balancer's address for every request")
            .note(format!("the site reads `{header}`, so a proxy stands before it, and none is trusted to name the client"))
            .help("name the proxies in gateway.route", "trust proxies [10.0.0.0/8]", None),
    );
}

/// The header by which a site takes a proxy's word: its value is used, not only looked for.
pub(super) fn proxied(site: &Site) -> Option<String> {
    let mut found = None;
    let mut note = |field: &Field| {
        if let Field::Header(name) = field
            && NAMES_CLIENT.contains(&&**name)
        {
            found.get_or_insert_with(|| field.to_string());
        }
    };
    for plan in &site.plans {
        for step in &plan.steps {
            if let Step::Header(edit) = step {
                Reads::of(site, &mut note).value(&edit.value);
            }
        }
        Reads::of(site, &mut note).answer(&plan.answer);
    }
    let mut used = |cond: &Cond| compared(cond, &mut note);
    site.plans.iter().flat_map(|p| &p.steps).for_each(|step| {
        if let Step::Require { cond, .. } = step {
            used(cond);
        }
    });
    site.scopes.iter().flat_map(|s| &s.entries).for_each(|entry| used(&entry.guard));
    found
}

/// Fields whose value a condition looks at.
fn compared(cond: &Cond, note: &mut impl FnMut(&Field)) {
    match cond {
        Cond::Const(_) | Cond::Test(_, Test::Present) | Cond::Relate(..) => {}
        Cond::Test(field, _) => note(field),
        Cond::Not(inner) => compared(inner, note),
        Cond::And(all) | Cond::Or(all) => all.iter().for_each(|c| compared(c, note)),
    }
}

/// The first place where an address decides.
fn by_address(site: &Site) -> Option<Loc> {
    let steps = site.plans.iter().flat_map(|p| &p.steps).filter_map(|step| match step {
        Step::Require { cond, loc, .. } => Some((cond, *loc)),
        _ => None,
    });
    let entries = site.scopes.iter().flat_map(|s| &s.entries).map(|e| (&e.guard, e.loc));
    steps.chain(entries).filter(|(cond, _)| asks(cond)).map(|(_, loc)| loc).min()
}

fn asks(cond: &Cond) -> bool {
    match cond {
        Cond::Test(Field::ClientIp, Test::InNets(_)) => true,
        Cond::Const(_) | Cond::Test(..) | Cond::Relate(..) => false,
        Cond::Not(inner) => asks(inner),
        Cond::And(all) | Cond::Or(all) => all.iter().any(asks),
    }
}
