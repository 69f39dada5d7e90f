//! ## What
//!
//! A look-up that leads to a pool, without `else`.
//!
//! ## Why
//!
//! A key that no row has leads nowhere. It is answered 404, which nobody wrote down.
//!
//! ## Wrong
//!
//! ```route
//! pool gold = 10.0.0.1:80
//!
//! table tenants {
//!     "acme" -> gold
//! }
//!
//! site {tenant}.example.app {
//!     else -> tenants[tenant]
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool gold = 10.0.0.1:80
//!
//! table tenants {
//!     "acme" -> gold
//! }
//!
//! site {tenant}.example.app {
//!     else -> tenants[tenant] else respond 404
//! }
//! ```
//!
//! ## Fix
//!
//! The words are added. The 404 is then an answer of the route, with an empty body, and not counted as a request without a route.

use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};

/// The look-up; `action` is all that stands behind the arrow.
pub(crate) fn no_else(loc: Loc, action: Loc) -> Diagnostic {
    let end = Span { start: action.span.end, end: action.span.end };
    let edit = Edit { loc: Loc { span: end, ..action }, text: " else respond 404".into(), safe: true };
    Diagnostic::warning("G2013", loc, "a key that no row has leads nowhere: it is answered 404")
        .help("say so", "else respond 404", Some(edit))
}
