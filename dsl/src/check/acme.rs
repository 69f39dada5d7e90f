//! `acme { … }` in `gateway { … }`: whom certificates are ordered from.

mod providers;

use super::pools::word_name as name;
use super::ty::Ty;
use super::val::Val;
use super::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{self, Expr, StmtKind, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Acme, Authority, Challenge, Eab, LETS_ENCRYPT};
use std::sync::Arc;

/// What it says.
pub(crate) const SETTINGS: &[&str] =
    &["contact", "terms", "directory", "root", "eab", "profile", "challenges", "limit", "fallback", "dns"];
/// What is said of one authority, so that `fallback` says it too.
const OF_AUTHORITY: &[&str] = &["root", "eab", "profile", "limit"];
/// Orders that Let's Encrypt grants an account: 300 in three hours.
const ORDERS: (u32, u64) = (300, 3 * 3_600_000);
/// More fallbacks help nobody.
const MOST_FALLBACKS: usize = 4;
/// More than this is no identifier.
const LONGEST: usize = 512;

impl<'a> Checker<'a> {
    /// Checks the block. `None` where something is missing without which nothing may be ordered.
    pub(super) fn acme(
        &mut self,
        words: &[Spanned<Word>],
        body: Option<&'a ast::Block>,
        head: Loc,
    ) -> Option<Arc<Acme>> {
        let Some(body) = body.filter(|_| words.is_empty()) else {
            let shape = "a block, as in `acme { contact \"ops@example.com\" … }`";
            self.report(lint::g1024::shape(head, "acme", shape));
            return None;
        };
        let env = Env::top(0);
        let mut first =
            Authority { directory: LETS_ENCRYPT.into(), root: None, eab: None, profile: None, orders: ORDERS };
        let (mut contact, mut fallbacks, mut providers) = (Vec::new(), Vec::new(), Vec::new());
        let mut challenges = vec![Challenge::TlsAlpn, Challenge::Http];
        let mut terms = false;
        let mut seen: Vec<(String, Loc)> = Vec::new();
        for stmt in &body.stmts {
            let at = self.loc(0, stmt.span);
            // The grammar reads `limit` as the statement of that name.
            let (head_loc, word, words, body) = match &stmt.kind {
                StmtKind::Setting { head, words, body } => {
                    (self.loc(0, head.span), head.node.as_str(), words.as_slice(), body.as_ref())
                }
                StmtKind::Limit(said) if said.per.is_none() && said.rest.is_empty() => {
                    (at, "limit", said.words.as_slice(), None)
                }
                _ => {
                    self.report(lint::g1024::shape(at, "acme", "settings, as in `contact \"ops@example.com\"`"));
                    continue;
                }
            };
            if !SETTINGS.contains(&word) {
                let near = nearest(word, SETTINGS.iter().copied());
                self.report(lint::g1001::setting(head_loc, word, "acme", near));
                continue;
            }
            if !matches!(word, "dns" | "fallback") && !self.once_in(&mut seen, word, head_loc) {
                continue;
            }
            match word {
                "contact" => contact = self.contacts(words, &env, at),
                "terms" => match words {
                    [word] if name(&word.node).as_deref() == Some("agreed") => terms = true,
                    _ => {
                        let near = words.first().and_then(|word| name(&word.node)).map(|_| "agreed");
                        terms = true;
                        self.report(lint::g1024::one_of(at, "terms", &["agreed"], near));
                    }
                },
                "directory" => {
                    if let Some(url) = self.directory("directory", words, &env, at) {
                        first.directory = url;
                    }
                }
                "challenges" => {
                    if let Some(said) = self.challenges(words, at) {
                        challenges = said;
                    }
                }
                "fallback" => {
                    if fallbacks.len() == MOST_FALLBACKS {
                        let why = format!("{MOST_FALLBACKS} fallbacks are the most that are kept");
                        self.report(lint::g1024::range(at, &why));
                        continue;
                    }
                    fallbacks.extend(self.fallback(words, body, &env, at));
                }
                "dns" => providers.extend(self.provider(words, &providers, &env, at)),
                _ => self.of_authority(word, words, &env, at, &mut first),
            }
        }
        if contact.is_empty() && !seen.iter().any(|(word, _)| word == "contact") {
            self.report(
                lint::g1024::range(
                    head,
                    "`acme` needs `contact`: where the authority writes to when something is wrong",
                )
                .help("write", "contact \"ops@your-domain.com\"", None),
            );
        }
        if !terms {
            self.report(
                lint::g1024::range(head, "`acme` needs `terms agreed`: no account is made without it")
                    .help("read the authority's terms of service, then write", "terms agreed", None)
                    .note("the directory names them, at `termsOfService`"),
            );
        }
        let mut authorities = vec![first];
        authorities.extend(fallbacks);
        (terms && !contact.is_empty())
            .then(|| Arc::new(Acme { contact, authorities, challenges, providers, loc: head }))
    }

