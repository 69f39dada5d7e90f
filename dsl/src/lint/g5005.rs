//! ## What
//!
//! The tries of a `retry` do not fit into the time there is.
//!
//! ## Why
//!
//! The last one would begin when the time is over: it is written and never made, unless those before it fail sooner.
//!
//! ## Wrong
//!
//! ```route
//! pool web {
//!     10.0.0.1:80
//!     10.0.0.2:80
//!     check tcp
//!     retry 3 each 5s within 10s
//! }
//!
//! site a.example.com {
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web {
//!     10.0.0.1:80
//!     10.0.0.2:80
//!     check tcp
//!     retry 1 each 5s within 10s
//! }
//!
//! site a.example.com {
//!     else -> web
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::Retry;
use crate::tree::upstream_text::duration;

/// Whether the last try of a retry would begin when so many milliseconds are over.
pub(crate) fn too_late(retry: &Retry, bound_ms: u64) -> bool {
    retry.each_ms.is_some_and(|each| each.saturating_mul(u64::from(retry.times)) >= bound_ms)
}

/// The retry, and what bounds it: `within`, or a `timeout` elsewhere.
pub(crate) fn never_begins(loc: Loc, retry: &Retry, bound: &str, bound_ms: u64, at: Option<Loc>) -> Diagnostic {
    let (tries, each) = (retry.times + 1, duration(retry.each_ms.unwrap_or_default()));
    let all = duration(bound_ms);
    let message = format!("{tries} tries of {each} do not fit in {all}: the last would begin when `{bound}` is over");
    let d = Diagnostic::warning("G5005", loc, message);
    match at {
        Some(at) => d.label(at, "it is said here"),
        None => d,
    }
}
