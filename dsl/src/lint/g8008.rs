//! ## What
//!
//! A directory or file that a route names is not there.
//!
//! ## Why
//!
//! Until it is, every request that comes to the route is answered 404. It may be put there later, so this
//! does not keep the file from loading.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     else -> files "pubilc"
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

/// The path as written, and whether it should be a directory.
pub fn missing(loc: Loc, path: &str, directory: bool) -> Diagnostic {
    let kind = if directory { "directory" } else { "file" };
    Diagnostic::warning("G8008", loc, format!("there is no {kind} `{path}` beside this file"))
        .note("until there is, requests that come here are answered 404")
}
