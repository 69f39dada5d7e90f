//! ## What
//!
//! A condition or a key reads what is not known of a connection.
//!
//! ## Why
//!
//! `tcp`, `udp` and `passthrough` hand bytes on unread: there is no header, no path, and a name only where a hello is read.
//!
//! ## Wrong
//!
//! ```route
//! pool vault = 10.8.0.5:8443
//!
//! passthrough vault.bank.example {
//!     limit 10/s per header.x-api-key
//!     -> vault
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool vault = 10.8.0.5:8443
//!
//! passthrough vault.bank.example {
//!     limit 10/s per client.ip
//!     -> vault
//! }
//! ```

use crate::check::l4::Kind;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::Field;

/// Why a field is not known of these connections.
fn why(field: &Field, kind: Kind) -> String {
    let what = match field {
        Field::Header(_) => "headers",
        Field::Cookie(_) => "cookies",
        Field::TlsSni | Field::TlsAlpn | Field::TlsVersion => {
            return match (kind, field) {
                (Kind::Passthrough | Kind::TcpTls, Field::TlsVersion) => "no version here: it is read only in a `site`".into(),
                (Kind::TcpTls, _) => "no protocol here: a `tcp` that ends TLS chooses none".into(),
                (Kind::Tcp, Field::TlsSni) => "no name here: it is read by `passthrough`, and where `tls auto` ends TLS".into(),
                (Kind::Udp, _) => "no TLS here: the bytes are not read".into(),
                _ => "no TLS here: the hello is read by `passthrough`".into(),
            };
        }
        Field::TlsCert(_) => return "no client certificate here: it is asked for by a `site` with `client cert`".into(),
        _ => "request",
    };
    match kind {
        Kind::Passthrough => format!("no {what} here: the bytes stay encrypted"),
        Kind::Tcp | Kind::TcpTls | Kind::Udp => format!("no {what} here: the bytes are not read"),
    }
}

/// What can be read instead.
fn known(kind: Kind) -> &'static str {
    match kind {
        Kind::Passthrough => "known of a connection: `client.ip`, `client.port`, `tls.sni`, `tls.alpn`",
        Kind::TcpTls => "known of a connection: `client.ip`, `client.port`, `tls.sni`",
        Kind::Tcp | Kind::Udp => "known of a connection: `client.ip`, `client.port`",
    }
}

/// The field where it is named.
pub(crate) fn unread(loc: Loc, field: &Field, kind: Kind) -> Diagnostic {
    Diagnostic::error("G7002", loc, format!("`{field}`: {}", why(field, kind))).note(known(kind))
}

/// A policy that reads it.
pub(crate) fn in_policy(loc: Loc, policy: &str, field: &Field, kind: Kind, at: Loc) -> Diagnostic {
    Diagnostic::error("G7002", loc, format!("`{policy}` reads `{field}`: {}", why(field, kind)))
        .label(at, "it is read here")
        .note(known(kind))
}

/// A pool balanced by a name that these connections do not have.
pub(crate) fn no_name(loc: Loc, kind: Kind, setting: Loc) -> Diagnostic {
    Diagnostic::error("G7002", loc, format!("this pool is balanced by `tls.sni`, and {}", why(&Field::TlsSni, kind)))
        .label(setting, "the pool says so here")
}

/// A pool balanced by what only a request has.
pub(crate) fn no_key(loc: Loc, field: &Field, kind: Kind, setting: Loc) -> Diagnostic {
    Diagnostic::error("G7002", loc, format!("this pool is balanced by `{field}`: {}", why(field, kind)))
        .label(setting, "the pool says so here")
        .note(known(kind))
}
