//! ## What
//!
//! A site accepts versions of TLS that are broken.
//!
//! ## Why
//!
//! TLS 1.0 and 1.1 are withdrawn (RFC 8996). The default, 1.2 and later, is what every browser of the last ten years
//! speaks.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     tls min 1.0
//!     else -> respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     tls min 1.2
//!     else -> respond 200
//! }
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The version, where it is weak.
pub(crate) fn version(loc: Loc, version: &str) -> Option<Diagnostic> {
    matches!(version, "1.0" | "1.1" | "1" | "3.0").then(|| {
        Diagnostic::warning("G4005", loc, format!("TLS {version} is weak; the default, 1.2 and later, is stronger"))
            .note("1.2 and 1.3 are the versions that this gateway speaks, whatever is written here")
            .help("write", "1.2", replace(loc, "1.2", true))
    })
}
