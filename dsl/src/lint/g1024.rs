//! ## What
//!
//! A setting's words are not what it takes.
//!
//! ## Why
//!
//! A half-understood setting is a wrong one.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     timeout 400d
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     timeout 30s
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// A value out of its range; the message says which is taken.
pub(crate) fn range(loc: Loc, message: &str) -> Diagnostic {
    Diagnostic::error("G1024", loc, message)
}

/// Not one of the words that it takes.
pub(crate) fn one_of(loc: Loc, setting: &str, known: &[&str], near: Option<&str>) -> Diagnostic {
    let list: Vec<String> = known.iter().map(|k| format!("`{setting} {k}`")).collect();
    let message = format!("`{setting}` is said as {}", list.join(", "));
    match near {
        Some(near) => Diagnostic::error("G1024", loc, format!("{message}; did you mean `{setting} {near}`?"))
            .help("did you mean", format!("{setting} {near}"), None),
        None => Diagnostic::error("G1024", loc, message),
    }
}

/// Not the shape that it has.
pub(crate) fn shape(loc: Loc, setting: &str, shape: &str) -> Diagnostic {
    Diagnostic::error("G1024", loc, format!("`{setting}` takes {shape}"))
}

/// `tls client …`: client certificates have one spelling.
pub(crate) fn client_cert(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1024", loc, "client certificates are asked for with `client cert`, which says whom they come from")
        .help("for those that must show one, write", "client cert from \"pki/clients.pem\"", None)
        .help("for those that may, write", "client cert optional from \"pki/clients.pem\"", None)
}

/// `/quic` behind the port of a `tcp` or `udp`.
pub(crate) fn quic(loc: Loc, item: &str) -> Diagnostic {
    Diagnostic::error("G1024", loc, format!("`/quic` is not said of `{item}`"))
        .note("QUIC to a host is handed on by `passthrough HOST -> pool`, on the ports of the gateway's `https` listeners; `udp` hands on any datagrams, QUIC or not")
}
