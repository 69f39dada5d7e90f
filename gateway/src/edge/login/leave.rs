//! `logout corp`: the session ends, here and at the provider (OpenID Connect RP-Initiated Logout 1.0).

use super::flow::{MOST_PAGE, local};
use super::visit::Visit;
use super::{Login, base, cookies, navigates, with_query};
use crate::edge::calls::Worked;
use crate::edge::provider::Discovery;
use dsl::tree::calls::Outcome;
use dsl::tree::ir::CallIdx;
use dsl::tree::request::Request;
use std::sync::Arc;

impl Login {
    /// Ends the session in the browser, and sends it to the provider, which sends it back: to `/`, or to the page of
    /// this host that the query names as `return`.
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
        let page = request.query().map_or_else(|| "/".to_owned(), wanted);
        let base = base(request);
        // A provider knows whole URLs only: by way of a path that it knows, with the page as `state`.
        let (back, state) = match &*page {
            "/" => (format!("{base}/"), None),
            page => (self.redirect_uri(&base), Some(page.to_owned())),
        };
        let login = Arc::clone(self);
        let leaving = Leaving { page, back, state, hint, ended };
        self.discovered(call, move |discovery| login.goes_away(discovery.as_deref(), leaving))
    }

    fn goes_away(&self, discovery: Option<&Discovery>, leaving: Leaving) -> Outcome {
        let Leaving { page, back, state, hint, ended } = leaving;
        // Whatever the provider is at, this session ends.
        let Some(endpoint) = discovery.and_then(|discovery| discovery.end_session_endpoint.as_deref()) else {
            return Visit::to(page, ended).into();
        };
        let whose = match &hint {
            Some(hint) => ("id_token_hint", &**hint),
            None => ("client_id", &*self.client.id),
        };
        let mut pairs = vec![whose, ("post_logout_redirect_uri", &*back)];
        pairs.extend(state.as_deref().map(|state| ("state", state)));
        Visit::to(with_query(endpoint, &pairs), ended).into()
    }
}

/// A browser that goes away.
struct Leaving {
    /// Where it comes to in the end.
    page: String,
    /// Where the provider sends it.
    back: String,
    /// What it brings along from there.
    state: Option<String>,
    hint: Option<String>,
    ended: Vec<String>,
}

/// The page that a query names as `return`: one of this host, else its first (LANGUAGE rule 25).
fn wanted(query: &str) -> String {
    let mut said = query.split('&').filter_map(|pair| pair.strip_prefix("return="));
    let (Some(page), None) = (said.next(), said.next()) else { return "/".to_owned() };
    let page = page.replace('+', " ");
    let page = percent_encoding::percent_decode_str(&page).decode_utf8().unwrap_or_default();
    if page.len() <= MOST_PAGE { local(&page).to_owned() } else { "/".to_owned() }
}

/// The page of a browser that a provider sends back from a logout, by the `state` that it brings: no `state` of a login
/// has a slash. Anybody can write it, and it leads to nothing that a link would not lead to.
pub(super) fn returned(state: &str) -> Option<&str> {
    (state.starts_with('/') && state.len() <= MOST_PAGE).then(|| local(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_this_host_is_come_back_to() {
        for (query, page) in [
            ("return=/bye", "/bye"),
            ("a=b&return=%2Fbye%3Fx%3D1%26y%3D%252F", "/bye?x=1&y=%2F"),
            ("return=", "/"),
            ("returns=/bye", "/"),
            ("", "/"),
        ] {
            assert_eq!(wanted(query), page, "{query}");
        }
        assert_eq!((returned("/bye?x=1"), returned("bye"), returned("")), (Some("/bye?x=1"), None, None));
    }

    #[test]
    fn attack_open_redirect_after_logout() {
        for elsewhere in [
            "//evil.test",
            "/\\evil.test",
            "/a\\..\\evil.test",
            "\\\\evil.test",
            "https://evil.test/",
            "javascript:alert(1)",
            "evil.test",
            "/\t/evil.test",
            "/\n/evil.test",
            "/ /evil.test",
            "/b\u{fc}cher",
            &format!("/{}", "x".repeat(MOST_PAGE)),
        ] {
            let escaped = crate::edge::login::escaped(elsewhere);
            assert_eq!(wanted(&format!("return={escaped}")), "/", "{elsewhere}");
            assert!(returned(elsewhere).is_none_or(|page| page == "/"), "{elsewhere}");
        }
        for query in ["return=/a&return=/b", "return=/a&return=//evil.test", "return=%FF", "return=/%0d%0aset-cookie:x"]
        {
            assert_eq!(wanted(query), "/", "{query}");
        }
    }
}
