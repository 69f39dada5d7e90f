//! ## What
//!
//! A host that is not the tenant's.
//!
//! ## Why
//!
//! Files of a tenant claim the hosts that the tenant `owns`, and no others. Of several owners whose patterns hold
//! a host, the most specific one has it.
//!
//! ## Wrong
//!
//! ```route
//! tenant acme {
//!     files "acme/*.route"
//!     owns  acme.com, **.acme.com
//! }
//!
//! tenant globex {
//!     files "globex/*.route"
//!     owns  acme.com
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! tenant acme {
//!     files "acme/*.route"
//!     owns  acme.com, **.acme.com
//! }
//!
//! tenant globex {
//!     files "globex/*.route"
//!     owns  globex.com
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::Tenant;

/// Nobody's.
pub(crate) fn not_owned(loc: Loc, claim: &str, tenant: &Tenant) -> Diagnostic {
    Diagnostic::error("G8001", loc, format!("`{claim}` is not {}'s to claim", tenant.name)).note(has(tenant))
}

/// Another tenant's.
pub(crate) fn of_another(loc: Loc, claim: &str, tenant: &Tenant, of: &str, pattern: &str) -> Diagnostic {
    Diagnostic::error("G8001", loc, format!("`{claim}` belongs to {of}, which owns `{pattern}`")).note(has(tenant))
}

/// `default` in a tenant's file.
pub(crate) fn default(loc: Loc, tenant: &str) -> Diagnostic {
    Diagnostic::error("G8001", loc, format!("`default` would take hosts that are not {tenant}'s"))
}

/// Two owners of the same hosts.
pub(crate) fn owned_twice(loc: Loc, pattern: &str, other: &str, at: Loc) -> Diagnostic {
    Diagnostic::error("G8001", loc, format!("`{pattern}` is owned by {other} already")).label(at, "here")
}

/// Two owners of some of the same hosts, neither the more specific one.
pub(crate) fn crossing(loc: Loc, own: &str, theirs: &str, other: &str, at: Loc) -> Diagnostic {
    let message = format!("`{own}` and `{theirs}` of {other} share some hosts, and neither holds the other");
    Diagnostic::error("G8001", loc, message).label(at, "the other one")
}

/// Two tenants in one folder.
pub(crate) fn one_folder(loc: Loc, folder: &str, other: &str, at: Loc) -> Diagnostic {
    Diagnostic::error("G8001", loc, format!("files below `{folder}` would be {other}'s too")).label(at, "declared here")
}

/// A file that patterns of two tenants match.
pub fn of_two(loc: Loc, one: &str, other: &str) -> Diagnostic {
    Diagnostic::error("G8001", loc, format!("this file would be {one}'s and {other}'s: `files` of both match it"))
}

fn has(tenant: &Tenant) -> String {
    let owns: Vec<String> = tenant.owns.iter().map(|(pattern, _)| pattern.to_string()).collect();
    match owns.is_empty() {
        true => format!("{} owns no hosts", tenant.name),
        false => format!("{} owns {}", tenant.name, owns.join(", ")),
    }
}
