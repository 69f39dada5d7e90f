//! Who answers for a host.

use super::Exchange;
use super::head::{Head, raw_path};
use crate::answer;
use crate::http::body::Content;
use crate::http::gate::Reason;
use crate::http::headers::X_FORWARDED_PROTO;
use crate::runtime::worker::Current;
use crate::snapshot::{Host, Served};
use dsl::tree::canonical;
use dsl::tree::ir::SiteSettings;
use dsl::tree::judge::{Admission, admit};
use http::Response;
use http::uri::Uri;
use std::sync::Arc;

impl Exchange {
    /// The site of a host, unless the host itself has the answer.
    pub(super) fn site<'s>(
        &self,
        snapshot: &'s Current,
        host: &str,
        head: &Head,
    ) -> Result<Result<&'s Arc<Served>, Response<Content>>, Reason> {
        let served = match find(snapshot, host) {
            Ok(served) => served,
            Err(response) => return Ok(Err(response)),
        };
        let settings = &served.program.site().settings;
        match &self.client.tls {
            Some(secured) => {
                let other = secured.sni.as_deref().filter(|sni| *sni != host);
                let admission = admit(settings, true, other.map(|sni| settings_of(snapshot, sni)));
                // By what the connection has shown, too: the settings may be others than at its handshake, and
                // whoever gave no name has a handshake all the same.
                let admits = || served.tls.admits(secured.shown.boundary, secured.shown.proved.as_deref());
                if admission == Admission::Misdirected || !admits() {
                    return Err(Reason::Misdirected);
                }
            }
            None => {
                let secure = head.trusted && head.headers.get(X_FORWARDED_PROTO).is_some_and(|v| v == "https");
                // Whoever speaks for its clients cannot show their certificates.
                if secure && settings.handshake.needs_client_cert() {
                    return Err(Reason::Misdirected);
                }
                if !secure && admit(settings, false, None) == Admission::ToHttps {
                    return Ok(Err(to_https(snapshot, host, &head.uri, settings)?));
                }
            }
        }
        Ok(Ok(served))
    }
}

/// Who answers for a host.
#[expect(clippy::result_large_err, reason = "rare, and handed on as it is")]
pub(super) fn find<'s>(snapshot: &'s Current, host: &str) -> Result<&'s Arc<Served>, Response<Content>> {
    match (snapshot.hosts.get(host), &snapshot.default) {
        (Some(Host::Site(served)), _) | (None | Some(Host::Nobody), Some(served)) => Ok(served),
        // LANGUAGE rule 26: its TLS ends elsewhere.
        (Some(Host::Passthrough(_)), _) => {
            let why = format!("host \"{host}\" is not served on this connection");
            Err(answer::plain(421, &why))
        }
        (Some(Host::Unavailable), _) => {
            let why = format!("the site of host \"{host}\" could not be loaded");
            Err(answer::plain(503, &why))
        }
        (None | Some(Host::Nobody), None) => {
            let why = format!("no site here answers for host \"{host}\"");
            Err(answer::plain(404, &why))
        }
    }
}

fn settings_of<'s>(snapshot: &'s Current, host: &str) -> Option<&'s SiteSettings> {
    match snapshot.hosts.get(host)? {
        Host::Site(served) => Some(&served.program.site().settings),
        Host::Passthrough(_) | Host::Unavailable | Host::Nobody => None,
    }
}

/// A site with TLS was asked on a clear port.
fn to_https(snapshot: &Current, host: &str, uri: &Uri, settings: &SiteSettings) -> Result<Response<Content>, Reason> {
    let path = canonical::path_for(raw_path(uri), settings).map_err(|_| Reason::Path)?;
    if host.is_empty() {
        return Err(Reason::HostMissing);
    }
    let mut location = format!("https://{host}");
    match snapshot.https_port {
        Some(443) | None => {}
        Some(port) => location.push_str(&format!(":{port}")),
    }
    location.push_str(&path);
    if let Some(query) = uri.query() {
        location.push('?');
        location.push_str(query);
    }
    Ok(answer::redirect(308, &location))
}
