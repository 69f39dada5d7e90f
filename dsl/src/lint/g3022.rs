//! ## What
//!
//! `without` takes a policy away from everything below a path.
//!
//! ## Why
//!
//! What is added there later is open, and nobody who adds it sees that. Each exception is written out, as one path
//! (rule 5).
//!
//! ## Wrong
//!
//! ```route
//! import std/auth
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.only-from([10.0.0.0/8])
//!         ./public/* without auth.only-from -> respond 200
//!         else -> respond 200 "in"
//!     }
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! import std/auth
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.only-from([10.0.0.0/8])
//!         ./public/help without auth.only-from -> respond 200
//!         else -> respond 200 "in"
//!     }
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The policy, and the path as it is written.
pub(crate) fn subtree(loc: Loc, name: &str, path: &str) -> Diagnostic {
    let below = if path.is_empty() { "this path".to_owned() } else { format!("`{}`", path.trim_end_matches('*')) };
    Diagnostic::error("G3022", loc, format!("`without {name}` would remove the check for everything below {below}"))
        .help("name each path that is open, without `*`", "", None)
}