    /// Whether a setting is said for the first time; reported when it is not.
    pub(super) fn once_in(&mut self, seen: &mut Vec<(String, Loc)>, word: &str, at: Loc) -> bool {
        if let Some((_, first)) = seen.iter().find(|(known, _)| known == word) {
            let first = *first;
            self.report(lint::g1023::twice(at, word, first));
            return false;
        }
        seen.push((word.to_owned(), at));
        true
    }

    /// `contact "ops@example.com", "it@example.com"`
    fn contacts(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Vec<Arc<str>> {
        let shape = "a mail address, as in `contact \"ops@example.com\"`";
        let mut out: Vec<Arc<str>> = Vec::new();
        for word in words.iter().filter(|word| word.node != Word::Comma) {
            let Some(text) = self.said_text("contact", word, env, shape) else { continue };
            let bare = text.strip_prefix("mailto:").unwrap_or(&text);
            let whole = bare.split_once('@').is_some_and(|(user, host)| {
                !user.is_empty() && host.contains('.') && super::expr::is_host(host) && !user.contains('@')
            });
            let plain = bare.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b',' | b'<' | b'>' | b'"' | b'?'));
            if !(whole && plain && bare.len() <= LONGEST) {
                let at = self.loc(0, word.span);
                self.report(lint::g1024::range(at, &format!("`contact` takes a mail address, which `{bare}` is not")));
                continue;
            }
            out.push(bare.into());
        }
        if words.is_empty() {
            self.report(lint::g1024::shape(at, "contact", shape));
        }
        out
    }

    /// `directory "https://…"`
    fn directory(&mut self, what: &str, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<Arc<str>> {
        let shape = format!("the URL of an authority's directory, as in `{what} \"{LETS_ENCRYPT}\"`");
        let [word] = words else {
            self.report(lint::g1024::shape(at, what, &shape));
            return None;
        };
        let text = self.said_url(what, word, env, &shape)?;
        self.checked_url(what, &text, self.loc(0, word.span))
    }

    /// A URL of a server that is spoken to: https, or http to this machine.
    pub(super) fn checked_url(&mut self, what: &str, text: &str, at: Loc) -> Option<Arc<str>> {
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => {
                self.report(lint::g1024::range(at, &format!("`{what}` takes a URL that begins with `https://`")));
                return None;
            }
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').or((!port.is_empty()).then_some(port))),
            None => authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let ip = host.parse::<std::net::IpAddr>().ok();
        let sound = (ip.is_some() || super::expr::is_host(host))
            && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
            && text.bytes().all(|b| b.is_ascii_graphic())
            && !text.contains('#')
            && text.len() <= LONGEST;
        if !sound {
            self.report(lint::g1024::range(at, &format!("`{text}` is no URL of a server")));
            return None;
        }
        let here = ip.is_some_and(|ip| ip.is_loopback()) || host == "localhost";
        if !secure && !here {
            let why = format!("`{what}` takes `https://`: `http://` is for a server on this machine, in tests");
            self.report(lint::g1024::range(at, &why).help("write", format!("https://{rest}"), None));
            return None;
        }
        Some(text.into())
    }

    /// `fallback "https://…" { root … eab … profile … limit … }`
    fn fallback(
        &mut self,
        words: &[Spanned<Word>],
        body: Option<&'a ast::Block>,
        env: &Env,
        at: Loc,
    ) -> Option<Authority> {
        let directory = self.directory("fallback", words, env, at);
        let mut made = Authority {
            directory: directory.clone().unwrap_or_default(),
            root: None,
            eab: None,
            profile: None,
            orders: ORDERS,
        };
        let mut seen = Vec::new();
        for stmt in body.map(|body| body.stmts.as_slice()).unwrap_or_default() {
            let at = self.loc(0, stmt.span);
            let (head, word, words) = match &stmt.kind {
                StmtKind::Setting { head, words, body: None } => {
                    (self.loc(0, head.span), head.node.as_str(), words.as_slice())
                }
                StmtKind::Limit(said) if said.per.is_none() && said.rest.is_empty() => {
                    (at, "limit", said.words.as_slice())
                }
                _ => {
                    self.report(lint::g1024::shape(at, "fallback", "`root`, `eab`, `profile` and `limit`"));
                    continue;
                }
            };
            if !OF_AUTHORITY.contains(&word) {
                let near = nearest(word, OF_AUTHORITY.iter().copied());
                self.report(lint::g1001::setting(head, word, "fallback", near));
                continue;
            }
            if self.once_in(&mut seen, word, head) {
                self.of_authority(word, words, env, at, &mut made);
            }
        }
        directory.map(|_| made)
    }

    /// What is said of one authority.
    fn of_authority(&mut self, word: &str, words: &[Spanned<Word>], env: &Env, at: Loc, made: &mut Authority) {
        match (word, words) {
            ("root", [file]) => {
                let shape = "the name of a file with the certificates that the directory's TLS is verified with";
                if let Some(text) = self.said_text("root", file, env, shape) {
                    if text.is_empty() || text.bytes().any(|b| b.is_ascii_control()) {
                        self.report(lint::g1024::shape(at, "root", shape));
                    } else {
                        made.root = Some(text);
                    }
                }
            }
            ("profile", [profile]) => {
                let shape = "the name of a profile, as in `profile \"shortlived\"`";
                if let Some(text) = self.said_text("profile", profile, env, shape) {
                    if text.is_empty() || text.len() > LONGEST || text.bytes().any(|b| !b.is_ascii_graphic()) {
                        self.report(lint::g1024::shape(at, "profile", shape));
                    } else {
                        made.profile = Some(text);
                    }
                }
            }
            ("eab", [kid, key, secret]) if name(&key.node).as_deref() == Some("key") => {
                let shape = "an identifier and its key, as in `eab \"kid-1\" key secret.eab`";
                let kid = self.said_text("eab", kid, env, shape);
                let key = self.secret_word("eab … key", secret, env);
                if let (Some(kid), Some(key)) = (kid, key) {
                    if kid.is_empty() || kid.len() > LONGEST || kid.bytes().any(|b| b.is_ascii_control()) {
                        self.report(lint::g1024::shape(at, "eab", shape));
                    } else {
                        made.eab = Some(Eab { kid, key });
                    }
                }
            }
            ("limit", [Spanned { node: Word::Value(expr), span }]) => {
                match self.eval(&Spanned::new(expr.clone(), *span), env, Some(&Ty::Rate)) {
                    Val::Rate { count, seconds, bytes: false } => {
                        if let Some(count) = self.counted(i64::try_from(count).unwrap_or(i64::MAX), at, "a rate") {
                            made.orders = (count, seconds.saturating_mul(1000));
                        }
                    }
                    Val::Opaque(..) => {}
                    _ => self.report(lint::g1024::shape(at, "limit", "a rate of orders, as in `limit 300/3h`")),
                }
            }
            ("root", _) => {
                self.report(lint::g1024::shape(at, "root", "the name of a file, as in `root \"pki/ca.pem\"`"))
            }
            ("profile", _) => {
                self.report(lint::g1024::shape(at, "profile", "the name of a profile, as in `profile \"shortlived\"`"));
            }
            ("eab", _) => {
                let shape = "an identifier and its key, as in `eab \"kid-1\" key secret.eab`";
                self.report(lint::g1024::shape(at, "eab", shape));
            }
            _ => self.report(lint::g1024::shape(at, "limit", "a rate of orders, as in `limit 300/3h`")),
        }
    }

    /// `challenges [tls-alpn, http]`
    fn challenges(&mut self, words: &[Spanned<Word>], at: Loc) -> Option<Vec<Challenge>> {
        const KNOWN: [&str; 2] = ["tls-alpn", "http"];
        let [Spanned { node: Word::Value(Expr::List(items)), .. }] = words else {
            self.report(lint::g1024::shape(at, "challenges", "a list, as in `challenges [tls-alpn, http]`"));
            return None;
        };
        let mut out = Vec::new();
        for item in items {
            let at = self.loc(0, item.span);
            let text = match &item.node {
                Expr::Name(name) => Self::name_text(name),
                _ => String::new(),
            };
            let challenge = match text.as_str() {
                "tls-alpn" => Challenge::TlsAlpn,
                "http" => Challenge::Http,
                "dns" | "dns-01" => {
                    self.report(lint::g1024::range(at, "names are proved by DNS where a site says so").help(
                        "write in the site",
                        "tls auto via dns(NAME)",
                        None,
                    ));
                    return None;
                }
                _ => {
                    let near = nearest(&text, KNOWN);
                    let near = near.or(text.starts_with("tls").then_some("tls-alpn"));
                    let near = near.or(text.starts_with("http").then_some("http"));
                    let d = lint::g1024::range(at, "the challenges are `tls-alpn` and `http`");
                    self.report(match near {
                        Some(near) => d.help("did you mean", near, None),
                        None => d,
                    });
                    return None;
                }
            };
            if out.contains(&challenge) {
                self.report(lint::g1024::range(at, &format!("`{text}` stands twice in the list")));
                continue;
            }
            out.push(challenge);
        }
        if out.is_empty() {
            self.report(lint::g1024::range(at, "without a challenge no name can be proved"));
            return None;
        }
        Some(out)
    }

    /// A word that is a text.
    pub(super) fn said_text(&mut self, what: &str, word: &Spanned<Word>, env: &Env, shape: &str) -> Option<Arc<str>> {
        match &word.node {
            Word::Value(Expr::Text(text)) => self.constant(&Spanned::new(text.clone(), word.span), Ty::Text, env),
            Word::Value(expr @ Expr::Name(_)) => {
                let val = self.eval(&Spanned::new(expr.clone(), word.span), env, Some(&Ty::Text));
                if let Some(text) = val.as_text() {
                    return Some(text);
                }
                if !val.is_opaque() {
                    self.report(lint::g1024::shape(self.at(env, word.span), what, shape));
                }
                None
            }
            _ => {
                self.report(lint::g1024::shape(self.at(env, word.span), what, shape));
                None
            }
        }
    }

    /// A word that is a URL, bare or in quotes.
    pub(super) fn said_url(&mut self, what: &str, word: &Spanned<Word>, env: &Env, shape: &str) -> Option<Arc<str>> {
        match &word.node {
            Word::Value(Expr::Url(url)) => self.constant(&Spanned::new(url.clone(), word.span), Ty::Url, env),
            _ => self.said_text(what, word, env, shape),
        }
    }

    /// A word that names a secret.
    pub(super) fn secret_word(&mut self, what: &str, word: &Spanned<Word>, env: &Env) -> Option<Arc<str>> {
        let at = self.at(env, word.span);
        let Word::Value(expr) = &word.node else {
            self.report(lint::g1024::shape(at, what, "the name of a secret, as in `secret.eab`"));
            return None;
        };
        match self.eval(&Spanned::new(expr.clone(), word.span), env, Some(&Ty::Secret)) {
            Val::Secret(name) => Some(name),
            Val::Opaque(..) => None,
            other => {
                let found = other.ty().0.noun();
                self.report(lint::g1005::wrong(
                    at,
                    &format!("`{what}` takes"),
                    "a secret, as in `secret.name`",
                    &found,
                ));
                None
            }
        }
    }
}
