//! ## What
//!
//! A secret that a file names is not at hand, or is no key, or no list of users or keys, where it has to be one.
//!
//! ## Why
//!
//! Secrets come from the directory that `secrets from` in `gateway.route` names, a file for each, or from
//! `$CREDENTIALS_DIRECTORY`. Without its secret, what the file protects would stand open or not work at
//! all, so the gateway does not load it until the secret is there. `sluice lint` says it as a hint: where
//! files are checked, secrets are often not.
//!
//! What signs (`jwt` with HS256, `signed`, `start session`) needs keys of 32 bytes or more in each line of its
//! secret: a shorter one can be guessed from one token, by trying (RFC 7518 section 3.2).
//!
//! ## Wrong
//!
//! ```route
//! pool web {
//!     10.0.0.1:80
//!     sticky cookie "route" key secret.stikcy
//! }
//! site a.example.com {
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web {
//!     10.0.0.1:80
//!     sticky cookie "route" key secret.sticky
//! }
//! site a.example.com {
//!     else -> web
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The secret, and why its lines are no keys. Its content is not told.
pub fn no_key(loc: Loc, name: &str, why: &str) -> Diagnostic {
    Diagnostic::error("G3025", loc, format!("secret `{name}` is no key to sign with")).note(why)
}

/// The secret, and why its lines are no users or no keys. What may be a password is not told.
pub fn no_lines(loc: Loc, name: &str, why: &str) -> Diagnostic {
    Diagnostic::error("G3025", loc, format!("secret `{name}` has a line that cannot be read")).note(why)
}

/// The secret, and why there is none.
pub fn no_secret(loc: Loc, name: &str, why: &str) -> Diagnostic {
    Diagnostic::error("G3025", loc, format!("secret `{name}` cannot be had")).note(why)
}
