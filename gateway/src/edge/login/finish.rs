//! The end of a login: the provider sends the browser back with a code, which is exchanged for who it is.

use super::cookies::{self, There};
use super::flow::{Flow, local};
use super::held::{Held, Refresh};
use super::leave::returned;
use super::tokens::{Tokens, Trouble};
use super::visit::Visit;
use super::{Login, base, navigates, since_epoch};
use crate::edge::calls::Worked;
use crate::edge::provider::Discovery;
use aws_lc_rs::digest::{SHA256, digest};
use dsl::tree::calls::Outcome;
use dsl::tree::ir::CallIdx;
use dsl::tree::request::Request;
use std::sync::Arc;

/// How long an access token holds of which that is not said, seconds.
const USUAL: u64 = 300;
/// Tokens are refreshed so many seconds before they end: clocks differ.
const EARLY: u64 = 15;
/// No code is longer.
const MOST_CODE: usize = 4_096;
/// Errors of an authorization endpoint (RFC 6749 section 4.1.2.1, OpenID Connect Core 1.0 section 3.1.2.6) that are
/// told as they are.
const ERRORS: [&str; 11] = [
    "invalid_request",
    "unauthorized_client",
    "access_denied",
    "unsupported_response_type",
    "invalid_scope",
    "server_error",
    "temporarily_unavailable",
    "interaction_required",
    "login_required",
    "account_selection_required",
    "consent_required",
];

const STALE: &str = "this login was begun elsewhere, or took too long: go back and try again";
const REFUSED: &str = "the provider did not log you in";
const UNFIT: &str = "what the provider says does not hold, so that nobody was logged in";

/// What a provider sends back.
#[derive(Debug, Default, PartialEq, Eq)]
struct Brought {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

impl Brought {
    /// Of a query; `None` where one of its parts stands there twice, or is no text.
    fn read(query: &str) -> Option<Self> {
        let mut brought = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let part = match name {
                "state" => &mut brought.state,
                "code" => &mut brought.code,
                "error" => &mut brought.error,
                "iss" => &mut brought.iss,
                _ => continue,
            };
            let value = value.replace('+', " ");
            let value = percent_encoding::percent_decode_str(&value).decode_utf8().ok()?;
            if part.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(brought)
    }
}

/// A login that is being finished.
struct Finishing {
    flow: Flow,
    brought: Brought,
    host: String,
    redirect: String,
    there: There,
    /// What ends the login under way.
    ended: String,
}

impl Login {
    /// Finishes a login. It must be one that this browser began, and is finished once. Who comes from a logout goes on to
    /// the page that it named.
    pub(super) fn finish(self: &Arc<Self>, call: CallIdx, request: &impl Request) -> Worked<'static> {
        if request.method() != "GET" || !navigates(request) {
            return Visit::says(401, "a login is finished by a browser that goes there", Vec::new()).into();
        }
        let stale = || Visit::says(400, STALE, Vec::new()).into();
        let Some(brought) = request.query().and_then(Brought::read) else { return stale() };
        if let (None, None, Some(page)) = (&brought.code, &brought.error, brought.state.as_deref().and_then(returned)) {
            return Visit::to(page.to_owned(), Vec::new()).into();
        }
        let now = since_epoch().as_secs();
        let purpose = self.purpose("flow", request.host());
        let found = brought.state.as_deref();
        let found = found.and_then(|state| Flow::found(&self.flows(), state, &self.sealer, &purpose, now, request));
        let Some((flow, cookie)) = found else { return stale() };
        let mut state = [0; 32];
        state.copy_from_slice(digest(&SHA256, flow.state().as_bytes()).as_ref());
        let ended = cookies::line(&cookie, "", 0);
        if !self.shared.spend(state) {
            return Visit::says(400, STALE, vec![ended]).into();
        }
        let finishing = Finishing {
            flow,
            brought,
            host: request.host().to_owned(),
            redirect: self.redirect_uri(&base(request)),
            there: cookies::there(&self.session.cookie, request),
            ended,
        };
        let login = Arc::clone(self);
        Worked::Later(call, self.later(async move { login.finished(finishing).await }))
    }

