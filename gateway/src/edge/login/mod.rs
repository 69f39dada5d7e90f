//! Logins at OpenID providers, as a relying party (OpenID Connect Core 1.0, the authorization code flow with PKCE).
//!
//! `login corp` sends a browser to the provider (`begin`), and where the provider sends it back, exchanges the code
//! that it brings and begins the session (`finish`). `session(corp)` opens that session, and has new tokens when
//! they are over (`refresh`). `logout corp` ends it (`leave`). Nothing is kept here: what is needed lies sealed in
//! cookies (`seal`), so that every node with the key goes on where another left off.
//!
//! INVARIANT: what a browser or a provider says is in no answer. Their words could be HTML, or lies.

mod begin;
mod cookies;
mod finish;
mod flow;
mod held;
mod leave;
mod refresh;
mod seal;
mod shared;
mod tokens;
mod visit;

pub use shared::Logins;
pub use visit::{SET_COOKIE, answer, status};

use super::calls::{Later, Worked};
use super::provider::{Discovery, Provider};
use super::since_epoch;
use crate::secrets::Secrets;
use cookies::There;
use dsl::syntax::ast::VisitDoes;
use dsl::tree::calls::Outcome;
use dsl::tree::ir::{self, CallIdx, ProviderClient, ProviderSession};
use dsl::tree::request::Request;
use held::Held;
use seal::{Purpose, Sealer};
use std::sync::Arc;
use std::time::Duration;
use visit::Visit;

/// Everything that is asked of a provider for one request.
const DEADLINE: Duration = Duration::from_secs(20);

/// What a site needs for the logins at one provider.
pub(super) struct Login {
    says: Arc<ir::Provider>,
    client: ProviderClient,
    session: ProviderSession,
    issuer: Arc<str>,
    provider: Arc<Provider>,
    secrets: Arc<Secrets>,
    sealer: Sealer,
    shared: Arc<Logins>,
}

impl Login {
    /// `None` for a provider whose tokens are all that is wanted.
    pub(super) fn new(
        says: &Arc<ir::Provider>,
        provider: &Arc<Provider>,
        secrets: &Arc<Secrets>,
        shared: &Arc<Logins>,
    ) -> Option<Arc<Self>> {
        let (client, session) = (says.client.clone()?, says.session.clone()?);
        Some(Arc::new(Self {
            issuer: Arc::clone(says.issuer.as_ref()?),
            sealer: Sealer::new(Arc::clone(&session.key), Arc::clone(secrets)),
            says: Arc::clone(says),
            client,
            session,
            provider: Arc::clone(provider),
            secrets: Arc::clone(secrets),
            shared: Arc::clone(shared),
        }))
    }

