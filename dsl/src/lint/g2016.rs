//! ## What
//!
//! Two `catch` of one block name the same status.
//!
//! ## Why
//!
//! The second is never asked for it.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     catch [502] -> respond 503
//!     catch [502, 504] -> respond 504
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     catch [502] -> respond 503
//!     catch [504] -> respond 504
//!     else -> web
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The status, and the `catch` that has it already.
pub(crate) fn twice(loc: Loc, status: u16, first: Loc) -> Diagnostic {
    Diagnostic::warning("G2016", loc, format!("{status} is already handled above")).label(first, "handled here")
}
