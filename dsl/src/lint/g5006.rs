//! ## What
//!
//! A pool is balanced by the client's address, and a proxy that nobody trusts stands before the site.
//!
//! ## Why
//!
//! Every request has the proxy's address, so one endpoint gets all of them.
//!
//! ## Wrong
//!
//! ```route
//! gateway {
//!     http :80
//!     https :443
//! }
//!
//! pool web {
//!     10.0.0.1:80
//!     10.0.0.2:80
//!     balance hash client.ip
//!     check tcp
//! }
//!
//! site a.example.com {
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
//! pool web {
//!     10.0.0.1:80
//!     10.0.0.2:80
//!     balance hash client.ip
//!     check tcp
//! }
//!
//! site a.example.com {
//!     set request header x-client = header.x-forwarded-for if missing "none"
//!     else -> web
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::tree::ir::{Balance, Field, HashKey, Pool, Site};
use crate::tree::l4::KeyPart;

/// Looks at the pools of one site.
pub(super) fn run(site: &Site, out: &mut Vec<Diagnostic>) {
    let Some(header) = super::g3007::proxied(site) else { return };
    for pool in site.pools.iter().filter(|pool| pool.endpoints.len() > 1 && only_address(pool)) {
        out.push(
            Diagnostic::warning("G5006", pool.loc, "every request has the same key: one endpoint gets all of them")
                .label(site.loc, format!("this site reads `{header}`, so a proxy stands before it"))
                .help("name the proxies in gateway.route", "trust proxies [10.0.0.0/8]", None),
        );
    }
}

/// Whether the address is all that clients are told apart by.
fn only_address(pool: &Pool) -> bool {
    let (Balance::Hash(key) | Balance::Maglev(key)) = &pool.balance else { return false };
    match key {
        HashKey::Connection(key) => !key.0.is_empty() && key.0.iter().all(|part| *part == KeyPart::ClientIp),
        HashKey::Request(parts) => {
            !parts.is_empty() && parts.iter().all(|part| part.fields.first() == Some(&Field::ClientIp))
        }
    }
}
