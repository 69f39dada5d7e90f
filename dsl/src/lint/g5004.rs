//! ## What
//!
//! A pool of several endpoints has no `check`.
//!
//! ## Why
//!
//! A dead endpoint is then found out by requests: each that is sent there waits for its failure first.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80, 10.0.0.2:80
//!
//! site a.example.com {
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web {
//!     10.0.0.1:80
//!     10.0.0.2:80
//!     check GET /healthz every 5s
//! }
//!
//! site a.example.com {
//!     else -> web
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::tree::ir::Pool;

/// A pool of which nobody finds out beforehand who of it is well. Who ejects endpoints has said what
/// becomes of those that fail.
pub(crate) fn run(pool: &Pool) -> Option<Diagnostic> {
    if pool.endpoints.len() < 2 || pool.check.is_some() || pool.eject.is_some() {
        return None;
    }
    let message = format!("a dead endpoint of `{}` is found out by whoever is sent to it", pool.name);
    let d = Diagnostic::hint("G5004", pool.loc, message);
    Some(d.help("ask the endpoints before", "check GET /healthz every 5s", None).help("or", "check tcp", None))
}
