//! ## What
//!
//! A pool that a site protects on every way is reached through another site without that protection.
//!
//! ## Why
//!
//! A policy protects a route, not the servers behind it. A second host that leads to the same endpoints
//! lets everybody walk around it. Pools are the same by their endpoints, whatever files call them. Said
//! only where *every* way to the pool through one site passes a policy with a `require` about who asks (an
//! address, a cookie, a token, a key), and a way through another site asks nothing at all. A `prove` says it once
//! for all: `every request to pool admin passes POLICY`.
//!
//! ## Wrong
//!
//! ```route
//! import std/auth
//!
//! pool admin = 10.0.3.10:9000
//! pool back  = 10.0.3.10:9000
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.only-from([10.0.0.0/8])
//!         -> admin
//!     }
//!     else -> respond 404
//! }
//!
//! site b.example.com {
//!     else -> back
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! import std/auth
//!
//! pool admin = 10.0.3.10:9000
//! pool back  = 10.0.3.10:9000
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.only-from([10.0.0.0/8])
//!         -> admin
//!     }
//!     else -> respond 404
//! }
//!
//! site b.example.com {
//!     use auth.only-from([10.0.0.0/8])
//!     else -> back
//! }
//! ```

use super::across::{Reached, witness};
use crate::diagnostic::Diagnostic;
use crate::reach::pool::Endpoint;
use crate::reach::{PoolKey, Sites, show};
use crate::syntax::span::Loc;
use crate::tree::ir::{Cond, Field, Step, Use};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Compares the ways to each pool, site by site.
pub(super) fn run(sites: &Sites, ways: &[Reached<'_>], out: &mut Vec<Diagnostic>) {
    let mut places: HashMap<BTreeSet<Endpoint>, usize> = HashMap::new();
    let mut pools: Vec<BTreeMap<usize, Vec<&Reached<'_>>>> = Vec::new();
    for way in ways {
        let at = *places.entry(PoolKey::of(way.pool()).endpoints).or_insert_with(|| {
            pools.push(BTreeMap::new());
            pools.len() - 1
        });
        pools[at].entry(way.at).or_default().push(way);
    }
    let mut said: BTreeSet<Loc> = BTreeSet::new();
    for by_site in pools.iter().filter(|by_site| by_site.len() > 1) {
        let protected = by_site.values().find_map(|ways| {
            let policy = ways.iter().map(|way| protector(way)).collect::<Option<Vec<_>>>()?;
            Some((ways[0], policy[0]))
        });
        let Some((elsewhere, policy)) = protected else { continue };
        for way in by_site.values().flatten().filter(|way| open(way)) {
            if said.contains(&way.dial.loc) {
                continue;
            }
            let Some(request) = witness(sites, way, &|_| {}) else { continue };
            said.insert(way.dial.loc);
            let pool = &way.pool().name;
            let host = elsewhere.site.hosts.first().map(|(host, _)| host.to_string()).unwrap_or_default();
            let message = format!("pool `{pool}` is reached without `{}`, which every way to it through {host} passes", policy.name);
            let d = Diagnostic::warning("G3003", way.dial.loc, message).at("leads there unprotected");
            out.push(d.label(policy.loc, "protects it there").witness(show::request(&request, way.site)));
        }
    }
}

/// A policy with a `require` about who asks that every request of a way passes.
pub(super) fn protector<'s>(way: &Reached<'s>) -> Option<&'s Use> {
    way.plan.policies.iter().find(|used| {
        let own = way.plan.steps.get(used.from..used.through).unwrap_or_default();
        let asks = own.iter().any(|step| matches!(step, Step::Require { cond, .. } if about_who(cond)));
        asks && used.when == Cond::Const(true) && used.through <= way.dial.after
    })
}

/// Whether a condition is about who asks, and not about what is asked.
fn about_who(cond: &Cond) -> bool {
    match cond {
        Cond::Const(_) | Cond::Relate(..) => false,
        Cond::Test(field, _) => match field {
            Field::ClientIp | Field::ClientCountry | Field::Call(..) | Field::Claim(..) | Field::Cookie(_) | Field::Row(_) => true,
            Field::Header(name) => matches!(&**name, "authorization" | "x-api-key" | "proxy-authorization"),
            _ => false,
        },
        Cond::Not(inner) => about_who(inner),
        Cond::And(all) | Cond::Or(all) => all.iter().any(about_who),
    }
}

/// Whether nothing at all is asked of a request on a way.
pub(super) fn open(way: &Reached<'_>) -> bool {
    way.dial.conds.is_empty() && !way.plan.steps.iter().any(|step| matches!(step, Step::Require { .. }))
}
