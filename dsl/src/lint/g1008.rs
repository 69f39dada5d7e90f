//! ## What
//!
//! Modules import each other in a circle.
//!
//! ## Why
//!
//! What a name means would depend on which file is read first.
//!
//! ## Wrong
//!
//! ```route
//! # sites/a.route
//! import ./b
//! ```
//!
//! ## Right
//!
//! ```route
//! # sites/a.route, after what both need went to ./shared
//! import ./shared
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The modules of the circle, the first one again at the end.
pub(crate) fn cycle(loc: Loc, names: &[String]) -> Diagnostic {
    Diagnostic::error("G1008", loc, format!("import cycle: {}", names.join(" → ")))
        .help("move what both need into a file of its own and import that", "", None)
}
