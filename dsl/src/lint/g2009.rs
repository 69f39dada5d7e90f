//! ## What
//!
//! The shares of a split do not add up to 100 %.
//!
//! ## Why
//!
//! The rest of the requests would have nowhere to go, or some share would be smaller than it says.
//!
//! ## Wrong
//!
//! ```route
//! pool a = 10.0.0.1:80
//! pool b = 10.0.0.2:80
//!
//! site a.example.com {
//!     else -> 90% a, 5% b by client.ip
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool a = 10.0.0.1:80
//! pool b = 10.0.0.2:80
//!
//! site a.example.com {
//!     else -> 95% a, 5% b by client.ip
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The sum in ten-thousandths.
pub(crate) fn total(loc: Loc, basis_points: u64) -> Diagnostic {
    Diagnostic::error("G2009", loc, format!("the shares add up to {} %", percent(basis_points)))
        .help("shares add up to 100 %", "", None)
}

fn percent(basis_points: u64) -> String {
    let text = format!("{}.{:02}", basis_points / 100, basis_points % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