    async fn finished(&self, finishing: Finishing) -> Outcome {
        if self.provider.discovery().is_none()
            && let Some(renewed) = self.provider.renewed()
        {
            renewed.await;
        }
        let Some(discovery) = self.provider.discovery() else { return Outcome::Failed };
        let refuse = |status, text| Outcome::from(Visit::says(status, text, vec![finishing.ended.clone()]));
        let brought = &finishing.brought;
        // An answer of another provider, mixed up with this one's (RFC 9207 section 2.4).
        let mixed = match &brought.iss {
            Some(iss) => **iss != *self.issuer,
            None => discovery.iss_in_responses,
        };
        if mixed {
            self.tell("a login came back with the `iss` of another provider, or without one, and was refused");
            return refuse(400, UNFIT);
        }
        if let Some(error) = &brought.error {
            return match ERRORS.into_iter().find(|known| known == error) {
                Some("server_error" | "temporarily_unavailable") => Outcome::Failed,
                Some("access_denied" | "login_required" | "interaction_required" | "consent_required")
                | Some("account_selection_required")
                | None => refuse(403, REFUSED),
                Some(error) => {
                    self.tell(&format!("it answers a login with {error}"));
                    refuse(403, REFUSED)
                }
            };
        }
        let Some(code) = brought.code.as_deref().filter(|code| (1..=MOST_CODE).contains(&code.len())) else {
            return refuse(400, STALE);
        };
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &finishing.redirect),
            ("code_verifier", finishing.flow.verifier.text()),
        ];
        match self.tokens(&discovery, &grant).await {
            Ok(tokens) => match self.begun(&discovery, &finishing, tokens).await {
                Ok(lines) => {
                    let lines = lines.into_iter().chain([finishing.ended]).collect();
                    // It was checked when the login began, and nobody could change it since.
                    Visit::to(local(&finishing.flow.page).to_owned(), lines).into()
                }
                Err(why) => {
                    self.tell(&why);
                    refuse(403, UNFIT)
                }
            },
            Err(Trouble::Grant) => refuse(400, STALE),
            Err(Trouble::Broken(why)) => {
                self.tell(&why);
                Outcome::Failed
            }
        }
    }

    /// The cookies of the session that begins.
    async fn begun(&self, discovery: &Discovery, finishing: &Finishing, tokens: Tokens) -> Result<Vec<String>, String> {
        let id = tokens.id.as_deref().ok_or("its token endpoint gave no ID token: is `openid` among the scopes?")?;
        let access = tokens.access.as_deref();
        let identity = self.identity(id, Some(&finishing.flow.nonce), access).await?;
        let claims = self.claims(discovery, &identity, access).await?;
        let now = since_epoch().as_secs();
        let mut held = Held::begin(identity.sub, claims, &self.session, now);
        held.refresh = refresh(tokens.refresh, tokens.lasts, now);
        held.hint = tokens.id;
        let lines = self.kept(&held, &finishing.host, finishing.there, now);
        lines.ok_or_else(|| {
            let large = "a session does not fit into its cookies: keep fewer `claims`".to_owned();
            self.sealer.trouble().unwrap_or(large)
        })
    }
}

/// What new tokens are had with, and when.
pub(super) fn refresh(token: Option<String>, lasts: Option<u64>, now: u64) -> Option<Refresh> {
    let lasts = lasts.unwrap_or(USUAL);
    Some(Refresh { token: token?, until: now.saturating_add(lasts - EARLY.min(lasts / 2)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_sends_back() {
        let brought = Brought::read("code=a%2Bb+c&state=s&iss=https%3A%2F%2Fa.test&session_state=x").expect("a query");
        assert_eq!(brought.code.as_deref(), Some("a+b c"));
        assert_eq!((brought.state.as_deref(), brought.iss.as_deref()), (Some("s"), Some("https://a.test")));
        assert_eq!(Brought::read(""), Some(Brought::default()));
    }

    #[test]
    fn attack_parameters_that_stand_twice_or_are_no_text() {
        for query in ["code=a&code=a", "state=a&code=b&state=c", "iss=a&iss=b", "error=a&error=b", "code=%FF"] {
            assert_eq!(Brought::read(query), None, "{query}");
        }
    }
}
