//! ## What
//!
//! A path that a route file names leads out of the file's folder.
//!
//! ## Why
//!
//! Whoever may write a route file may serve what lies beside it, and nothing else of the machine. Links
//! are followed before this is judged.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     else -> files "../../etc"
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     else -> files "public"
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The path as written.
pub fn outside(loc: Loc, path: &str) -> Diagnostic {
    Diagnostic::error("G8007", loc, format!("`{path}` leads out of this file's folder"))
        .note("what a route file names lies beside it or below, links resolved")
}
