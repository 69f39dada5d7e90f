//! ## What
//!
//! A header is read whose name is a known one with a slip.
//!
//! ## Why
//!
//! No request carries it: the condition never holds, the key is never there, and nothing says so. Names that are
//! nobody's are left alone.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     require header.autorization else deny 401
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
//!     require header.authorization else deny 401
//!     else -> web
//! }
//! ```
//!
//! ## Fix
//!
//! The name that is known takes the place of the other: what asks for it asks for what clients send.

use super::replace;
use super::slip::slip;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// What requests are known to carry, sorted: the registry of HTTP fields, and what proxies, browsers and
/// tracing add.
const KNOWN: &[&str] = &[
    "accept", "accept-charset", "accept-encoding", "accept-language", "access-control-request-headers",
    "access-control-request-method", "authorization", "baggage", "cache-control", "cdn-loop", "cf-connecting-ip",
    "cf-ipcountry", "cf-ray", "connection", "content-digest", "content-disposition", "content-encoding",
    "content-language", "content-length", "content-location", "content-range", "content-type", "cookie", "date",
    "device-memory", "downlink", "early-data", "expect", "fastly-client-ip", "forwarded", "from", "grpc-timeout",
    "host", "idempotency-key", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
    "keep-alive", "last-event-id", "last-modified", "max-forwards", "origin", "pragma", "prefer", "priority",
    "proxy-authorization", "range", "referer", "save-data", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform",
    "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "sec-websocket-extensions",
    "sec-websocket-key", "sec-websocket-protocol", "sec-websocket-version", "signature", "signature-input",
    "traceparent", "tracestate", "transfer-encoding", "true-client-ip", "upgrade", "upgrade-insecure-requests",
    "user-agent", "via", "x-amzn-trace-id", "x-api-key", "x-auth-token", "x-client-ip", "x-correlation-id",
    "x-csrf-token", "x-device-id", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix",
    "x-forwarded-proto", "x-forwarded-server", "x-hub-signature", "x-hub-signature-256", "x-original-url",
    "x-real-ip", "x-request-id", "x-requested-with", "x-rewrite-url", "x-session-id", "x-tenant-id", "x-user-id",
    "x-xsrf-token",
];

/// Names that everybody mistakes, and what they are.
const MISTAKEN: &[(&str, &str)] = &[
    ("authorisation", "authorization"),
    ("ip-none-match", "if-none-match"),
    ("referrer", "referer"),
    ("useragent", "user-agent"),
    ("contenttype", "content-type"),
    ("x-forward-for", "x-forwarded-for"),
    ("x-forward-proto", "x-forwarded-proto"),
    ("x-forward-host", "x-forwarded-host"),
    ("x-forwarded-protocol", "x-forwarded-proto"),
];

/// What a name that nobody sends is meant to be.
fn meant(name: &str) -> Option<&'static str> {
    if KNOWN.binary_search(&name).is_ok() {
        return None;
    }
    let mistaken = MISTAKEN.iter().find(|(wrong, _)| *wrong == name).map(|(_, right)| *right);
    mistaken.or_else(|| KNOWN.iter().find(|known| slip(name, known)).copied())
}

/// Looks at a header where it is read: its name.
pub(crate) fn read(loc: Loc, name: &str) -> Option<Diagnostic> {
    let near = meant(name)?;
    let message = format!("no request is known to carry `{name}`; did you mean `{near}`?");
    Some(Diagnostic::warning("G1014", loc, message).help("did you mean", near, replace(loc, near, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_sorted_and_none_is_a_slip() {
        assert!(KNOWN.is_sorted());
        for name in KNOWN {
            assert_eq!(meant(name), None);
        }
        assert_eq!(meant("x-forwared-for"), Some("x-forwarded-for"));
        for own in ["x-client-id", "x-user", "x-api-keys", "x-tenant", "accepts", "x-real-id", "beta", "origins"] {
            assert_eq!(meant(own), None, "{own}");
        }
    }
}
