//! ## What
//!
//! A file has tests, and none of them reaches this route.
//!
//! ## Why
//!
//! What no test goes through may change its meaning unseen. `sluice test --coverage` shows it line by line. A file
//! without any test is left alone.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /x   -> respond 200 "x"
//!     else -> respond 404
//! }
//!
//! test "x is there" {
//!     request GET https://a.example.com/x
//!     expect respond 200 "x"
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /x   -> respond 200 "x"
//!     else -> respond 404
//! }
//!
//! test "x is there and nothing else" {
//!     request GET https://a.example.com/x
//!     expect respond 200 "x"
//!
//!     request GET https://a.example.com/y
//!     expect 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::FileId;
use crate::testing::{Coverage, What};

/// Routes of a file that its tests did not go through.
#[must_use]
pub fn unreached(coverage: &Coverage, file: FileId) -> Vec<Diagnostic> {
    let points = coverage.points(|f| f == file);
    let (all, seen) = points.iter().map(|p| p.outcomes()).fold((0, 0), |(a, s), (all, seen)| (a + all, s + seen));
    let percent = (seen * 100).checked_div(all).unwrap_or(100);
    let routes = points.iter().filter(|p| p.what == What::Route && p.missing().is_some());
    routes
        .map(|p| Diagnostic::hint("G9001", p.loc, format!("no test reaches this route (coverage {percent} %)")))
        .collect()
}
