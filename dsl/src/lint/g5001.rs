//! ## What
//!
//! An endpoint is listed twice in a pool.
//!
//! ## Why
//!
//! It gets a double share; that is what `weight` says.
//!
//! ## Wrong
//!
//! ```route
//! pool a = 10.0.0.1:80, 10.0.0.1:80
//! ```
//!
//! ## Right
//!
//! ```route
//! pool a {
//!     10.0.0.1:80 weight 2
//!     10.0.0.2:80
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The endpoint, and where it stands first.
pub(crate) fn twice(loc: Loc, endpoint: &str, first: Loc) -> Diagnostic {
    Diagnostic::warning("G5001", loc, format!("{endpoint} is listed twice"))
        .label(first, "listed here first")
        .help("for a double share write", format!("{endpoint} weight 2"), None)
}
