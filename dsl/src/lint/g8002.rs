//! ## What
//!
//! A pool of a tenant's file that dials something outside of what the tenant `dials`.
//!
//! ## Why
//!
//! Whoever may write a route file could otherwise reach every service that the gateway can reach. Names are held
//! against the same networks when they are looked up: an address outside is not dialled. Loopback, link-local
//! addresses, the gateway's own addresses and sockets of the file system need naming.
//!
//! ## Wrong
//!
//! ```text
//! # gateway.route says `dials [10.20.0.0/16]` of acme
//! pool api = 10.30.0.5:80
//! ```
//!
//! ## Right
//!
//! ```text
//! pool api = 10.20.0.5:80
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::Dials;

/// The endpoint.
pub(crate) fn outside(loc: Loc, endpoint: &str, dials: &Dials) -> Diagnostic {
    let nets = dials.nets.iter().map(ToString::to_string);
    let all: Vec<String> = nets.chain(dials.sockets.iter().map(|s| format!("unix:{s}"))).collect();
    let d = Diagnostic::error("G8002", loc, format!("`{endpoint}` is not {}'s to dial", dials.tenant));
    match all.is_empty() {
        true => d.note(format!("{} dials nothing; it may use the pools that gateway.route exports", dials.tenant)),
        false => d.note(format!("{} dials {}", dials.tenant, all.join(", "))),
    }
}

/// An address of the gateway's own.
pub fn own_address(loc: Loc, endpoint: &str, dials: &Dials) -> Diagnostic {
    Diagnostic::error("G8002", loc, format!("`{endpoint}` is an address of the gateway's own"))
        .note(format!("{} dials it only where it is named by itself in `dials`", dials.tenant))
}
