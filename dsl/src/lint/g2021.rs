//! ## What
//!
//! A pathless `when` refuses or redirects, beside longer paths.
//!
//! ## Why
//!
//! The longer paths win over it, so that their requests are not refused (rule 2).
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     when client.ip not in [10.0.0.0/8] -> deny
//!     /api/* -> web
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     require not (client.ip not in [10.0.0.0/8]) else deny
//!     /api/* -> web
//!     else -> web
//! }
//! ```

use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};

/// The statement, the word of its answer, a longer path; the file's text with its parts.
pub(crate) fn refuses(loc: Loc, word: &str, longer: Loc, text: &str, cond: Span, action: Span) -> Diagnostic {
    let d = Diagnostic::error(
        "G2021",
        loc,
        format!("this `{word}` does not hold for the longer paths of its block, which win over it"),
    )
    .label(longer, "wins over it");
    match (text.get(cond.range()), text.get(action.range())) {
        (Some(cond), Some(action)) => {
            let paste = format!("require not ({cond}) else {action}");
            d.help("write above the routes", paste.clone(), Some(Edit { loc, text: paste, safe: false }))
        }
        _ => d.help("write `require` above the routes", "", None),
    }
}
