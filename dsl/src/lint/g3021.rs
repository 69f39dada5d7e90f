//! ## What
//!
//! A deadline is turned off.
//!
//! ## Why
//!
//! A slow peer can then hold a connection, and what it holds at the origin, for ever. The defaults are printed by
//! `sluice explain`; what takes longer is given its own time.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     timeout off
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     /export/* {
//!         timeout 10m
//!         -> web
//!     }
//!     else -> web
//! }
//! ```
//!
//! ## Fix
//!
//! The setting is taken away: what the gateway, the pool or the default says counts.

use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::Loc;

/// The setting, and its text where it is in the file at hand.
pub(crate) fn off(loc: Loc, head: &str, text: &str) -> Diagnostic {
    let edit = (!text.is_empty()).then(|| Edit { loc: super::g2001::whole_lines(text, loc), text: String::new(), safe: true });
    Diagnostic::warning("G3021", loc, format!("without `{head}` a slow peer can hold a connection for ever"))
        .note("the longest that it waits is then a year")
        .help("leave it out, for the default, or give a time that is long enough", "", edit)
}
