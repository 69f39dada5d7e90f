//! ## What
//!
//! A value, function or policy needs itself.
//!
//! ## Why
//!
//! Everything is inlined; this would never end.
//!
//! ## Wrong
//!
//! ```route
//! policy a {
//!     use b
//! }
//!
//! policy b {
//!     use a
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! policy a {
//!     use b
//! }
//!
//! policy b {
//!     set response header x-b = "1"
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// `kind` is `value`, `function` or `policy`.
pub(crate) fn recursive(loc: Loc, kind: &str, name: &str) -> Diagnostic {
    Diagnostic::error("G1019", loc, format!("the {kind} `{name}` needs itself"))
}
