//! ## What
//!
//! A file reads `client.country`, and `gateway.route` does not say where countries are known from.
//!
//! ## Why
//!
//! Without a file of countries no client has one, and a condition on it would be false for everybody: what was to
//! be refused would be let in. So the file does not load until `gateway.route` names one.
//!
//! ## Wrong
//!
//! ```route
//! site shop.example.com {
//!     require client.country in ["DE", "AT", "CH"] else respond 451
//!     else -> respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! gateway {
//!     country "GeoLite2-Country.mmdb"
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// Where the country is read first.
#[must_use]
pub fn no_countries(loc: Loc) -> Diagnostic {
    Diagnostic::error("G8009", loc, "nothing says which address is in which country")
        .note("without a file of countries `client.country` would be missing for everybody")
        .help("write in gateway.route", "gateway { country \"GeoLite2-Country.mmdb\" }", None)
}
