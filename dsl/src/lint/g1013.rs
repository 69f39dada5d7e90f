//! ## What
//!
//! A condition that no request fulfils.
//!
//! ## Why
//!
//! Its route is dead, or its `require` refuses everybody.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /x when method is GET and method is POST -> respond 200
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /x when method in [GET, POST] -> respond 200
//!     else -> respond 404
//! }
//! ```

use super::solve::Sat;
use super::world::World;
use crate::diagnostic::Diagnostic;
use crate::tree::ir::Cond;

/// Looks for a request for every condition.
pub(super) fn run(w: &mut World<'_>) {
    for at in w.entries() {
        let entry = w.entry(at);
        // A constant is a policy's argument, or a capture that only another pattern has.
        if matches!(entry.guard, Cond::Const(_)) {
            continue;
        }
        let Ok(Some(path)) = w.paths.path_example(&entry.pattern) else { continue };
        if matches!(w.request(&path, &entry.guard, &[]), Sat::No) {
            let d = Diagnostic::warning("G1013", entry.loc, "this condition never holds: no request fulfils all of it");
            w.out.push(d);
        }
    }
}
