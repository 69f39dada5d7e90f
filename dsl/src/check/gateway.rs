//! `gateway { … }`

use super::{Checker, Env, Outcome};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{self, Expr, Ident, ListenAddr, StmtKind, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Gateway, IpNet, Listener, LogTo};
use std::net::SocketAddr;
use std::sync::Arc;

/// Settings that this version honours.
const SETTINGS: &[&str] = &[
    "http",
    "https",
    "trust",
    "proxy-protocol",
    "log",
    "metrics",
    "limits",
    "secrets",
    "country",
    "resolver",
    "tests",
    "acme",
    "edition",
    "export",
];

/// Settings that come later: head, and the form that is refused.
const LATER: &[(&str, &str)] = &[("store", "store"), ("admin", "admin")];

/// The port of name servers.
const DNS: u16 = 53;
/// More name servers help nobody: the first ones are asked.
const MOST_SERVERS: usize = 8;

/// The edition of the language that this version reads.
const EDITION: i64 = 2026;

/// Every setting of the gateway, those of later versions included.
pub(crate) fn of_the_gateway() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().copied().chain(LATER.iter().map(|(head, _)| *head))
}

impl<'a> Checker<'a> {
    /// Checks the `gateway` item.
    pub(super) fn gateway(&mut self, block: &'a ast::Block, loc: Loc, out: &mut Outcome) {
        let head = Loc {
            span: super::SpanExt::start_to(
                loc.span,
                crate::syntax::span::Span { start: block.span.start, end: block.span.start },
            ),
            ..loc
        };
        let head = Loc { span: crate::syntax::span::Span { end: head.span.start + 7, ..head.span }, ..head };
        if !self.gateway_file {
            self.report(lint::g8004::gateway(head));
            return;
        }
        if out.gateway.is_some() {
            self.report(lint::g8004::twice(head));
            return;
        }
        let mut made = Gateway { http: Vec::new(), https: Vec::new(), ..Gateway::default() };
        let env = Env::top(0);
        let mut seen: Vec<(String, Loc)> = Vec::new();
        let (mut http, mut https) = (false, false);
        for stmt in &block.stmts {
            let at = self.loc(0, stmt.span);
            let StmtKind::Setting { head, words, body } = &stmt.kind else {
                self.report(lint::g1022::in_gateway(at));
                continue;
            };
            let head_loc = self.loc(0, head.span);
            let name = head.node.as_str();
            if let Some((_, form)) = LATER.iter().find(|(h, _)| *h == name) {
                self.unsupported(form, at);
                continue;
            }
            if !SETTINGS.contains(&name) {
                let near = nearest(name, SETTINGS.iter().copied().chain(LATER.iter().map(|(h, _)| *h)));
                self.report(lint::g1001::setting(head_loc, name, "gateway", near));
                continue;
            }
            if !matches!(name, "http" | "https" | "export") {
                if let Some((_, first)) = seen.iter().find(|(h, _)| h == name) {
                    let first = *first;
                    self.report(lint::g1023::twice(head_loc, name, first));
                    continue;
                }
                seen.push((name.to_owned(), head_loc));
            }
            match name {
                "http" => {
                    http = true;
                    made.http.extend(self.listener(head, words, at, false));
                }
                "https" => {
                    https = true;
                    made.https.extend(self.listener(head, words, at, true));
                }
                "trust" => made.trusted_proxies = self.networks("trust", "proxies", words, &env, at),
                "proxy-protocol" => {
                    made.proxy_protocol_from = self.networks("proxy-protocol", "from", words, &env, at);
                }
                "log" => made.log = self.log_to(words, &env, at),
                "metrics" => made.metrics = self.listener(head, words, at, false),
                "tests" => match Self::word_names(words).as_slice() {
                    [word] if word == "off" && words.len() == 1 => made.tests = false,
                    other => {
                        let near = other.first().and_then(|w| nearest(w, ["off"]));
                        self.report(lint::g1024::one_of(at, "tests", &["off"], near));
                    }
                },
                "secrets" => (made.secrets, made.secrets_env) = self.secrets_from(words, &env, at),
                "country" => made.country = self.country_file(words, &env, at),
                "resolver" => made.resolver = self.resolver(words, at),
                "acme" => made.acme = self.acme(words, body.as_ref(), head_loc),
                "limits" => self.limits(body.as_ref(), &env, &mut made, at),
                "export" => self.exported(words, at),
                _ => match words.as_slice() {
                    [Spanned { node: Word::Value(Expr::Number(n)), .. }] if n.parse() == Ok(EDITION) => {}
                    [Spanned { node: Word::Value(Expr::Number(n)), span }] => {
                        let why = format!("edition {n} is not known to this version: it reads edition {EDITION}");
                        self.report(lint::g1024::range(self.loc(0, *span), &why).help(
                            "write",
                            format!("edition {EDITION}"),
                            None,
                        ));
                    }
                    _ => self.report(lint::g1024::shape(at, "edition", &format!("a year, as in `edition {EDITION}`"))),
                },
            }
        }
        let default = Gateway::default();
        // Listeners are the default ones unless some are written.
        if !http && !https {
            made.http = default.http;
            made.https = default.https;
        }
        out.gateway = Some(made);
    }

