//! ## What
//!
//! A wildcard certificate stands where hosts have more labels than it covers.
//!
//! ## Why
//!
//! `*` in a certificate is exactly one label: the handshake of `a.b.example.com` would fail in every client.
//!
//! ## Wrong
//!
//! ```route
//! site **.example.com {
//!     tls file "pki/wildcard.example.com.pem" key secret.tls-key
//!     else -> respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site *.example.com {
//!     tls file "pki/wildcard.example.com.pem" key secret.tls-key
//!     else -> respond 200
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::HostPattern;

/// A pattern of any depth, behind a certificate for one label.
pub fn one_label(loc: Loc, host: &HostPattern, at: Loc) -> Diagnostic {
    let parent = &host.parent;
    let message = format!("`*.{parent}` in a certificate is one label: `a.b.{parent}` would fail the handshake");
    Diagnostic::error("G4003", loc, message)
        .label(at, "takes hosts of any depth")
        .help("serve what the certificate covers", format!("site *.{parent}"), super::replace(at, &format!("*.{parent}"), false))
        .note("for hosts of any depth each needs a certificate of its own: `tls on-demand { allow when … }`")
}
