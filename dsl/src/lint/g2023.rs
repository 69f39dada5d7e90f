//! ## What
//!
//! A policy has an `else` or a bare arrow.
//!
//! ## Why
//!
//! Its routes join the routes of the block that uses it, which has its own `else` (rule 6).
//!
//! ## Wrong
//!
//! ```route
//! policy p {
//!     ./ok -> respond 200
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! policy p {
//!     ./ok -> respond 200
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// What stands there.
pub(crate) fn pathless(loc: Loc, what: &str) -> Diagnostic {
    Diagnostic::error("G2023", loc, format!("a policy has no {}: the block that uses it says what else happens", what.trim_start_matches("a ")))
}
