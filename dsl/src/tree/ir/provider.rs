//! Providers: who signs tokens, and where people log in.

use super::Dials;
use crate::syntax::span::Loc;
use std::sync::Arc;

/// Where a provider sends browsers back to where nothing is written.
pub const CALLBACK: &str = "/login/callback";

/// Index into [`Site::providers`](super::Site::providers).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ProviderIdx(pub u32);

/// `provider NAME { … }`, checked; or the `keys: "https://…"` of a `jwt`, which is a provider of keys and nothing
/// else. It has `issuer`, `keys` or both.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Its name; the URL of its keys where it has none.
    pub name: Arc<str>,
    /// `issuer`: what `iss` of its tokens is, byte for byte, and where its discovery document is found: behind
    /// `/.well-known/openid-configuration`. https, or http on this machine.
    pub issuer: Option<Arc<str>>,
    /// `keys`: where its keys are (RFC 7517 section 5). Without it the discovery document says so.
    pub keys: Option<Arc<str>>,
    /// `trust`: a file with the roots that its TLS is verified with, beside the route file; the system's without it.
    pub trust: Option<Arc<str>>,
    /// `client`: as whom a login asks. A login needs it; tokens do not.
    pub client: Option<ProviderClient>,
    /// `scopes`: what a login asks for; `openid` is always among them.
    pub scopes: Vec<Arc<str>>,
    /// `callback`: the path that it sends browsers back to; canonical.
    pub callback: Arc<str>,
    /// `session`: the cookie that a login is kept in. A login needs it; tokens do not.
    pub session: Option<ProviderSession>,
    /// `claims`: what is kept in the session beside `sub`, by name.
    pub claims: Vec<Arc<str>>,
    /// What may be dialled for it, where it is a tenant's.
    pub dials: Option<Arc<Dials>>,
    /// Its name as written.
    pub loc: Loc,
}

/// `client "shop" key secret.corp-client`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderClient {
    /// `client_id`
    pub id: Arc<str>,
    /// The name of the secret that holds `client_secret`; `None` for a public client (PKCE only).
    pub key: Option<Arc<str>>,
}

/// `session "__Host-sid" key secret.session-key for 12h idle 30m`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSession {
    /// The name of the cookie.
    pub cookie: Arc<str>,
    /// The name of the secret whose lines are keys of HMAC: the first signs, all verify.
    pub key: Arc<str>,
    /// It never holds for longer, milliseconds.
    pub for_ms: u64,
    /// It ends when nothing was asked for so long, milliseconds; never more than `for_ms`.
    pub idle_ms: Option<u64>,
}

impl Provider {
    /// Of whom nothing but the name is said.
    #[must_use]
    pub fn named(name: Arc<str>, loc: Loc) -> Self {
        Self {
            name,
            issuer: None,
            keys: None,
            trust: None,
            client: None,
            scopes: vec!["openid".into()],
            callback: CALLBACK.into(),
            session: None,
            claims: Vec::new(),
            dials: None,
            loc,
        }
    }

    /// Whose keys are at this URL, and who is nothing else.
    #[must_use]
    pub fn of_keys(url: Arc<str>, loc: Loc) -> Self {
        Self { keys: Some(Arc::clone(&url)), ..Self::named(url, loc) }
    }

    /// The secrets that it names, and whether their lines are keys of HMAC.
    pub fn secrets(&self) -> impl Iterator<Item = (&Arc<str>, bool)> {
        let client = self.client.iter().filter_map(|client| client.key.as_ref()).map(|name| (name, false));
        client.chain(self.session.iter().map(|session| (&session.key, true)))
    }

    /// The same without the place where it is written.
    #[must_use]
    pub fn placeless(&self) -> Self {
        Self { loc: Loc::default(), ..self.clone() }
    }

    /// Whether another is the same, wherever it is written.
    #[must_use]
    pub fn means(&self, other: &Self) -> bool {
        self.placeless() == other.placeless()
    }
}
