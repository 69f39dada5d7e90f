//! ## What
//!
//! A tenant has more than `limits` allow: routes, rows of tables, states of regular expressions.
//!
//! ## Why
//!
//! What one tenant's files take, the others' wait for at a reload, and share the memory with.
//!
//! ## Wrong
//!
//! ```text
//! # gateway.route says `limits { routes 10000 }` of acme, whose files have 12 000
//! ```
//!
//! ## Right
//!
//! Rows of a table in place of routes that differ only in data, or another limit.

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// All files of the tenant together.
pub fn over(loc: Loc, tenant: &str, what: &str, has: u64, quota: u64) -> Diagnostic {
    Diagnostic::warning("G8006", loc, format!("{tenant} has {has} {what}, and its limit is {quota}"))
}
