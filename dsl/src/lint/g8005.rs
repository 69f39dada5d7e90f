//! ## What
//!
//! A wildcard of a tenant's file that would take hosts of other tenants.
//!
//! ## Why
//!
//! A host that its owner does not serve yet, or does not serve any more, would be answered by somebody else.
//!
//! ## Wrong
//!
//! ```text
//! # a file of acme, which owns **.acme.com
//! site **.com {
//!     else -> respond 200 "acme"
//! }
//! ```
//!
//! ## Right
//!
//! ```text
//! site **.acme.com {
//!     else -> respond 200 "acme"
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The pattern, how many tenants it would take hosts of, and one of these.
pub(crate) fn takes(loc: Loc, claim: &str, tenant: &str, others: usize, host: &str) -> Diagnostic {
    let of = if others == 1 { "another tenant".to_owned() } else { format!("{others} other tenants") };
    Diagnostic::error("G8005", loc, format!("`{claim}` would take hosts of {of}, such as {host}"))
        .note(format!("it is not {tenant}'s to claim"))
}
