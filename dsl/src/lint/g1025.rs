//! ## What
//!
//! A condition reads a request header that was set or removed before.
//!
//! ## Why
//!
//! Conditions read the request as it arrived (rule 17): the test would see the client's value, not the one written above it.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     set request header x-team = "a"
//!     /x when header.x-team is "a" -> web
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
//!     /x when header.x-team is "a" -> web
//!     else -> web
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The header and the edit.
pub(crate) fn edited(loc: Loc, name: &str, edit: Loc) -> Diagnostic {
    Diagnostic::error(
        "G1025",
        loc,
        format!("`header.{name}` is tested as the client sent it, not as it was edited above"),
    )
    .label(edit, "edited here")
    .help("test it before it is edited, or edit another header", "", None)
}
