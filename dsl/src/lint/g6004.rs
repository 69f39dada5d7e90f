//! ## What
//!
//! Of two limits with one key, one never decides.
//!
//! ## Why
//!
//! Both count every request, and the one that lets less pass, in the long run and at once, refuses first.
//!
//! ## Wrong
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     limit 100/s per client.ip
//!     /api/* {
//!         limit 200/s per client.ip
//!         -> api
//!     }
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
//!     limit 100/s per client.ip
//!     /api/* {
//!         limit 20/s per client.ip
//!         -> api
//!     }
//!     else -> api
//! }
//! ```

use super::world::World;
use crate::diagnostic::Diagnostic;
use crate::tree::ir::{Cond, Limit, LimitBound, Step};

/// Compares the limits that each plan passes.
pub(super) fn run(w: &mut World<'_>) {
    let mut found = Vec::new();
    for plan in &w.site.plans {
        let limits: Vec<&Limit> = plan
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Limit(limit) => Some(&**limit),
                _ => None,
            })
            .collect();
        for (n, inner) in limits.iter().enumerate() {
            // Where the inner one is tighter, it decides here and the outer one elsewhere.
            let Some(outer) = limits[..n].iter().find(|outer| counts_as(outer, inner) && tighter(outer, inner)) else {
                continue;
            };
            let line = w.line(outer.loc);
            found.push(
                Diagnostic::warning("G6004", inner.loc, format!("both limits count the same, and the one on {line} always decides"))
                    .label(outer.loc, "it lets less pass"),
            );
        }
    }
    w.out.append(&mut found);
}

/// Whether two limits count the same requests by the same key, in buckets of their own.
fn counts_as(a: &Limit, b: &Limit) -> bool {
    let always = |l: &Limit| l.when == Cond::Const(true) && !l.shadow;
    a.key == b.key && a.cost == b.cost && a.answer == b.answer && a.name != b.name && always(a) && always(b)
}

/// Whether whatever one lets pass, the other does.
fn tighter(a: &Limit, b: &Limit) -> bool {
    match (a.bound, b.bound) {
        (
            LimitBound::Rate { count, per_ms, burst },
            LimitBound::Rate { count: other, per_ms: per_other, burst: other_burst },
        ) => u64::from(count) * per_other <= u64::from(other) * per_ms && burst <= other_burst,
        (LimitBound::AtOnce(n), LimitBound::AtOnce(other)) => n <= other,
        (LimitBound::Bytes(n), LimitBound::Bytes(other)) => n <= other,
        _ => false,
    }
}
