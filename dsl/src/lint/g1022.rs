//! ## What
//!
//! A statement stands where it has no meaning.
//!
//! ## Why
//!
//! An endpoint in a site, a route in a pool: nothing would happen.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /x/* {
//!         tls off
//!         -> respond 404
//!     }
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     tls off
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// Anything but endpoints and settings in a pool.
pub(crate) fn in_pool(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "a pool holds endpoints and settings, nothing else")
}

/// A pool without endpoints.
pub(crate) fn empty_pool(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("the pool `{name}` has no endpoint"))
        .help("add one", "127.0.0.1:8000", None)
}

/// A setting of a whole site, elsewhere.
pub(crate) fn site_only(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("`{name}` is said of a whole site, not of a block or in a policy"))
}

/// Something of a policy that cannot depend on a request.
pub(crate) fn conditional(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("a policy with `{name}` cannot be used under a condition"))
        .help("write a block with the condition and use the policy inside it", "", None)
}

/// `-> pool else …` (LANGUAGE rule 1).
pub(crate) fn else_of_pool(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "`else` behind a pool has no meaning: only tables, `require` and routes have an `else`")
        .help("for a pool that fails, write above the routes", "catch [502, 503, 504] -> respond 503", None)
}

/// A pool or files where the gateway itself must answer.
pub(crate) fn own_answer(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "only `deny`, `respond` or `redirect` can stand here")
}

/// A `catch` block with more than an arrow.
pub(crate) fn catch_block(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "the block of a `catch` holds one arrow, nothing else")
}

/// An endpoint outside a pool (LANGUAGE rule 13).
pub(crate) fn endpoint(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "an endpoint stands only in a pool")
}

/// A row outside a table (LANGUAGE rule 13).
pub(crate) fn row(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "a row stands only in a table")
}

/// A statement in `gateway`.
pub(crate) fn in_gateway(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "`gateway` holds settings, nothing else")
}
