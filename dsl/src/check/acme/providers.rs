//! `dns NAME = provider(…)`: who puts the records in place that prove names by DNS.

use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::check::{Checker, Env, pools};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Arg, Expr, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{DnsProvider, Tsig};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The providers, and what each takes.
const KNOWN: &[(&str, &[&str])] = &[
    ("rfc2136", &["server", "name", "algorithm", "key", "wait"]),
    ("acme-dns", &["server", "key", "wait"]),
    ("hook", &["key", "wait"]),
    ("persist", &[]),
];
/// How one is written.
const SHAPE: &str =
    "a name and a provider, as in `dns corp = rfc2136(server: \"10.0.0.53\", name: \"sluice.\", key: secret.tsig)`";
/// More providers are no configuration.
const MOST: usize = 64;
/// The longest wait, milliseconds: an hour.
const LONGEST_WAIT: u64 = 3_600_000;

/// The arguments of a provider, by their names.
struct Said<'s>(Vec<(&'s str, &'s Arg)>);

impl<'s> Said<'s> {
    fn get(&self, name: &str) -> Option<&'s Arg> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, arg)| *arg)
    }
}

impl Checker<'_> {
    /// One line.
    pub(super) fn provider(
        &mut self,
        words: &[Spanned<Word>],
        known: &[(Arc<str>, DnsProvider)],
        env: &Env,
        at: Loc,
    ) -> Option<(Arc<str>, DnsProvider)> {
        let [called, Spanned { node: Word::Equals, .. }, Spanned { node: Word::Value(Expr::Call { name, args }), .. }] =
            words
        else {
            self.report(lint::g1024::shape(at, "dns", SHAPE));
            return None;
        };
        let Some(own) = pools::word_name(&called.node).filter(|own| !own.contains('.')) else {
            self.report(lint::g1024::shape(at, "dns", SHAPE));
            return None;
        };
        let own_at = self.at(env, called.span);
        if known.iter().any(|(known, _)| **known == *own) {
            self.report(lint::g1024::range(own_at, &format!("two providers are named `{own}`")));
            return None;
        }
        if known.len() == MOST {
            self.report(lint::g1024::range(at, &format!("{MOST} providers are the most that are kept")));
            return None;
        }
        let kind = Self::name_text(&name.node);
        let kind_at = self.at(env, name.span);
        let Some((kind, params)) = KNOWN.iter().find(|(known, _)| *known == kind) else {
            let near = nearest(&kind, KNOWN.iter().map(|(known, _)| *known));
            let list: Vec<String> = KNOWN.iter().map(|(known, _)| format!("`{known}`")).collect();
            let d = lint::g1003::unknown_function(kind_at, &kind, near);
            self.report(d.note(format!("the providers are {}", list.join(", "))));
            return None;
        };
        let (said, bare) = self.arguments(kind, params, args, env)?;
        if let Some(bare) = bare.filter(|_| *kind != "hook") {
            let at = self.at(env, bare.value.span);
            self.report(match params.first() {
                Some(first) => lint::g1021::unnamed(at, kind, first),
                None => lint::g1021::too_many(at, kind, 0),
            });
            return None;
        }
        let made = match *kind {
            "rfc2136" => self.rfc2136(&said, env, kind_at),
            "acme-dns" => self.acme_dns(&said, env, kind_at),
            "hook" => self.hook(&said, bare, env, kind_at),
            _ => Some(DnsProvider::Persist),
        };
        Some((own.into(), made?))
    }

    /// The arguments by their names, and the one without a name.
    fn arguments<'s>(
        &mut self,
        kind: &str,
        params: &[&'static str],
        args: &'s [Arg],
        env: &Env,
    ) -> Option<(Said<'s>, Option<&'s Arg>)> {
        let (mut said, mut bare) = (Said(Vec::new()), None);
        for arg in args {
            match &arg.name {
                None if bare.is_none() => bare = Some(arg),
                None => {
                    self.report(lint::g1021::too_many(self.at(env, arg.value.span), kind, 1));
                    return None;
                }
                Some(name) => {
                    let at = self.at(env, name.span);
                    if !params.contains(&name.node.as_str()) {
                        let near = nearest(&name.node, params.iter().copied());
                        self.report(lint::g1021::unknown(at, kind, &name.node, near));
                        return None;
                    }
                    if said.get(&name.node).is_some() {
                        self.report(lint::g1021::twice(at, kind, &name.node));
                        return None;
                    }
                    said.0.push((name.node.as_str(), arg));
                }
            }
        }
        Some((said, bare))
    }

    fn rfc2136(&mut self, said: &Said<'_>, env: &Env, at: Loc) -> Option<DnsProvider> {
        let server = self.text_of("rfc2136", "server", said, env, at)?;
        let address = match (server.parse::<SocketAddr>(), server.parse::<IpAddr>()) {
            (Ok(address), _) => Some(address),
            (Err(_), Ok(ip)) => Some(SocketAddr::new(ip, 53)),
            (Err(_), Err(_)) => None,
        };
        let Some(server) = address.filter(|address| address.port() > 0 && !address.ip().is_unspecified()) else {
            let at = said.get("server").map_or(at, |arg| self.at(env, arg.value.span));
            self.report(lint::g1024::range(at, "`server` takes an address, as in `server: \"10.0.0.53:53\"`"));
            return None;
        };
        let name = self.text_of("rfc2136", "name", said, env, at)?;
        let bare = name.strip_suffix('.').unwrap_or(&name);
        if !crate::check::expr::is_host(bare) {
            let at = said.get("name").map_or(at, |arg| self.at(env, arg.value.span));
            self.report(lint::g1024::range(at, "`name` takes the name of the TSIG key, as in `name: \"sluice.\"`"));
            return None;
        }
        let algorithm = match said.get("algorithm") {
            None => Tsig::default(),
            Some(_) => match &*self.text_of("rfc2136", "algorithm", said, env, at)? {
                "hmac-sha256" => Tsig::Sha256,
                "hmac-sha512" => Tsig::Sha512,
                other => {
                    let at = said.get("algorithm").map_or(at, |arg| self.at(env, arg.value.span));
                    let near = nearest(other, ["hmac-sha256", "hmac-sha512"]);
                    let d = lint::g1024::range(at, "`algorithm` is \"hmac-sha256\" or \"hmac-sha512\"");
                    self.report(match near {
                        Some(near) => d.help("did you mean", format!("\"{near}\""), None),
                        None => d,
                    });
                    return None;
                }
            },
        };
        let (key, wait) = (self.secret_of(said, env)?, self.wait_of(said, env)?);
        Some(DnsProvider::Rfc2136 { server, name: bare.to_ascii_lowercase().into(), algorithm, key, wait })
    }

    fn acme_dns(&mut self, said: &Said<'_>, env: &Env, at: Loc) -> Option<DnsProvider> {
        let server = match said.get("server").map(|arg| &arg.value) {
            Some(Spanned { node: Expr::Url(url), span }) => {
                self.constant(&Spanned::new(url.clone(), *span), Ty::Url, env)?
            }
            _ => self.text_of("acme-dns", "server", said, env, at)?,
        };
        let at = said.get("server").map_or(at, |arg| self.at(env, arg.value.span));
        let server = self.checked_url("server", &server, at)?;
        let (key, wait) = (self.secret_of(said, env)?, self.wait_of(said, env)?);
        Some(DnsProvider::AcmeDns { server, key, wait })
    }

    fn hook(&mut self, said: &Said<'_>, bare: Option<&Arg>, env: &Env, at: Loc) -> Option<DnsProvider> {
        let shape = "the program that it runs, as in `hook(\"/usr/local/bin/dns-hook\")`";
        let Some(arg) = bare else {
            self.report(lint::g1024::shape(at, "hook", shape));
            return None;
        };
        let at = self.at(env, arg.value.span);
        let command = self.eval(&arg.value, env, Some(&Ty::Text));
        match command.as_text() {
            Some(command) if command.starts_with('/') && !command.bytes().any(|b| b.is_ascii_control()) => {
                let (key, wait) = (self.secret_of(said, env)?, self.wait_of(said, env)?);
                Some(DnsProvider::Hook { command, key, wait })
            }
            Some(_) => {
                let why = "`hook` takes an absolute path: nothing is looked for in $PATH, and no shell reads it";
                self.report(lint::g1024::range(at, why));
                None
            }
            None => {
                if !command.is_opaque() {
                    self.report(lint::g1024::shape(at, "hook", shape));
                }
                None
            }
        }
    }

    /// A text that a provider needs.
    fn text_of(&mut self, kind: &str, param: &str, said: &Said<'_>, env: &Env, at: Loc) -> Option<Arc<str>> {
        let Some(arg) = said.get(param) else {
            self.report(lint::g1021::missing(at, kind, param, Some("a text")));
            return None;
        };
        let val = self.eval(&arg.value, env, Some(&Ty::Text));
        match val.as_text() {
            Some(text) => Some(text),
            None => {
                if !val.is_opaque() {
                    let at = self.at(env, arg.value.span);
                    self.report(lint::g1005::wrong(at, &format!("`{param}` takes"), "a text", &val.ty().0.noun()));
                }
                None
            }
        }
    }

    /// `key: secret.x`; `None` where it was reported.
    fn secret_of(&mut self, said: &Said<'_>, env: &Env) -> Option<Option<Arc<str>>> {
        match said.get("key") {
            Some(arg) => self.one_key(arg, env),
            None => Some(None),
        }
    }

    /// `wait: 30s`, milliseconds; `None` where it was reported.
    fn wait_of(&mut self, said: &Said<'_>, env: &Env) -> Option<Option<u64>> {
        let Some(arg) = said.get("wait") else { return Some(None) };
        match self.eval(&arg.value, env, Some(&Ty::Duration)) {
            Val::Duration(ms) if ms <= LONGEST_WAIT => Some(Some(ms)),
            Val::Opaque(..) => Some(None),
            _ => {
                let at = self.at(env, arg.value.span);
                self.report(lint::g1024::range(at, "`wait` takes a duration of an hour at most, as in `wait: 30s`"));
                None
            }
        }
    }
}