    /// `http :8080`, `https 10.0.0.1:8443 public 443 h3 off`
    fn listener(&mut self, head: &Ident, words: &[Spanned<Word>], at: Loc, tls: bool) -> Option<Listener> {
        let shape = "`:PORT` or `ADDRESS:PORT`";
        let Some((Spanned { node: Word::Listen(addr), span }, mut rest)) = words.split_first() else {
            self.report(lint::g1024::shape(at, &head.node, shape));
            return None;
        };
        let loc = self.loc(0, *span);
        let ListenAddr { ip, port, quic } = addr;
        if *quic {
            self.unsupported("h3", loc);
        }
        let mut public = None;
        while let Some((first, after)) = rest.split_first() {
            let name = match &first.node {
                Word::Value(Expr::Name(n)) => Self::name_text(n),
                _ => String::new(),
            };
            let value = after.first().map(|w| &w.node);
            match (name.as_str(), value) {
                ("public", Some(Word::Value(Expr::Number(n)))) if tls => match n.parse::<u16>() {
                    Ok(n) if n > 0 => public = Some(n),
                    _ => self
                        .report(lint::g1024::range(self.loc(0, after[0].span), "a port is a number from 1 to 65535")),
                },
                // HTTP/3 comes later, so that `off` is what happens anyway.
                ("h3", Some(Word::Value(Expr::Name(n)))) if tls && Self::name_text(n) == "off" => {}
                ("h3", _) if tls => self.unsupported("h3", self.loc(0, first.span)),
                _ => {
                    let shape = if tls { "`:PORT` or `ADDRESS:PORT`, then `public PORT` or `h3 off`" } else { shape };
                    self.report(lint::g1024::shape(at, &head.node, shape));
                    return None;
                }
            }
            rest = after.get(1..).unwrap_or_default();
        }
        Some(Listener { ip: *ip, port: *port, public, loc })
    }

