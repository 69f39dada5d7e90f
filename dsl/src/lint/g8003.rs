//! ## What
//!
//! A secret that the tenant's files may not name.
//!
//! ## Why
//!
//! A file that may use a key can sign with it, whoever it belongs to.
//!
//! ## Wrong
//!
//! ```text
//! # gateway.route says `secrets "acme-*"` of acme
//! sticky cookie "route" key secret.globex-key
//! ```
//!
//! ## Right
//!
//! ```text
//! sticky cookie "route" key secret.acme-key
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use std::sync::Arc;

/// The secret.
pub(crate) fn not_its_own(loc: Loc, secret: &str, tenant: &str, patterns: &[Arc<str>]) -> Diagnostic {
    let d = Diagnostic::error("G8003", loc, format!("`secret.{secret}` is not {tenant}'s to read"));
    match patterns.is_empty() {
        true => d.note(format!("{tenant} reads no secrets")),
        false => d.note(format!("{tenant} reads {}", patterns.join(", "))),
    }
}
