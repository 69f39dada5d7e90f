//! ## What
//!
//! A statement or setting begins with a word that means nothing at its place.
//!
//! ## Why
//!
//! An ignored line is a line that its author believes in.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     requrie client.ip in [10.0.0.0/8] else deny
//!     -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     require client.ip in [10.0.0.0/8] else deny
//!     -> respond 404
//! }
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// An unknown statement or setting of a block.
pub(crate) fn statement(loc: Loc, word: &str, near: Option<&str>) -> Diagnostic {
    // What other gateways call it.
    let near = if word == "if" { Some("when") } else { near };
    unknown(loc, &format!("unknown statement `{word}`"), near)
}

/// An unknown setting of a pool, the gateway or its limits.
pub(crate) fn setting(loc: Loc, word: &str, place: &str, near: Option<&str>) -> Diagnostic {
    unknown(loc, &format!("unknown setting `{word}` in `{place}`"), near)
}

fn unknown(loc: Loc, message: &str, near: Option<&str>) -> Diagnostic {
    match near {
        Some(near) => Diagnostic::error("G1001", loc, format!("{message}; did you mean `{near}`?"))
            .help("did you mean", near, replace(loc, near, true)),
        None => Diagnostic::error("G1001", loc, message),
    }
}
