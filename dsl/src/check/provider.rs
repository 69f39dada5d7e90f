//! `provider NAME { … }`: who signs tokens, and where people log in.

use super::pools::word_name;
use super::ty::Ty;
use super::{Checker, Env};
use crate::lint;
use crate::resolve::{GATEWAY, ModIdx, nearest};
use crate::syntax::ast::{self, Expr, ItemKind, StmtKind, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::canonical;
use crate::tree::ir::{CALLBACK, Paths, Provider, ProviderClient, ProviderSession};
use std::net::IpAddr;
use std::sync::Arc;

/// What it says.
pub(crate) const SETTINGS: &[&str] = &["issuer", "keys", "trust", "client", "scopes", "callback", "session", "claims"];
/// How long a session holds where nothing is written, milliseconds.
const FOR_MS: u64 = 12 * 3_600_000;
/// More scopes or claims than anybody asks for.
const MOST: usize = 32;
/// A longer word is no identifier.
const LONGEST: usize = 512;

const CLIENT: &str = "the identifier and its secret, as in `client \"shop\" key secret.corp-client`; without `key` for a \
     public client";
const SESSION: &str = "a cookie and its key, as in `session \"__Host-sid\" key secret.session-key for 12h idle 30m`";

impl<'a> Checker<'a> {
    /// The provider that an item declares, checked once.
    pub(super) fn provider_item(&mut self, module: ModIdx, item: usize) -> Option<Arc<Provider>> {
        if let Some(done) = self.providers.get(&(module, item)) {
            return done.clone();
        }
        let linked = self.linked;
        let ItemKind::Provider(provider) = &linked.item(module, item).kind else { return None };
        let made = self.make_provider(module, provider).map(Arc::new);
        self.providers.insert((module, item), made.clone());
        made
    }

    fn make_provider(&mut self, module: ModIdx, provider: &ast::Provider) -> Option<Provider> {
        let loc = self.loc(module, provider.name.span);
        let before = self.diagnostics.len();
        let env = Env::top(module);
        let mut made = Provider::named(provider.name.node.as_str().into(), loc);
        let mut seen: Vec<(String, Loc)> = Vec::new();
        for stmt in &provider.body.stmts {
            let at = self.loc(module, stmt.span);
            let StmtKind::Setting { head, words, body: None } = &stmt.kind else {
                let shape = "settings, as in `issuer \"https://login.example.com\"`, and nothing else";
                self.report(lint::g1024::shape(at, "provider", shape));
                continue;
            };
            let (word, head_loc) = (head.node.as_str(), self.loc(module, head.span));
            if !SETTINGS.contains(&word) {
                let near = nearest(word, SETTINGS.iter().copied());
                self.report(lint::g1001::setting(head_loc, word, "provider", near));
                continue;
            }
            if self.once_in(&mut seen, word, head_loc) {
                self.provider_setting(word, words, &env, at, &mut made);
            }
        }
        let said = |word: &str| seen.iter().find(|(known, _)| known == word).map(|(_, at)| *at);
        if said("issuer").is_none() && said("keys").is_none() {
            let d = lint::g1024::range(loc, "a provider has an `issuer`: who signs its tokens, and where it is found");
            self.report(d.help("write", "issuer \"https://login.example.com\"", None));
        }
        let login = ["client", "session", "scopes", "callback", "claims"].into_iter().find_map(said);
        if let (Some(at), None) = (login, said("issuer")) {
            let d = lint::g1024::range(at, "this is of logins, and a login needs the provider's `issuer`");
            self.report(d.help("write", "issuer \"https://login.example.com\"", None));
        }
        if let (Some(at), None) = (said("session"), said("client")) {
            let d = lint::g1024::range(at, "a session begins with a login, and a login needs the `client` that asks");
            self.report(d.help("write", "client \"shop\" key secret.corp-client", None));
        }
        self.bound_provider(module, &mut made);
        (self.diagnostics.len() == before).then_some(made)
    }

    fn provider_setting(&mut self, word: &str, words: &[Spanned<Word>], env: &Env, at: Loc, made: &mut Provider) {
        match word {
            "issuer" => made.issuer = self.issuer(words, env, at),
            "keys" => {
                let shape = "the URL of a set of keys, as in `keys \"https://login.example.com/jwks.json\"`";
                made.keys = self.one_url("keys", words, env, at, shape);
            }
            "trust" => {
                let shape = "a file with certificates, as in `trust \"pki/corp-ca.pem\"`";
                made.trust = self.short_text("trust", words, env, at, shape);
            }
            "client" => made.client = self.provider_client(words, env, at),
            "scopes" => {
                if let Some(scopes) = self.name_list("scopes", "[openid, profile, email]", words, env, at) {
                    if !scopes.iter().any(|scope| &**scope == "openid") {
                        let d = lint::g1024::range(at, "`scopes` has `openid`: without it nobody says who logged in");
                        self.report(d.help("write", "scopes [openid, …]", None));
                    }
                    made.scopes = scopes;
                }
            }
            "callback" => made.callback = self.callback(words, env, at).unwrap_or_else(|| CALLBACK.into()),
            "session" => made.session = self.provider_session(words, env, at),
            _ => made.claims = self.name_list("claims", "[email, name, groups]", words, env, at).unwrap_or_default(),
        }
    }

    /// `issuer "https://login.example.com"`: without query and fragment (OpenID Connect Discovery 1.0, section 3).
    fn issuer(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<Arc<str>> {
        let shape = "the URL that its tokens have as `iss`, as in `issuer \"https://login.example.com\"`";
        let issuer = self.one_url("issuer", words, env, at, shape)?;
        if issuer.contains('?') || issuer.contains("/.well-known/") {
            let why = "`issuer` takes the URL in front of `/.well-known/openid-configuration`, without a query";
            self.report(lint::g1024::range(at, why));
            return None;
        }
        Some(issuer)
    }

    fn one_url(&mut self, what: &str, words: &[Spanned<Word>], env: &Env, at: Loc, shape: &str) -> Option<Arc<str>> {
        let [word] = words else {
            self.report(lint::g1024::shape(at, what, shape));
            return None;
        };
        let text = self.said_url(what, word, env, shape)?;
        let at = self.at(env, word.span);
        self.provider_url(what, &text, at)
    }

    /// A URL of a provider.
    pub(super) fn provider_url(&mut self, what: &str, text: &str, at: Loc) -> Option<Arc<str>> {
        let url = self.checked_url(what, text, at)?;
        let authority = url.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
        if authority.is_some_and(|authority| authority.contains('@')) {
            self.report(lint::g1024::range(at, &format!("`{what}` takes a URL without a user in it")));
            return None;
        }
        Some(url)
    }

    fn short_text(&mut self, what: &str, words: &[Spanned<Word>], env: &Env, at: Loc, shape: &str) -> Option<Arc<str>> {
        let [word] = words else {
            self.report(lint::g1024::shape(at, what, shape));
            return None;
        };
        let text = self.said_text(what, word, env, shape)?;
        if text.is_empty() || text.len() > LONGEST || text.bytes().any(|b| b.is_ascii_control()) {
            self.report(lint::g1024::shape(at, what, shape));
            return None;
        }
        Some(text)
    }

    /// `client "shop" key secret.corp-client`
    fn provider_client(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<ProviderClient> {
        let (id, key) = match words {
            [id] => (id, None),
            [id, word, key] if word_name(&word.node).as_deref() == Some("key") => (id, Some(key)),
            _ => {
                self.report(lint::g1024::shape(at, "client", CLIENT));
                return None;
            }
        };
        let id = self.short_text("client", std::slice::from_ref(id), env, at, CLIENT)?;
        let key = match key {
            Some(key) => Some(self.secret_word("client … key", key, env)?),
            None => None,
        };
        Some(ProviderClient { id, key })
    }

    /// `session "__Host-sid" key secret.session-key for 12h idle 30m`
    fn provider_session(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<ProviderSession> {
        let Some((cookie, rest)) = words.split_first() else {
            self.report(lint::g1024::shape(at, "session", SESSION));
            return None;
        };
        let cookie_at = self.at(env, cookie.span);
        let cookie = self.short_text("session", std::slice::from_ref(cookie), env, at, SESSION)?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if cookie.len() > 64 || !cookie.bytes().all(token) {
            let rule = "a cookie's name has letters, digits, `-` and `_`, 64 at most";
            self.report(lint::g1024::range(cookie_at, rule));
            return None;
        }
        let (mut key, mut for_ms, mut idle_ms) = (None, None, None);
        let mut seen: Vec<(String, Loc)> = Vec::new();
        for pair in rest.chunks(2) {
            let loc = self.at(env, pair[0].span);
            let (Some(word), Some(value)) = (word_name(&pair[0].node), pair.get(1)) else {
                self.report(lint::g1024::shape(loc, "session", SESSION));
                return None;
            };
            if !self.once_in(&mut seen, &word, loc) {
                return None;
            }
            match word.as_str() {
                "key" => key = Some(self.secret_word("session … key", value, env)?),
                "for" => for_ms = Some(self.duration_behind("for", loc, &pair[1..], env)?),
                "idle" => idle_ms = Some(self.duration_behind("idle", loc, &pair[1..], env)?),
                other => {
                    let near = nearest(other, ["key", "for", "idle"]);
                    self.report(lint::g1001::setting(loc, other, "session", near));
                    return None;
                }
            }
        }
        let Some(key) = key else {
            self.report(lint::g1024::shape(at, "session", SESSION));
            return None;
        };
        let for_ms = for_ms.unwrap_or(FOR_MS);
        if idle_ms.is_some_and(|idle| idle > for_ms) {
            self.report(lint::g1024::range(at, "`idle` is no longer than `for`: after that a session is over anyway"));
            return None;
        }
        Some(ProviderSession { cookie, key, for_ms, idle_ms })
    }

    /// `callback /login/corp`: a path as requests have it once they are canonical.
    fn callback(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<Arc<str>> {
        let shape = "a path, as in `callback /login/corp`";
        let path = match words {
            [Spanned { node: Word::Value(Expr::Path(path) | Expr::Text(path)), span }] => {
                self.constant(&Spanned::new(path.clone(), *span), Ty::Path, env)?
            }
            _ => {
                self.report(lint::g1024::shape(at, "callback", shape));
                return None;
            }
        };
        let plain = !path.contains(['?', '#', ';', '%', '\\']) && path.len() > 1 && path.len() <= LONGEST;
        let same = canonical::is_canonical(&path, Paths::Canonical);
        if !plain || !same || path.ends_with('/') {
            self.report(lint::g1024::shape(at, "callback", shape));
            return None;
        }
        Some(path)
    }

    /// `[openid, profile]`: names, or texts where one is no name.
    fn name_list(
        &mut self,
        what: &str,
        example: &str,
        words: &[Spanned<Word>],
        env: &Env,
        at: Loc,
    ) -> Option<Vec<Arc<str>>> {
        let shape = format!("a list of names, as in `{what} {example}`");
        let [Spanned { node: Word::Value(Expr::List(items)), .. }] = words else {
            self.report(lint::g1024::shape(at, what, &shape));
            return None;
        };
        let mut out: Vec<Arc<str>> = Vec::new();
        for item in items {
            let at = self.at(env, item.span);
            let name: Option<Arc<str>> = match &item.node {
                Expr::Name(name) => Some(Self::name_text(name).into()),
                Expr::Text(text) => self.constant(&Spanned::new(text.clone(), item.span), Ty::Text, env),
                _ => None,
            };
            // What a scope is made of (RFC 6749 section 3.3).
            let sound = |name: &str| name.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
            match name.filter(|name| !name.is_empty() && name.len() <= 128 && sound(name)) {
                None => {
                    self.report(lint::g1024::shape(at, what, &shape));
                    return None;
                }
                Some(name) if out.contains(&name) => {
                    self.report(lint::g1024::range(at, &format!("`{name}` stands twice in the list")));
                    return None;
                }
                Some(name) => out.push(name),
            }
        }
        if out.len() > MOST {
            self.report(lint::g1024::range(at, &format!("{MOST} are the most that `{what}` takes")));
            return None;
        }
        Some(out)
    }

    /// Bounds what is dialled for a provider of a tenant's file; says so of what is written there already.
    pub(super) fn bound_provider(&mut self, module: ModIdx, provider: &mut Provider) {
        let modules = self.modules;
        let Some(tenancy) = modules.tenancy() else { return };
        if self.linked.modules[module].name == GATEWAY {
            return;
        }
        let dials = &tenancy.tenant.dials;
        for url in provider.issuer.iter().chain(&provider.keys) {
            let host = url_host(url);
            if host.parse::<IpAddr>().is_ok_and(|ip| !dials.allows(ip)) {
                self.report(lint::g8002::outside(provider.loc, host, dials));
            }
        }
        provider.dials = Some(Arc::clone(dials));
    }
}

/// The host of a URL that was checked, without the brackets of IPv6.
fn url_host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}
