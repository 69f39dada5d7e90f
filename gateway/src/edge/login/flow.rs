//! A login that is under way: what binds its end to the browser that began it.
//!
//! A cookie for each, named by the beginning of its `state`, so that several tabs log in at once. In it lie the
//! whole `state`, the `nonce`, the verifier of PKCE and the page that was asked for, sealed. A `state` that comes
//! back without its cookie was begun by somebody else (login CSRF, RFC 6749 section 10.12).

use super::cookies;
use super::seal::{Purpose, Sealer};
use crate::base64url;
use crate::secrets::Unguessable;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use dsl::tree::calls::Outcome;
use dsl::tree::request::Request;
use serde::{Deserialize, Serialize};

/// What stands behind the name of the session's cookie, and before the beginning of a `state`, in that of a login.
pub(super) const COOKIE: &str = "-login-";
/// So long a login may take, seconds.
pub(super) const LASTS: u64 = 600;
/// Logins that one browser has under way at once; who begins more gives up the oldest.
pub(super) const MOST: usize = 5;
/// A longer page is not come back to: the cookie has to hold it.
pub(super) const MOST_PAGE: usize = 2_000;
/// Letters of a `state` that name its cookie.
const NAMED: usize = 8;

/// A login under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flow {
    #[serde(rename = "s")]
    state: Unguessable,
    #[serde(rename = "n")]
    pub(super) nonce: Unguessable,
    /// Of PKCE (RFC 7636 section 4.1).
    #[serde(rename = "v")]
    pub(super) verifier: Unguessable,
    /// The page that was asked for: a path of this host, with its query.
    #[serde(rename = "p")]
    pub(super) page: String,
    /// When it was begun, seconds since 1970.
    #[serde(rename = "b")]
    begun: u64,
}

/// Thirty-two random bytes, as letters.
fn random() -> Option<Unguessable> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).ok()?;
    Some(Unguessable::new(base64url::encode(&bytes)))
}

impl Flow {
    /// One that begins now; `None` where there are no random numbers.
    pub(super) fn begin(page: &str, now: u64) -> Option<Self> {
        let page = if page.len() <= MOST_PAGE { local(page) } else { "/" };
        Some(Self { state: random()?, nonce: random()?, verifier: random()?, page: page.to_owned(), begun: now })
    }

    /// What comes back with the browser.
    pub(super) fn state(&self) -> &str {
        self.state.text()
    }

    /// `code_challenge` of PKCE by `S256`.
    pub(super) fn challenge(&self) -> String {
        base64url::encode(digest(&SHA256, self.verifier.text().as_bytes()).as_ref())
    }

    fn over(&self, now: u64) -> bool {
        now >= self.begun.saturating_add(LASTS)
    }

    /// The lines that have the browser keep it, and give up the oldest where it has too many.
    pub(super) fn kept(
        &self,
        name: &str,
        sealer: &Sealer,
        purpose: &Purpose,
        now: u64,
        request: &impl Request,
    ) -> Option<Vec<String>> {
        let content = serde_json::to_vec(self).ok()?;
        let own = format!("{name}{}", &self.state()[..NAMED]);
        let mut lines = vec![cookies::line(&own, &sealer.seal(purpose, &content)?, LASTS)];
        // What cannot be read is older than everything that can.
        let mut others: Vec<(u64, String)> = cookies::names(name, MOST * 4, request)
            .into_iter()
            .map(|name| (read(&name, sealer, purpose, now, request).map_or(0, |flow| flow.begun), name))
            .collect();
        others.sort();
        let unreadable = others.iter().filter(|(begun, _)| *begun == 0).count();
        let beyond = (others.len() + 1).saturating_sub(MOST).max(unreadable);
        lines.extend(others.into_iter().take(beyond).map(|(_, name)| cookies::line(&name, "", 0)));
        Some(lines)
    }

    /// The login that a `state` belongs to, and the name of its cookie; `None` where this browser began none.
    pub(super) fn found(
        name: &str,
        state: &str,
        sealer: &Sealer,
        purpose: &Purpose,
        now: u64,
        request: &impl Request,
    ) -> Option<(Self, String)> {
        let letters = state.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let named = state.get(..NAMED).filter(|_| letters)?;
        let own = format!("{name}{named}");
        let flow = read(&own, sealer, purpose, now, request)?;
        let same = flow.state.is(state);
        same.then_some((flow, own))
    }
}

fn read(name: &str, sealer: &Sealer, purpose: &Purpose, now: u64, request: &impl Request) -> Option<Flow> {
    let sealed = match cookies::value(name, request) {
        Ok(sealed) => sealed,
        // One that was tossed in beside it makes both nothing.
        Err(Outcome::Refused(_) | Outcome::No | Outcome::Failed | Outcome::Yes(_)) => return None,
    };
    let flow: Flow = serde_json::from_slice(&sealer.open(purpose, &sealed)?).ok()?;
    (!flow.over(now)).then_some(flow)
}

