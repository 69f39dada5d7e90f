//! ## What
//!
//! `catch` names a status that is no failure.
//!
//! ## Why
//!
//! It would replace good answers.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     catch [200] -> respond 503
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
//!     catch [502, 503] -> respond 503
//!     else -> web
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The status.
pub(crate) fn good(loc: Loc, status: u16) -> Diagnostic {
    Diagnostic::warning("G2015", loc, format!("{status} is not a failure; `catch` would replace good answers"))
}
