//! `login corp`: a browser is sent to the provider.

use super::flow::Flow;
use super::visit::Visit;
use super::{Login, base, cookies, navigates, page, since_epoch, with_query};
use crate::edge::calls::Worked;
use crate::edge::provider::Discovery;
use dsl::tree::calls::Outcome;
use dsl::tree::ir::CallIdx;
use dsl::tree::request::Request;
use std::sync::Arc;

impl Login {
    /// Sends a browser to the provider; a script, whose next request would be lost there, is told.
    pub(super) fn begin(self: &Arc<Self>, call: CallIdx, request: &impl Request) -> Worked<'static> {
        // A session that led here is over.
        let mut lines = cookies::there(&self.session.cookie, request).ended(&self.session.cookie, 0);
        if !matches!(request.method(), "GET" | "HEAD") || !navigates(request) {
            return Visit::says(401, "a login is needed", lines).into();
        }
        let now = since_epoch().as_secs();
        let begun = Flow::begin(&page(request), now).and_then(|flow| {
            let purpose = self.purpose("flow", request.host());
            let kept = flow.kept(&self.flows(), &self.sealer, &purpose, now, request)?;
            Some((flow, kept))
        });
        let Some((flow, kept)) = begun else {
            self.tell(&self.sealer.trouble().unwrap_or_else(|| "the system has no random numbers".to_owned()));
            return Worked::Known(Outcome::Failed);
        };
        lines.extend(kept);
        let (login, redirect) = (Arc::clone(self), self.redirect_uri(&base(request)));
        self.discovered(call, move |discovery| login.sent(discovery.as_deref(), &flow, &redirect, lines))
    }

    /// The authorization request (OpenID Connect Core 1.0 section 3.1.2.1, RFC 7636 section 4.3).
    fn sent(&self, discovery: Option<&Discovery>, flow: &Flow, redirect: &str, lines: Vec<String>) -> Outcome {
        let endpoint = match discovery {
            // What is wrong was told by whoever asked for it.
            None => return Outcome::Failed,
            Some(discovery) => discovery.authorization_endpoint.as_deref(),
        };
        let Some(endpoint) = endpoint else {
            self.tell("its discovery document has no `authorization_endpoint`");
            return Outcome::Failed;
        };
        let (scope, challenge) = (self.says.scopes.join(" "), flow.challenge());
        let location = with_query(
            endpoint,
            &[
                ("response_type", "code"),
                ("client_id", &self.client.id),
                ("redirect_uri", redirect),
                ("scope", &scope),
                ("state", flow.state()),
                ("nonce", flow.nonce.text()),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ],
        );
        Visit::to(location, lines).into()
    }
}