/// A page of this host, or its first: never another host's, whatever browsers make of slashes, backslashes and
/// schemes (LANGUAGE rule 25).
pub(super) fn local(page: &str) -> &str {
    let path = page.split(['?', '#']).next().unwrap_or_default();
    let bytes = page.as_bytes();
    let plain = bytes.iter().all(|byte| (0x21..0x7f).contains(byte));
    let leads = bytes.first() == Some(&b'/') && !matches!(bytes.get(1), Some(b'/' | b'\\'));
    if plain && leads && !path.contains('\\') { page } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Secrets;
    use crate::sites::testing::TempDir;
    use dsl::tree::request::Plain;
    use std::sync::Arc;

    fn sealer(temp: &TempDir) -> Sealer {
        temp.write("key", "a key of the tests that has thirty-two bytes");
        let secrets = Arc::new(Secrets::new(None));
        secrets.read_from(Some(temp.path().to_path_buf()));
        Sealer::new("key".into(), secrets)
    }

    /// A browser that keeps what it is told.
    #[derive(Default)]
    struct Browser(Vec<(String, String)>);

    impl Browser {
        fn told(&mut self, lines: &[String]) {
            for line in lines {
                let (name, rest) = line.split_once('=').expect("a cookie");
                self.0.retain(|(known, _)| known != name);
                if !line.ends_with("Max-Age=0") {
                    self.0.push((name.to_owned(), rest.split(';').next().unwrap_or_default().to_owned()));
                }
            }
        }

        fn request(&self) -> Plain {
            let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
            Plain { headers: vec![("cookie".into(), pairs.join("; ").into_bytes())], ..Plain::default() }
        }
    }

    #[test]
    fn several_tabs_log_in_at_once_and_the_oldest_gives_way() {
        let temp = TempDir::new("flows");
        let (sealer, purpose) = (sealer(&temp), Purpose::of(&["flow"]));
        let mut browser = Browser::default();
        let mut states = Vec::new();
        for now in 1_000..1_000 + MOST as u64 + 2 {
            let flow = Flow::begin("/a?b=c", now).expect("random numbers");
            browser.told(&flow.kept("in-", &sealer, &purpose, now, &browser.request()).expect("a key"));
            states.push(flow.state().to_owned());
        }
        assert_eq!(browser.0.len(), MOST);
        let found = |state: &str, now| Flow::found("in-", state, &sealer, &purpose, now, &browser.request());
        let there: Vec<bool> = states.iter().map(|state| found(state, 1_010).is_some()).collect();
        assert_eq!(there, [false, false, true, true, true, true, true]);
        assert_eq!(found(&states[6], 1_010).expect("a login").0.page, "/a?b=c");
        assert!(found(&states[6], 1_006 + LASTS).is_none(), "it took too long");
    }

    #[test]
    fn attack_a_state_of_another_browser_changed_or_made_up() {
        let temp = TempDir::new("flows-attack");
        let (sealer, purpose) = (sealer(&temp), Purpose::of(&["flow", "a.test"]));
        let flow = Flow::begin("/", 1_000).expect("random numbers");
        let mut browser = Browser::default();
        browser.told(&flow.kept("in-", &sealer, &purpose, 1_000, &browser.request()).expect("a key"));
        let found = |state: &str, purpose: &Purpose, request: &Plain| {
            Flow::found("in-", state, &sealer, purpose, 1_000, request).is_some()
        };
        let state = flow.state().to_owned();
        assert!(found(&state, &purpose, &browser.request()));
        assert!(!found(&state, &purpose, &Plain::default()), "another browser");
        assert!(!found(&state, &Purpose::of(&["flow", "b.test"]), &browser.request()), "another site");
        for other in [&state[..NAMED], &state[..state.len() - 1], &format!("{state}A"), "", "x", "ä", &"é".repeat(9)]
        {
            assert!(!found(other, &purpose, &browser.request()), "{other}");
        }
        let mut tossed = browser.request();
        tossed.headers.push(("cookie".into(), format!("in-{}=x", &state[..NAMED]).into_bytes()));
        assert!(!found(&state, &purpose, &tossed), "a second cookie of its name");
    }

    #[test]
    fn attack_pages_that_lead_to_another_host() {
        for page in ["/", "/a", "/a/b?c=//d.test", "/a?x=https://b.test", "/%5C", "/@b.test"] {
            assert_eq!(local(page), page);
        }
        let foreign = [
            "",
            "//b.test",
            "/\\b.test",
            "\\\\b.test",
            "https://b.test",
            "javascript:alert(1)",
            "/a\\b",
            "b.test",
            "/\tb",
            "/\r\nSet-Cookie: a=b",
            " /a",
            "/ä",
            "/a b",
            "///b.test",
            "/\u{0}",
        ];
        for page in foreign {
            assert_eq!(local(page), "/", "{page:?}");
        }
        assert_eq!(Flow::begin(&format!("/{}", "a".repeat(MOST_PAGE)), 0).expect("random numbers").page, "/");
    }
}
