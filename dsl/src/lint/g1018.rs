//! ## What
//!
//! A name that is visible already is declared again.
//!
//! ## Why
//!
//! Two readers would take it for two things (rule 12).
//!
//! ## Wrong
//!
//! ```route
//! pool team = 10.0.0.1:80
//!
//! site a.example.com {
//!     /t/{team} -> team
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool team = 10.0.0.1:80
//!
//! site a.example.com {
//!     /t/{name} -> team
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// A name of the language.
pub(crate) fn builtin(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1018", loc, format!("`{name}` is a name of the language and cannot be declared again"))
}

/// A name that is visible already.
pub(crate) fn taken(loc: Loc, name: &str, first: Loc) -> Diagnostic {
    Diagnostic::error("G1018", loc, format!("`{name}` is already the name of something here")).label(first, "declared here")
}

/// Two imports under one name.
pub(crate) fn import(loc: Loc, alias: &str) -> Diagnostic {
    Diagnostic::error("G1018", loc, format!("a module is already known as `{alias}` here"))
        .help("give it another name", format!("as {alias}-2"), None)
}
