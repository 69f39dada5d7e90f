//! ## What
//!
//! A limit counts by the address that is asked for.
//!
//! ## Why
//!
//! Clients choose it: each new path or query is a key of its own, so nobody is limited, and there is no end of keys.
//!
//! ## Wrong
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     limit 10/s per request.uri
//!     else -> api
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     limit 10/s per client.ip
//!     else -> api
//! }
//! ```

use super::world::World;
use crate::diagnostic::Diagnostic;
use crate::tree::ir::{Field, Step};

/// Looks at the keys of limits.
pub(super) fn run(w: &mut World<'_>) {
    let mut found = Vec::new();
    for step in w.site.plans.iter().flat_map(|plan| &plan.steps) {
        let Step::Limit(limit) = step else { continue };
        let mut by = None;
        let mut reads = super::reads::Reads::of(w.site, |field: &Field| {
            if matches!(field, Field::Uri | Field::Path | Field::QueryString) {
                by.get_or_insert_with(|| field.to_string());
            }
        });
        limit.key.iter().for_each(|key| reads.value(&key.value));
        if let Some(by) = by {
            found.push(
                Diagnostic::warning("G6002", limit.loc, format!("clients choose `{by}`: the number of keys has no bound"))
                    .help("count by who asks", "per client.ip", None),
            );
        }
    }
    w.out.append(&mut found);
}
