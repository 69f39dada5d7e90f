//! ## What
//!
//! A site answers every name of a pattern, and one of these names is passed through.
//!
//! ## Why
//!
//! A certificate for the pattern would be good for that name too, so that a browser may send its requests for it on an HTTP/2 connection to the site; they are answered 421 (RFC 9110, section 7.4) and tried again. Certificates that the gateway makes itself are for one name each, so that this needs a certificate from elsewhere.
//!
//! ## Wrong
//!
//! ```route
//! pool app = 10.0.1.10:3000
//! pool vault = 10.8.0.5:8443
//!
//! site *.bank.example {
//!     else -> app
//! }
//!
//! passthrough vault.bank.example -> vault
//! ```
//!
//! ## Right
//!
//! ```route
//! pool app = 10.0.1.10:3000
//! pool vault = 10.8.0.5:8443
//!
//! site *.bank.example {
//!     else -> app
//! }
//!
//! passthrough vault.internal.bank.example -> vault
//! ```

use super::l4::Together;
use super::show;
use crate::diagnostic::Diagnostic;
use crate::region::Algebra;
use crate::tree::ir::{HostHead, HostPattern, Segment, Tls};

/// Looks for passthrough hosts inside the patterns of sites.
pub(super) fn run(all: &Together<'_>, out: &mut Vec<Diagnostic>) {
    let mut algebra = Algebra::hosts();
    for (host, loc) in all.passthroughs.iter().flat_map(|p| &p.hosts) {
        let covers = |pattern: &HostPattern, algebra: &mut Algebra| {
            // A certificate has `*` for one label, so that it covers no name below `**` but those.
            let near = host.parent == pattern.parent && !pattern.parent.is_empty();
            let open = !matches!(pattern.head, HostHead::Label(Segment::Lit(_)));
            near && open
                && matches!(host.head, HostHead::Label(_))
                && matches!(algebra.host_inside(host, pattern), Ok(true))
        };
        let site = all.sites.iter().filter(|site| site.settings.tls != Tls::Off).find_map(|site| {
            site.hosts.iter().find(|(pattern, _)| covers(pattern, &mut algebra))
        });
        if let Some((pattern, at)) = site {
            let (host, pattern) = (show::host(host), show::host(pattern));
            let d = format!("a certificate for `{pattern}` covers `{host}` too, which is passed through");
            out.push(
                Diagnostic::hint("G7006", *loc, d)
                    .label(*at, "the site that would have it")
                    .note("HTTP/2 clients may send its requests on a connection to the site, and are answered 421")
                    .note("the gateway's own certificates are for one name each, and cause none of this"),
            );
        }
    }
}
