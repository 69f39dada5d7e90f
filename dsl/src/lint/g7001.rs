//! ## What
//!
//! Two listeners on one address and port.
//!
//! ## Why
//!
//! Only one of them could get the connections; a bare port means every address (rule 29).
//!
//! ## Wrong
//!
//! ```route
//! gateway {
//!     http :8080
//!     https :8080
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! gateway {
//!     http :8080
//!     https :8443
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The port, and the listener that has it already; its place is nowhere where the gateway listens by
/// default.
pub(crate) fn overlap(loc: Loc, port: u16, first: Loc) -> Diagnostic {
    let message = format!("two listeners on :{port}");
    if first == Loc::default() {
        let d = format!("{message}: the gateway listens there unless `gateway` says where");
        return Diagnostic::error("G7001", loc, d);
    }
    Diagnostic::error("G7001", loc, message).label(first, "the other one")
}
