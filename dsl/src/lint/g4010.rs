//! ## What
//!
//! A pool pins one key.
//!
//! ## Why
//!
//! When the key changes, nothing can be reached until the pin is changed too. The next key's digest can be written before.
//!
//! ## Wrong
//!
//! ```route
//! pool ledger {
//!     https://ledger.internal:8443
//!     tls {
//!         pin sha256 "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
//!     }
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool ledger {
//!     https://ledger.internal:8443
//!     tls {
//!         pin sha256 "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="
//!     }
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// Where the pin is said.
pub(crate) fn one(loc: Loc) -> Diagnostic {
    Diagnostic::warning("G4010", loc, "when this key changes the pool is down: one `pin` is written")
        .help("write the next key's digest behind it", ", \"…\"", None)
}
