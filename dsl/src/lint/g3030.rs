//! ## What
//!
//! A site sends browsers to log in, and has nothing where the provider sends them back to.
//!
//! ## Why
//!
//! The provider sends the browser back to the `callback` of its item, `/login/callback` where nothing is written. What
//! it brings is exchanged for a session there, by `login` of the same provider; where a route leads elsewhere, nobody
//! ever gets in. `use auth.login(by: …)` over the whole site is enough, for nobody has a session at that path.
//!
//! ## Wrong
//!
//! ```route
//! import std/auth
//!
//! pool admin = 10.0.0.1:80
//!
//! provider corp {
//!     issuer  "https://login.corp.example"
//!     client  "shop" key secret.corp-client
//!     session "__Host-sid" key secret.session-key
//! }
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.login(by: corp)
//!         -> admin
//!     }
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! import std/auth
//!
//! pool admin = 10.0.0.1:80
//!
//! provider corp {
//!     issuer  "https://login.corp.example"
//!     client  "shop" key secret.corp-client
//!     session "__Host-sid" key secret.session-key
//! }
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.login(by: corp)
//!         -> admin
//!     }
//!     /login/callback -> login corp
//!     else            -> respond 404
//! }
//! ```

use super::solve::describe;
use super::world::World;
use crate::diagnostic::Diagnostic;
use crate::reach::endings::endings;
use crate::region::Algebra;
use crate::syntax::ast::VisitDoes;
use crate::tree::candidates;
use crate::tree::ir::{Answer, CallKind, Cond, PlanIdx, ProviderIdx, ScopeIdx, Site, Target, Tls};
use crate::tree::request::Plain;

/// Looks at each provider that the site sends somebody to.
pub(super) fn run(w: &mut World<'_>) {
    for call in &w.site.calls {
        let CallKind::Visit(at, VisitDoes::Login) = call.kind else { continue };
        let Some(provider) = w.site.providers.get(at.0 as usize) else { continue };
        let mut plans = Vec::new();
        reached(w.site, ScopeIdx(0), &provider.callback, &mut w.paths, &mut plans);
        if plans.iter().any(|plan| finishes(w.site, *plan, at)) {
            continue;
        }
        let host = w.site.hosts.first().map(|(host, _)| host);
        let host = host.and_then(|host| host.literal().or_else(|| Algebra::hosts().host_example(host).ok().flatten()));
        let request = Plain {
            host: host.unwrap_or_default(),
            path: provider.callback.to_string(),
            https: w.site.settings.tls != Tls::Off,
            ..Plain::default()
        };
        if w.decide(&request, call.loc).is_none_or(|plan| !plans.contains(&plan)) {
            continue;
        }
        let said = format!(
            "nobody can finish this login: `{}` sends browsers back to `{}`, and no route leads to `login` there",
            provider.name, provider.callback
        );
        let route = format!("{} -> login {}", provider.callback, provider.name);
        let d = Diagnostic::error("G3030", call.loc, said).label(provider.loc, "declared here");
        w.out.push(d.help("add a route to the site", route, None).witness(describe(&request)));
    }
}

/// The plans that a path can lead to, whatever else is known of a request.
fn reached(site: &Site, scope: ScopeIdx, path: &str, algebra: &mut Algebra, out: &mut Vec<PlanIdx>) {
    for entry in candidates(site, scope, path, algebra) {
        match entry.target {
            Target::Plan(plan) => out.push(plan),
            Target::Scope(inner) => reached(site, inner, path, algebra, out),
        }
        if entry.guard == Cond::Const(true) {
            return;
        }
    }
    out.push(site.scopes[scope.0 as usize].miss);
}

/// Whether a plan leads to `login` of a provider in some way.
fn finishes(site: &Site, plan: PlanIdx, at: ProviderIdx) -> bool {
    let logs_in = |answer: &Answer| {
        matches!(answer, Answer::Visit { does: VisitDoes::Login, provider, .. } if *provider == at)
    };
    endings(&site.plans[plan.0 as usize]).iter().any(|ending| logs_in(ending.answer))
}
