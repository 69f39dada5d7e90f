//! ## What
//!
//! Names are proved by HTTP-01 alone, and nothing listens on port 80.
//!
//! ## Why
//!
//! The authority asks on port 80, whatever port the gateway has. Without an answer there every order fails, and counts as a failed validation.
//!
//! ## Wrong
//!
//! ```route
//! gateway {
//!     https :443
//!
//!     acme {
//!         contact    "ops@sluice-tests.net"
//!         terms      agreed
//!         challenges [http]
//!     }
//! }
//!
//! site www.sluice-tests.net {
//!     else -> respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! gateway {
//!     http  :80
//!     https :443
//!
//!     acme {
//!         contact    "ops@sluice-tests.net"
//!         terms      agreed
//!         challenges [http]
//!     }
//! }
//!
//! site www.sluice-tests.net {
//!     else -> respond 200
//! }
//! ```

use super::l4::Together;
use crate::diagnostic::Diagnostic;
use crate::tree::ir::{Challenge, HostHead, HostPattern, Segment, Site, Tls, is_public};

/// The port that authorities ask.
const PORT: u16 = 80;

/// Looks for names that are proved by HTTP-01 alone where nobody answers it.
pub(super) fn run(all: &Together<'_>, out: &mut Vec<Diagnostic>) {
    let Some((gateway, acme)) = all.gateway.and_then(|g| Some((g, g.acme.as_ref()?))) else { return };
    // Port 0 is whatever is free: a test's.
    let answered = gateway.http.iter().any(|listener| matches!(listener.port, PORT | 0));
    if answered || acme.challenges.contains(&Challenge::TlsAlpn) || !all.sites.iter().any(|site| proved_here(site)) {
        return;
    }
    let d = "HTTP-01 is asked on port 80, where nothing listens: the challenge cannot be answered";
    let mut d = Diagnostic::warning("G4012", acme.loc, d).help("listen there", "http :80", None);
    if let Some(other) = gateway.http.iter().find(|listener| listener.loc != Default::default()) {
        d = d.label(other.loc, "clear requests arrive here; whoever hands port 80 on to it may allow this");
    }
    out.push(d.note("TLS-ALPN-01 needs no clear port: `challenges [tls-alpn, http]`"));
}

/// Whether a site has names that HTTP-01 proves.
fn proved_here(site: &Site) -> bool {
    let public = |host: &HostPattern| match &host.head {
        HostHead::Label(Segment::Lit(_)) => host.literal().is_some_and(|host| is_public(&host)),
        HostHead::Label(Segment::Capture { .. }) | HostHead::Many => {
            site.settings.tls == Tls::OnDemand && (host.parent.is_empty() || is_public(&format!("x.{}", host.parent)))
        }
    };
    matches!(site.settings.tls, Tls::Auto | Tls::OnDemand) && site.via.is_none() && site.hosts.iter().any(|(host, _)| public(host))
}
