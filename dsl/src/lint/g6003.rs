//! ## What
//!
//! A rate lets nothing pass at once.
//!
//! ## Why
//!
//! Two requests of one page arrive within the same hundredth of a second, and the second would be refused. A
//! `burst` of 0 counts as 1; one second's worth is what stands without it.
//!
//! Where only some answers count (`on [401, 403]`), each request is held against the bucket until its answer is
//! there, so that nobody slips past by asking at once what may be asked once. A bucket of one then lets one
//! request through at a time.
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

/// `limit 5/m per client.ip on [401]`: what is under way is held against the bucket until its answer is there.
pub(crate) fn one_under_way(loc: Loc) -> Diagnostic {
    Diagnostic::warning("G6003", loc, "without a burst, a second request is refused while the first has no answer yet")
        .help("say how many may be under way, or have counted, at once", "burst 10", None)
}
