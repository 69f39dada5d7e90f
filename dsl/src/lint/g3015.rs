//! ## What
//!
//! A secret would leave the gateway.
//!
//! ## Why
//!
//! Secrets flow only into parameters that are declared `secret`.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     set response header x-key = secret.k
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The place where it would leave.
pub(crate) fn leaves(loc: Loc) -> Diagnostic {
    Diagnostic::error("G3015", loc, "a secret would leave the gateway here")
}
