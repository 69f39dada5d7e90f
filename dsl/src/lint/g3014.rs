//! ## What
//!
//! A token is accepted that anybody can make.
//!
//! ## Why
//!
//! `alg: none` says that nobody signed it: whoever can write a cookie could be anybody.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     let who = jwt(cookie.sid, key: secret.session-key, iss: "sluice", aud: host, alg: none)
//!     require who else deny 401
//!     else -> respond 200 "in"
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     let who = jwt(cookie.sid, key: secret.session-key, iss: "sluice", aud: host, alg: HS256)
//!     require who else deny 401
//!     else -> respond 200 "in"
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// `alg: none`
pub(crate) fn none(loc: Loc) -> Diagnostic {
    Diagnostic::error("G3014", loc, "a token that nobody signed can be made by anyone")
        .help("leave `alg` out, so that the kind of the key decides, or name one", "alg: ES256", None)
}
