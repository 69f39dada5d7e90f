//! ## What
//!
//! Another service is asked about a request before it is counted.
//!
//! ## Why
//!
//! Who asks too often then makes the gateway ask as often. The cheap check comes first.
//!
//! ## Wrong
//!
//! ```route
//! pool checker = 10.0.0.2:80
//! pool api     = 10.0.0.1:80
//!
//! site a.example.com {
//!     require ask(checker, GET /verify) else respond 401
//!     limit 10/s per client.ip
//!     else -> api
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool checker = 10.0.0.2:80
//! pool api     = 10.0.0.1:80
//!
//! site a.example.com {
//!     limit 10/s per client.ip
//!     require ask(checker, GET /verify) else respond 401
//!     else -> api
//! }
//! ```

use super::reads::Reads;
use super::world::World;
use crate::diagnostic::Diagnostic;
use crate::tree::ir::{CallKind, Field, Step};

/// Looks at what stands before limits.
pub(super) fn run(w: &mut World<'_>) {
    let calls = &w.site.calls;
    let asks = |field: &Field| match field {
        Field::Call(call, _) | Field::Claim(call, _) => {
            calls.get(call.0 as usize).is_some_and(|call| matches!(call.kind, CallKind::Ask(_)))
        }
        _ => false,
    };
    let mut found = Vec::new();
    for plan in &w.site.plans {
        let mut asked = None;
        for step in &plan.steps {
            let mut reads_call = false;
            match step {
                Step::Require { cond, loc, .. } => {
                    Reads::of(w.site, |field: &Field| reads_call |= asks(field)).cond(cond);
                    if reads_call {
                        asked.get_or_insert(*loc);
                    }
                }
                Step::Limit(limit) => {
                    // What is counted by the answer has to be asked first.
                    let mut reads = Reads::of(w.site, |field: &Field| {
                        reads_call |= matches!(field, Field::Call(..) | Field::Claim(..));
                    });
                    limit.key.iter().for_each(|key| reads.value(&key.value));
                    if let Some(asked) = asked.filter(|_| !reads_call) {
                        found.push(
                            Diagnostic::warning("G6001", limit.loc, "the costly check runs before the cheap one")
                                .label(asked, "another service is asked here")
                                .help("put the limit first", "", None),
                        );
                    }
                }
                Step::Header { .. } | Step::Session(_) => {}
            }
        }
    }
    w.out.append(&mut found);
}
