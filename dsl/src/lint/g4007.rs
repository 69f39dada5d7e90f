//! ## What
//!
//! Certificates on demand are not bounded.
//!
//! ## Why
//!
//! A scan of names can use up what the authority grants in an hour, and then nobody gets one.
//!
//! ## Wrong
//!
//! ```route
//! pool control = 10.0.9.5:8080
//!
//! site {tenant}.example.app {
//!     tls on-demand {
//!         allow when ask(control, GET /tenants/{tenant})
//!     }
//!     else -> respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool control = 10.0.9.5:8080
//!
//! site {tenant}.example.app {
//!     tls on-demand {
//!         allow when ask(control, GET /tenants/{tenant})
//!         limit 20/h
//!     }
//!     else -> respond 200
//! }
//! ```
//!
//! ## Fix
//!
//! A limit of twenty certificates an hour is added.

use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};

/// `tls on-demand { … }` without `limit`; its block, and the text of the file where it is at hand.
pub(crate) fn unbounded(loc: Loc, block: Loc, text: &str) -> Diagnostic {
    let d = Diagnostic::warning("G4007", loc, "a scan of names can use up what the authority grants");
    let brace = (block.span.end as usize).saturating_sub(1);
    let edit = text.get(..brace).and_then(|before| {
        let line = before.rfind('\n').map_or(0, |n| n + 1);
        let indent = &before[line..];
        indent.trim().is_empty().then(|| Edit {
            loc: Loc { file: block.file, span: Span::new(line, line) },
            text: format!("{indent}    limit 20/h\n"),
            safe: true,
        })
    });
    d.help("bound them", "limit 20/h", edit)
}
