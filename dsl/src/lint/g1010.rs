//! ## What
//!
//! A value is compared with a quoted one of another type, or the other way round; quotes are all that is wrong.
//!
//! ## Why
//!
//! `client.ip is "10.0.0.1"` would compare an address with a text and never hold.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     require client.ip is "10.0.0.1" else deny
//!     else -> respond 200 "in"
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     require client.ip is 10.0.0.1 else deny
//!     else -> respond 200 "in"
//! }
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// `want` is compared with `found`; `text` is how it is written rightly.
pub(crate) fn quotes(loc: Loc, want: &str, found: &str, text: &str) -> Diagnostic {
    Diagnostic::error("G1010", loc, format!("{want} is compared with {found}; write `{text}`"))
        .help("write", text, replace(loc, text, true))
}
