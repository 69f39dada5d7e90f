//! ## What
//!
//! A header that tells a pool who the client is, is set on one way to the pool and not on another.
//!
//! ## Why
//!
//! On the other way the client's own header reaches the same servers: whoever sends `x-user: admin` is
//! admin to them. Remove the header where it is not set. Within a site this is not said of headers that are made of a
//! verified claim, of a certificate or of a service's answer: those are taken from clients on every route. Said of
//! them between sites, and of the names that proxies tell identities by (`x-user`, `remote-user`, `x-forwarded-user`,
//! `x-auth-request-…` and their like).
//!
//! `--fix` leaves it alone: whether the header goes on this route, in its block or in the whole site is not to be seen
//! from here, for another pool of the site may want it from a proxy in front of the gateway.
//!
//! ## Wrong
//!
//! ```route
//! pool app = 10.0.1.10:3000, 10.0.1.11:3000
//!
//! site a.example.com {
//!     /admin/* {
//!         require client.ip in [10.0.0.0/8] else deny 403
//!         set request header x-user = "operator"
//!         -> app
//!     }
//!     else -> app
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool app {
//!     10.0.1.10:3000
//!     10.0.1.11:3000
//!     check tcp every 5s
//! }
//!
//! site a.example.com {
//!     /admin/* {
//!         require client.ip in [10.0.0.0/8] else deny 403
//!         set request header x-user = "operator"
//!         -> app
//!     }
//!     else {
//!         remove request header x-user
//!         -> app
//!     }
//! }
//! ```

use super::across::{Reached, witness};
use crate::diagnostic::Diagnostic;
use crate::reach::pool::Endpoint;
use crate::reach::{PoolKey, Sites, show};
use crate::syntax::ast::{HeaderOp, Side};
use crate::syntax::span::Loc;
use crate::tree::ir::{Field, Part, Step, Value, alike};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Names by which proxies tell who a client is.
const IDENTITIES: &[&str] =
    &["x-user", "x-user-id", "x-user-email", "x-email", "x-groups", "x-roles", "remote-user", "x-remote-user", "x-forwarded-user", "x-forwarded-email", "x-forwarded-groups"];

/// Compares what each way to a pool does with the headers that tell identities.
pub(super) fn run(sites: &Sites, ways: &[Reached<'_>], out: &mut Vec<Diagnostic>) {
    // Of each endpoint: the headers that tell it who a client is, and where the first says so.
    let mut set: HashMap<Endpoint, BTreeMap<Arc<str>, Loc>> = HashMap::new();
    for way in ways {
        for (name, loc) in told(way) {
            for endpoint in PoolKey::of(way.pool()).endpoints {
                set.entry(endpoint).or_default().entry(Arc::clone(&name)).or_insert(loc);
            }
        }
    }
    if set.is_empty() {
        return;
    }
    let mut said: BTreeMap<Arc<str>, BTreeSet<Loc>> = BTreeMap::new();
    for way in ways {
        let pool = way.pool();
        let mut names: BTreeMap<&Arc<str>, Loc> = BTreeMap::new();
        for endpoint in &PoolKey::of(pool).endpoints {
            for (name, loc) in set.get(endpoint).into_iter().flatten() {
                names.entry(name).or_insert(*loc);
            }
        }
        for (name, loc) in names {
            let known = said.entry(Arc::clone(name)).or_default();
            if known.contains(&way.dial.loc) || touched(way, name) || is_taken(way, name) {
                continue;
            }
            let header = |request: &mut crate::tree::request::Plain| {
                request.headers.retain(|(own, _)| **own != **name);
                request.headers.push((name.to_string(), b"somebody".to_vec()));
            };
            let Some(request) = witness(sites, way, &header) else { continue };
            known.insert(way.dial.loc);
            let message = format!("the client's own `{name}` reaches pool `{}` here", pool.name);
            let d = Diagnostic::warning("G3018", way.dial.loc, message).at("lets it through");
            let d = d.label(loc, "sets it on another way to the same servers");
            let d = d.help("take it away", format!("remove request header {name}"), None);
            out.push(d.witness(show::request(&request, way.site)));
        }
    }
}

/// The headers by which a way tells who a client is, and where it says so.
pub(super) fn told(way: &Reached<'_>) -> Vec<(Arc<str>, Loc)> {
    let steps = &way.plan.steps[..way.dial.after];
    let tells = |step: &Step| match step {
        Step::Header(edit)
            if edit.op == HeaderOp::Set
                && edit.side == Side::Request
                && (is_identity(&edit.name) || of_claim(&edit.value)) =>
        {
            Some((Arc::clone(&edit.name), edit.loc))
        }
        _ => None,
    };
    steps.iter().filter_map(tells).collect()
}

fn is_identity(name: &str) -> bool {
    IDENTITIES.contains(&name) || name.starts_with("x-auth-request-")
}

fn of_claim(value: &Value) -> bool {
    value.parts.iter().any(|part| matches!(part, Part::Hole { field: Field::Claim(..), .. }))
}

/// Whether the site takes a header from clients on all of its ways, because it fills it from who asks somewhere.
fn is_taken(way: &Reached<'_>, name: &str) -> bool {
    way.site.identities().iter().any(|identity| alike(&identity.name, name))
}

/// Whether a way sets or removes a header of the request, under whatever condition.
fn touched(way: &Reached<'_>, name: &str) -> bool {
    way.plan.steps[..way.dial.after].iter().any(|step| match step {
        Step::Header(edit) => {
            edit.op != HeaderOp::Add && edit.side == Side::Request && alike(&edit.name, name)
        }
        _ => false,
    })
}
