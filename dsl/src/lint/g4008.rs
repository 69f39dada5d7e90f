//! ## What
//!
//! A pool would not verify whom it talks to.
//!
//! ## Why
//!
//! The upstream could be anybody. There is no way to say this: a certificate of one's own making is trusted by its CA or by its key.
//!
//! ## Wrong
//!
//! ```route
//! pool ledger {
//!     https://ledger.internal:8443
//!     tls {
//!         verify off
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
//!         trust "pki/ledger-ca.pem"
//!     }
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// Words that other programs have for it.
pub(crate) const WORDS: &[&str] =
    &["verify", "insecure", "skip-verify", "insecure-skip-verify", "tls-insecure-skip-verify", "verification"];

/// The word.
pub(crate) fn off(loc: Loc, word: &str) -> Diagnostic {
    Diagnostic::error("G4008", loc, format!("there is no `{word}`: without verification the upstream could be anybody"))
        .help("trust the authority that made its certificate", "trust \"pki/ca.pem\"", None)
        .help("or its key", "pin sha256 \"…base64 of the SHA-256 of its public key…\"", None)
}
