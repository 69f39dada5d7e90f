//! ## What
//!
//! A rate lets nothing pass at once.
//!
//! ## Why
//!
//! Two requests of one page arrive within the same hundredth of a second, and the second would be refused. A
//! `burst` of 0 counts as 1; one second's worth is what stands without it.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     limit 100/s burst 0 per client.ip
//!     else -> respond 200 "in"
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     limit 100/s burst 200 per client.ip
//!     else -> respond 200 "in"
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// `burst 0`
pub(crate) fn no_burst(loc: Loc) -> Diagnostic {
    Diagnostic::warning("G6003", loc, "without a burst, two requests in the same 10 ms are refused")
        .help("leave `burst` out for one second's worth, or say how many may come at once", "", None)
}
