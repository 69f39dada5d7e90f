//! ## What
//!
//! A header that cannot be edited.
//!
//! ## Why
//!
//! Framing is the gateway's: a message with two lengths is how requests are smuggled.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     set request header host = "b.example.com"
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
//!     else -> web host b.example.com
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// A name that is no header's.
pub(crate) fn no_header(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1028", loc, format!("`{name}` cannot be the name of a header"))
}

/// A header that frames the message.
pub(crate) fn framing(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1028", loc, format!("`{name}` frames the message and is written by the gateway alone"))
}

/// The Host of a request.
pub(crate) fn host(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1028", loc, "the Host that is sent is said behind the pool")
        .help("write", "-> pool host NAME", None)
}

/// `remove` with a value, `set` without.
pub(crate) fn shape(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1028", loc, "`set` and `add` take a value, `remove` takes none")
}
