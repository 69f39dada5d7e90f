//! ## What
//!
//! Text of the client's is written into an answer that is no plain text.
//!
//! ## Why
//!
//! Nothing encodes it for a page or a script: a link could make the page say and do anything.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /hello/{name} -> respond 200 "<p>{name}" type "text/html"
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /hello/{name} -> respond 200 "{name}"
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The body, and the content type that was written.
pub(crate) fn into_page(loc: Loc, kind: &str) -> Diagnostic {
    Diagnostic::error("G3101", loc, format!("the request would write into a body of type `{kind}`"))
        .help("holes are written as they are: only plain text can take them", "type \"text/plain\"", None)
}
