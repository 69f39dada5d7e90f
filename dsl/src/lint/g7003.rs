//! ## What
//!
//! A `passthrough` keeps people out by the name in their hello, and by nothing else.
//!
//! ## Why
//!
//! The name is what the client writes. With Encrypted Client Hello the visible one is a decoy, so that whoever wants in writes another.
//!
//! ## Wrong
//!
//! ```route
//! pool vault = 10.8.0.5:8443
//!
//! passthrough *.bank.example {
//!     when tls.sni is "admin.bank.example" -> deny
//!     else -> vault
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool vault = 10.8.0.5:8443
//!
//! passthrough *.bank.example {
//!     when tls.sni is "admin.bank.example" {
//!         require client.ip in [10.0.0.0/8]
//!         -> vault
//!     }
//!     else -> vault
//! }
//! ```

use super::l4::{Item, passes_hello, reads};
use crate::diagnostic::Diagnostic;
use crate::tree::ir::Field;
use crate::tree::l4::{Step, Target};

/// Looks for a refusal by name beside nothing that looks at who connects.
pub(super) fn item(item: &mut Item<'_>) {
    let by_client = |read: &[Field]| read.contains(&Field::ClientIp);
    let entries = &item.rules.entries;
    let checked = entries.iter().any(|e| {
        by_client(&reads(&e.guard)) || e.steps.iter().any(|s| matches!(s, Step::Require { .. }))
    });
    if !passes_hello(item.info.kind) || checked || item.open().next().is_none() {
        return;
    }
    let by_name = entries.iter().zip(&item.info.entries).find(|(entry, info)| {
        !info.miss && entry.target == Target::Deny && reads(&entry.guard).contains(&Field::TlsSni)
    });
    if let Some((entry, _)) = by_name {
        let d = "the name in a hello is the client's to choose, and with ECH a decoy: this keeps nobody out";
        let d = Diagnostic::warning("G7003", entry.loc, d)
            .help("look at who connects too", "require client.ip in [10.0.0.0/8]", None);
        item.out.push(d);
    }
}
