//! ## What
//!
//! A test of the file fails.
//!
//! ## Why
//!
//! Tests run on the compiled program, before it serves. A file whose test fails is refused like one that
//! does not compile: its last good version goes on, and no other file is touched. `gateway { tests off }`
//! loads files all the same; `sluice test` prints the way of the request.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /old -> redirect 302 /new
//!     else -> respond 404
//! }
//!
//! test "the old address moved for good" {
//!     request GET https://a.example.com/old
//!     expect redirect 308 /new
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /old -> redirect 308 /new
//!     else -> respond 404
//! }
//!
//! test "the old address moved for good" {
//!     request GET https://a.example.com/old
//!     expect redirect 308 /new
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::testing::{Failure, Test};

/// What is not as expected.
pub(crate) fn fails(test: &Test, failure: &Failure) -> Diagnostic {
    let message = format!("test \"{}\" fails: expected {}", test.title, failure.expected);
    let d = Diagnostic::error("G9007", failure.loc, message).at(format!("got {}", failure.got));
    match &failure.request {
        Some((request, loc)) => d.label(*loc, "of this request").note(format!("`sluice test` shows the way of {request}")),
        None => d,
    }
}
