//! ## What
//!
//! A regular expression that is none.
//!
//! ## Why
//!
//! It would match nothing, and nobody would know.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /x/{sku:"[A-Z{3}"} -> respond 200
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /x/{sku:"[A-Z]{3}"} -> respond 200
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// Why the expression does not compile.
pub(crate) fn bad(loc: Loc, pattern: &str, why: &str) -> Diagnostic {
    Diagnostic::error("G1017", loc, format!("`{pattern}` is no regular expression: {why}"))
}