    /// `log stdout`, `log off`, `log "connections.log"`
    fn log_to(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> LogTo {
        match words {
            [Spanned { node: Word::Value(Expr::Text(t)), span }] => {
                let text = Spanned::new(t.clone(), *span);
                match self.constant(&text, super::ty::Ty::Text, env) {
                    Some(file) if !file.is_empty() && !file.bytes().any(|c| c.is_ascii_control()) => LogTo::File(file),
                    Some(_) => {
                        self.report(lint::g1024::range(self.loc(0, *span), "`log` takes the name of a file"));
                        LogTo::default()
                    }
                    None => LogTo::default(),
                }
            }
            _ => match Self::word_names(words).as_slice() {
                [word] if word == "stdout" && words.len() == 1 => LogTo::Stdout,
                [word] if word == "off" && words.len() == 1 => LogTo::Off,
                other => {
                    let near = other.first().and_then(|w| nearest(w, ["stdout", "off"]));
                    self.report(lint::g1024::one_of(at, "log", &["stdout", "off", "\"connections.log\""], near));
                    LogTo::default()
                }
            },
        }
    }

    /// `secrets from "DIR"`
    fn secrets_from(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> (Option<Arc<str>>, bool) {
        let is = |word: &Spanned<Word>, text: &str| matches!(&word.node, Word::Value(Expr::Name(name)) if Self::name_text(name) == text);
        // What no file has may stand in the environment.
        let (words, in_env) = match words {
            [before @ .., last] if is(last, "env") => (before, true),
            words => (words, false),
        };
        match words {
            [from] if in_env && is(from, "from") => (None, true),
            [from, dir] if is(from, "from") => (self.secrets_dir(dir, env, at), in_env),
            _ => {
                self.secrets_shape(at);
                (None, false)
            }
        }
    }

    fn secrets_shape(&mut self, at: Loc) {
        let shape = "`from` and a directory, as in `secrets from \"secrets\"`, or `from env`";
        self.report(lint::g1024::shape(at, "secrets", shape));
    }

    fn secrets_dir(&mut self, dir: &Spanned<Word>, env: &Env, at: Loc) -> Option<Arc<str>> {
        match dir {
            Spanned { node: Word::Value(Expr::Text(t)), span } => {
                let dir = self.constant(&Spanned::new(t.clone(), *span), super::ty::Ty::Text, env)?;
                if dir.is_empty() || dir.bytes().any(|c| c.is_ascii_control()) {
                    let why = "`secrets from` takes the name of a directory, with a file for each secret";
                    self.report(lint::g1024::range(self.loc(0, *span), why));
                    return None;
                }
                Some(dir)
            }
            _ => {
                self.secrets_shape(at);
                None
            }
        }
    }

    /// `country "GeoLite2-Country.mmdb"`
    fn country_file(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<Arc<str>> {
        let [Spanned { node: Word::Value(Expr::Text(t)), span }] = words else {
            let shape = "a file of countries in MaxMind's format, as in `country \"GeoLite2-Country.mmdb\"`";
            self.report(lint::g1024::shape(at, "country", shape));
            return None;
        };
        let file = self.constant(&Spanned::new(t.clone(), *span), super::ty::Ty::Text, env)?;
        if file.is_empty() || file.bytes().any(|c| c.is_ascii_control()) {
            let why = "`country` takes the name of a file in MaxMind's format";
            self.report(lint::g1024::range(self.loc(0, *span), why));
            return None;
        }
        Some(file)
    }

    /// `resolver 10.0.0.53 10.0.1.53:5353`
    fn resolver(&mut self, words: &[Spanned<Word>], at: Loc) -> Vec<SocketAddr> {
        let mut servers: Vec<SocketAddr> = Vec::new();
        for word in words {
            let server = match &word.node {
                Word::Listen(ListenAddr { ip: Some(ip), port: port @ 1.., quic: false }) => SocketAddr::new(*ip, *port),
                Word::Value(Expr::Ip(ip)) => SocketAddr::new(*ip, DNS),
                _ => {
                    let rule = "`resolver` takes addresses of name servers: `ADDRESS` or `ADDRESS:PORT`";
                    self.report(lint::g1024::range(self.loc(0, word.span), rule));
                    continue;
                }
            };
            let server = SocketAddr::new(super::expr::unmapped(server.ip()), server.port());
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        if words.is_empty() || words.len() > MOST_SERVERS {
            let shape = "one to eight addresses of name servers, as in `resolver 10.0.0.53 10.0.1.53`";
            self.report(lint::g1024::shape(at, "resolver", shape));
        }
        servers
    }

    /// `trust proxies [10.0.0.0/8]`, `proxy-protocol from [10.0.0.0/8]`
    fn networks(&mut self, head: &str, word: &str, words: &[Spanned<Word>], env: &Env, at: Loc) -> Vec<IpNet> {
        let form = format!("{head} {word}");
        let (first, value, expr) = match words {
            [first, value @ Spanned { node: Word::Value(expr), .. }] => (first, value, expr),
            _ => {
                self.report(lint::g1024::shape(at, &form, "a list of networks"));
                return Vec::new();
            }
        };
        if !matches!(&first.node, Word::Value(Expr::Name(n)) if Self::name_text(n) == word) {
            self.report(lint::g1024::shape(at, &form, "a list of networks"));
            return Vec::new();
        }
        let loc = self.loc(0, value.span);
        let ty = super::ty::Ty::List(Box::new(super::ty::Ty::Cidr));
        let val = self.eval(&Spanned::new(expr.clone(), value.span), env, Some(&ty));
        let val = match val {
            one @ (super::val::Val::Ip(_) | super::val::Val::Cidr(_)) => super::val::Val::List(vec![(one, loc)]),
            other => other,
        };
        let what = format!("`{form}`");
        let super::val::Val::List(items) = self.coerce(&what, &ty, false, val, loc) else {
            return Vec::new();
        };
        let mut nets = Vec::new();
        for (item, at) in items {
            if let super::val::Val::Cidr(net) = item {
                if net.prefix_len() == 0 {
                    self.report(lint::g3006::everybody(at, &net.to_string()));
                } else {
                    nets.push(net);
                }
            }
        }
        nets
    }

    fn limits(&mut self, body: Option<&'a ast::Block>, env: &Env, made: &mut Gateway, at: Loc) {
        let Some(body) = body else {
            self.report(lint::g1024::shape(at, "limits", "a block, as in `limits { connections 50000 }`"));
            return;
        };
        let mut seen: Vec<(String, Loc)> = Vec::new();
        for stmt in &body.stmts {
            let at = self.loc(0, stmt.span);
            let StmtKind::Setting { head, words, body: _ } = &stmt.kind else {
                self.report(lint::g1022::in_gateway(at));
                continue;
            };
            let head_loc = self.loc(0, head.span);
            let timeout = head.node == "header" && Self::word_names(words).first().is_some_and(|w| w == "timeout");
            let key = if timeout { "header timeout".to_owned() } else { head.node.clone() };
            if let Some((_, first)) = seen.iter().find(|(k, _)| *k == key) {
                let first = *first;
                self.report(lint::g1023::twice(head_loc, &key, first));
                continue;
            }
            match key.as_str() {
                "connections" => {
                    if let Some(n) = self.word_number(head, words, env) {
                        made.limits.connections = n;
                    }
                }
                "header timeout" => {
                    if let Some(ms) = self.word_duration(head, words, &["timeout"], env) {
                        made.limits.header_ms = ms;
                    }
                }
                "header" => {
                    if let Some(bytes) = self.word_size(head, words, &[], env) {
                        made.limits.header_bytes = bytes;
                    }
                }
                "idle" => {
                    if let Some(ms) = self.word_duration(head, words, &[], env) {
                        made.limits.keep_alive_ms = ms;
                    }
                }
                "per-client" => {
                    if let Some(n) = self.word_number(head, words, env) {
                        // More than there can be is no limit that anybody meets.
                        made.limits.per_client = Some(u32::try_from(n).unwrap_or(u32::MAX));
                    }
                }
                other => {
                    let near = nearest(other, ["connections", "header", "idle", "per-client"]);
                    self.report(lint::g1001::setting(head_loc, other, "limits", near));
                }
            }
            seen.push((key, head_loc));
        }
    }
}
