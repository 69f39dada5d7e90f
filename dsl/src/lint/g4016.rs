//! ## What
//!
//! A file of certificates that a site names cannot be used.
//!
//! ## Why
//!
//! Without its certificate no handshake of the site would succeed; without the authorities of its clients anybody,
//! or nobody, would be let in.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     tls file "pki/a.pem" key "pki/b.key"
//!     else -> respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     tls file "pki/a.pem" key "pki/a.key"
//!     else -> respond 200
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// Which file, why, and what to do.
pub fn unusable(loc: Loc, file: &str, why: &str, help: &str) -> Diagnostic {
    Diagnostic::error("G4016", loc, format!("`{file}` cannot be used: {why}")).note(help)
}
