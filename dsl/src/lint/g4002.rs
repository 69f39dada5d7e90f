//! ## What
//!
//! A site with an open label wants its certificate from the authority, and nothing says how that is proved.
//!
//! ## Why
//!
//! A wildcard certificate is only given to whoever can change the domain's DNS. The order would fail each time, and every handshake with it.
//!
//! ## Wrong
//!
//! ```route
//! gateway {
//!     acme {
//!         contact "ops@sluice-tests.net"
//!         terms   agreed
//!     }
//! }
//!
//! site *.sluice-tests.net {
//!     tls auto
//!     else -> respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! gateway {
//!     acme {
//!         contact "ops@sluice-tests.net"
//!         terms   agreed
//!         dns     corp = rfc2136(server: "10.0.0.53", name: "sluice.", key: secret.tsig)
//!     }
//! }
//!
//! site *.sluice-tests.net {
//!     tls auto via dns(corp)
//!     else -> respond 200
//! }
//! ```

use super::l4::Together;
use super::{g1003, show};
use crate::diagnostic::Diagnostic;
use crate::resolve::nearest;
use crate::tree::ir::{HostHead, HostPattern, Segment, Site, Tls, Via, certificate_name, is_public};

/// Looks for hosts that no challenge of theirs can prove, and for providers that nobody declares.
pub(super) fn run(all: &Together<'_>, out: &mut Vec<Diagnostic>) {
    let Some(gateway) = all.gateway else { return };
    for site in all.sites.iter().filter(|site| site.settings.tls == Tls::Auto) {
        match (&site.via, &gateway.acme) {
            (Some(via), Some(acme)) if acme.provider(&via.provider).is_none() => {
                let near = nearest(&via.provider, acme.providers.iter().map(|(name, _)| &**name));
                out.push(g1003::unknown_provider(via.loc, &via.provider, near));
            }
            (Some(via), None) => out.push(nobody(via)),
            (Some(_), Some(_)) => below_many(site, out),
            (None, Some(_)) => open(site, out),
            // The internal CA makes whatever is asked for.
            (None, None) => {}
        }
    }
}

/// `via dns(…)`, and no `acme`.
fn nobody(via: &Via) -> Diagnostic {
    let d = format!("`gateway.route` has no `acme`: there is no provider `{}`, and nobody to prove anything to", via.provider);
    Diagnostic::error("G1003", via.loc, d)
        .help("write in gateway.route", "gateway { acme { contact … terms agreed dns … } }", None)
}

/// Hosts with an open label and no way to prove it.
fn open(site: &Site, out: &mut Vec<Diagnostic>) {
    let Some((host, loc)) = site.hosts.iter().find(|(host, _)| is_open(host) && asked_for(host)) else { return };
    let d = format!("a wildcard certificate, which `{}` needs, is only given for a proof by DNS", show::host(host));
    out.push(
        Diagnostic::error("G4002", *loc, d)
            .help("prove it by DNS", "tls auto via dns(PROVIDER)", None)
            .note("or have a certificate for each name when it is first asked for: `tls on-demand { allow when … limit 20/h }`"),
    );
}

/// `**`, which no certificate covers, whoever proves it.
fn below_many(site: &Site, out: &mut Vec<Diagnostic>) {
    let many = |host: &HostPattern| host.head == HostHead::Many || certificate_name(host).is_none();
    let Some((host, loc)) = site.hosts.iter().find(|(host, _)| many(host) && asked_for(host)) else { return };
    let d = format!("no certificate covers `{}`: a wildcard stands for one label", show::host(host));
    out.push(
        Diagnostic::error("G4002", *loc, d)
            .note("have a certificate for each name when it is first asked for: `tls on-demand { allow when … limit 20/h }`"),
    );
}

fn is_open(host: &HostPattern) -> bool {
    !matches!(host.head, HostHead::Label(Segment::Lit(_)))
}

/// Whether a public authority would be asked: names below reserved ones are the internal CA's.
fn asked_for(host: &HostPattern) -> bool {
    host.parent.is_empty() || is_public(&format!("x.{}", host.parent))
}
