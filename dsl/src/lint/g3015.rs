//! ## What
//!
//! A secret would leave the gateway.
//!
//! ## Why
//!
//! Secrets flow only into parameters that are declared `secret`.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     set response header x-key = secret.k
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The place where it would leave.
pub(crate) fn leaves(loc: Loc) -> Diagnostic {
    Diagnostic::error("G3015", loc, "a secret would leave the gateway here")
        .note("a secret stands in `key: secret.x`, in `… is secret.x` and `… in secret.keys`, and in parameters of type `secret`")
}

/// A comparison that would tell something of it, byte by byte.
pub(crate) fn compared(loc: Loc) -> Diagnostic {
    Diagnostic::error("G3015", loc, "this comparison would tell parts of a secret")
        .help("compare the whole of it", "header.x-api-key in secret.keys", None)
}