    /// `session(corp)`: who is logged in.
    pub(super) fn who(self: &Arc<Self>, call: CallIdx, request: &impl Request) -> Worked<'static> {
        // Where a login is finished there is no session yet: whatever requires one leads to `login`.
        if *request.path() == *self.says.callback {
            return Worked::Known(Outcome::No);
        }
        let name = &self.session.cookie;
        let text = match cookies::joined(name, request) {
            Ok(text) => text,
            Err(outcome) => return Worked::Known(outcome),
        };
        if let Some(trouble) = self.sealer.trouble() {
            self.tell(&trouble);
        }
        let now = since_epoch().as_secs();
        let Some(mut held) = self.open(request.host(), &text).filter(|held| held.holds(now)) else {
            return Worked::Known(Outcome::No);
        };
        let there = cookies::there(name, request);
        if held.stale(now).is_some() {
            return self.refreshed(call, held, request.host(), there);
        }
        let mut says = held.says();
        if held.goes_on(now) {
            // What cannot be sealed now stays as it is, to its end.
            says.extend(cookies::as_claims(self.kept(&held, request.host(), there, now).unwrap_or_default()));
        }
        Worked::Known(Outcome::Yes(says.into()))
    }

    /// `login corp`, `logout corp`: what is answered.
    pub(super) fn visit(self: &Arc<Self>, call: CallIdx, does: VisitDoes, request: &impl Request) -> Worked<'static> {
        match does {
            VisitDoes::Login if *request.path() == *self.says.callback => self.finish(call, request),
            VisitDoes::Login => self.begin(call, request),
            VisitDoes::Logout => self.leave(call, request),
        }
    }

    /// Does what needs the provider's discovery document, now or when it is there; 503 where it cannot be had.
    fn discovered(
        self: &Arc<Self>,
        call: CallIdx,
        then: impl FnOnce(Option<Arc<Discovery>>) -> Outcome + Send + 'static,
    ) -> Worked<'static> {
        if let Some(discovery) = self.provider.discovery() {
            return Worked::Known(then(Some(discovery)));
        }
        match self.provider.renewed() {
            Some(renewed) => {
                let provider = Arc::clone(&self.provider);
                Worked::Later(
                    call,
                    Box::pin(async move {
                        renewed.await;
                        then(provider.discovery())
                    }),
                )
            }
            None => Worked::Known(then(None)),
        }
    }

    /// Has something asked of the provider, off the data threads; failed where it takes too long.
    fn later(&self, task: impl Future<Output = Outcome> + Send + 'static) -> Later {
        // By the clock of the runtime that it runs on.
        let within = async move { tokio::time::timeout(DEADLINE, task).await };
        match self.provider.desk().spawn(within) {
            Ok(asked) => Box::pin(async move {
                match asked.await {
                    Ok(Ok(outcome)) => outcome,
                    Ok(Err(_)) | Err(_) => Outcome::Failed,
                }
            }),
            Err(e) => {
                self.tell(&format!("no thread to ask it: {e}"));
                Box::pin(std::future::ready(Outcome::Failed))
            }
        }
    }

    /// What something is sealed for: this kind, on this host, for this client of this provider.
    fn purpose(&self, kind: &str, host: &str) -> Purpose {
        Purpose::of(&[kind, host, &self.issuer, &self.client.id, &self.session.cookie])
    }

    fn open(&self, host: &str, text: &str) -> Option<Held> {
        let content = self.sealer.open(&self.purpose("session", host), text)?;
        serde_json::from_slice(&content).ok()
    }

    /// The lines that have the browser keep a session; `None` where it cannot be sealed, or is too large.
    fn kept(&self, held: &Held, host: &str, there: There, now: u64) -> Option<Vec<String>> {
        let purpose = self.purpose("session", host);
        let text = held.written(|content| self.sealer.seal(&purpose, content))?;
        cookies::written(&self.session.cookie, &text, held.left(now), there)
    }

    /// The names of the cookies of logins that are under way begin so.
    fn flows(&self) -> String {
        format!("{}{}", self.session.cookie, flow::COOKIE)
    }

    /// Whether a cookie is of a session at this provider, or of a login that is under way.
    pub(super) fn has_cookie(&self, name: &[u8]) -> bool {
        let Some(rest) = name.strip_prefix(self.session.cookie.as_bytes()) else { return false };
        rest.is_empty() || rest.starts_with(flow::COOKIE.as_bytes()) || cookies::is_part(rest)
    }

    /// Tells the operator what is wrong, unless it was told within the last minute.
    fn tell(&self, reason: &str) {
        self.shared.tell(&format!("login {}", self.says.name), reason);
    }

    /// Where the provider sends browsers back to.
    fn redirect_uri(&self, base: &str) -> String {
        format!("{base}{}", self.says.callback)
    }
}

/// Scheme, host and port that a browser asked, as far as it says the port.
fn base(request: &impl Request) -> String {
    let mut forwarded = false;
    // Of a peer that may not say it, it is gone.
    request.header("x-forwarded-proto", &mut |value| forwarded |= value == b"https");
    let scheme = if forwarded || request.tls().is_some() { "https" } else { "http" };
    let mut port = None;
    request.header("host", &mut |value| {
        let text = std::str::from_utf8(value).unwrap_or_default();
        let digits = text.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.is_empty());
        port = digits.filter(|port| port.bytes().all(|b| b.is_ascii_digit())).map(str::to_owned);
    });
    let port = port.filter(|port| !matches!((scheme, port.as_str()), ("https", "443") | ("http", "80")));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{}{port}", request.host())
}

/// Whether a browser goes to the answer, so that it can be sent elsewhere (Fetch Metadata). Who does not say may.
fn navigates(request: &impl Request) -> bool {
    let (mut navigates, mut upgrades) = (true, false);
    request.header("sec-fetch-mode", &mut |value| navigates &= value == b"navigate");
    request.header("upgrade", &mut |_| upgrades = true);
    navigates && !upgrades
}

/// The path and query that were asked for.
fn page(request: &impl Request) -> String {
    match request.query() {
        Some(query) => format!("{}?{query}", request.path()),
        None => request.path().to_owned(),
    }
}

/// A URL with more in its query.
fn with_query(url: &str, pairs: &[(&str, &str)]) -> String {
    let mut out = url.split('#').next().unwrap_or_default().to_owned();
    for (name, value) in pairs {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(&form(&[(name, value)]));
    }
    out
}

/// `application/x-www-form-urlencoded`, with `%20` for a blank.
fn form(pairs: &[(&str, &str)]) -> String {
    let one = |(name, value): &(&str, &str)| format!("{name}={}", escaped(value));
    pairs.iter().map(one).collect::<Vec<_>>().join("&")
}

/// Everything but letters, digits and `-._~` escaped (RFC 3986 section 2.3).
fn escaped(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, RESERVED).to_string()
}

impl From<Visit> for Worked<'static> {
    fn from(visit: Visit) -> Self {
        Worked::Known(visit.into())
    }
}
