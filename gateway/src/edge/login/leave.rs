//! `logout corp`: the session ends, here and at the provider (OpenID Connect RP-Initiated Logout 1.0).

use super::visit::Visit;
use super::{Login, base, cookies, navigates, with_query};
use crate::edge::calls::Worked;
use crate::edge::provider::Discovery;
use dsl::tree::calls::Outcome;
use dsl::tree::ir::CallIdx;
use dsl::tree::request::Request;
use std::sync::Arc;

impl Login {
    /// Ends the session in the browser, and sends it to the provider, which sends it back to `/`.
    pub(super) fn leave(self: &Arc<Self>, call: CallIdx, request: &impl Request) -> Worked<'static> {
        let name = &self.session.cookie;
        let mut foreign = false;
        request.header("sec-fetch-site", &mut |value| foreign |= value != b"same-origin" && value != b"none");
        let ended = cookies::there(name, request).ended(name, 0);
        if !navigates(request) {
            return match foreign {
                // A picture of another site's logs nobody out.
                true => Visit::says(403, "only this site may log out", Vec::new()).into(),
                false => Visit::says(200, "logged out", ended).into(),
            };
        }
        let hint = cookies::joined(name, request).ok().and_then(|text| self.open(request.host(), &text)?.hint);
        let (login, back) = (Arc::clone(self), format!("{}/", base(request)));
        self.discovered(call, move |discovery| login.goes_away(discovery.as_deref(), hint.as_deref(), &back, ended))
    }

    fn goes_away(&self, discovery: Option<&Discovery>, hint: Option<&str>, back: &str, ended: Vec<String>) -> Outcome {
        // Whatever the provider is at, this session ends.
        let Some(endpoint) = discovery.and_then(|discovery| discovery.end_session_endpoint.as_deref()) else {
            return Visit::to("/".to_owned(), ended).into();
        };
        let whose = match hint {
            Some(hint) => ("id_token_hint", hint),
            None => ("client_id", &*self.client.id),
        };
        Visit::to(with_query(endpoint, &[whose, ("post_logout_redirect_uri", back)]), ended).into()
    }
}
