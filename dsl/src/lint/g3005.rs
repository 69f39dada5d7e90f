//! ## What
//!
//! A limit counts by a header that every client writes itself.
//!
//! ## Why
//!
//! Each request can carry another value, so that the limit limits nobody.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     limit 10/s per header.x-forwarded-for if missing deny 400
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     limit 10/s per client.ip
//!     else -> respond 404
//! }
//! ```

use super::replace;
use crate::check::SiteInfo;
use crate::diagnostic::Diagnostic;
use crate::tree::ir::Field;

/// Headers that say where a request comes from.
const ORIGIN: &[&str] = &[
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-originating-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
];

/// Whether a field says where a request comes from.
pub(super) fn is_origin(field: &Field) -> bool {
    matches!(field, Field::Header(name) if ORIGIN.contains(&&**name))
}

/// Looks at every key that something is counted by.
pub(super) fn run(info: &SiteInfo, out: &mut Vec<Diagnostic>) {
    for key in &info.keys {
        let header = key.fields.iter().find_map(|f| match f {
            Field::Header(name) if ORIGIN.contains(&&**name) => Some(name),
            _ => None,
        });
        if let Some(name) = header {
            out.push(
                Diagnostic::error("G3005", key.loc, format!("clients write `{name}` themselves: this limit counts what they please"))
                    .note("behind a proxy of yours, `trust proxies` in gateway.route makes `client.ip` the address it names")
                    .help("count by", "client.ip", replace(key.loc, "client.ip", true)),
            );
        }
    }
}
