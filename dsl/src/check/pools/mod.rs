//! Pools: endpoints and their settings.

mod balance;
mod health;
mod tls;

use super::route::Frame;
use super::{Checker, Env};
use crate::lint;
use crate::resolve::{ModIdx, nearest};
use crate::syntax::ast::{self, EndpointAddr, ItemKind, StmtKind, Word};
use crate::syntax::span::{Loc, Span, Spanned};
use crate::tree::ir;
use std::sync::Arc;

/// Heads of a pool's settings that this version honours.
const SETTINGS: &[&str] = &["balance", "check", "connect", "timeout", "idle", "protocol", "proxy-protocol", "tls"];

/// Heads of those that come later, with the form that is refused.
const LATER: &[(&str, &str)] = &[
    ("resolve", "resolve"),
    ("eject", "eject"),
    ("slow-start", "slow-start"),
    ("retry", "retry"),
    ("limit", "limit in a pool"),
    ("sticky", "sticky"),
];

impl<'a> Checker<'a> {
    /// The pool that an item declares, checked once.
    pub(super) fn pool(&mut self, module: ModIdx, item: usize) -> Option<Arc<ir::Pool>> {
        if let Some(done) = self.pools.get(&(module, item)) {
            return done.clone();
        }
        let linked = self.linked;
        let ItemKind::Pool(pool) = &linked.item(module, item).kind else { return None };
        let made = self.make_pool(module, pool).map(Arc::new);
        self.pools.insert((module, item), made.clone());
        made
    }

    fn make_pool(&mut self, module: ModIdx, pool: &ast::Pool) -> Option<ir::Pool> {
        let loc = self.loc(module, pool.name.span);
        let mut out = ir::Pool::new(pool.name.node.as_str().into(), Vec::new(), loc);
        let mut broken = false;
        let mut encrypted: Vec<(bool, Loc)> = Vec::new();
        for endpoint in &pool.endpoints {
            broken |= !self.endpoint(module, &endpoint.node, &mut out, &mut encrypted);
        }
        let mut seen: Vec<(String, Loc)> = Vec::new();
        for stmt in pool.body.iter().flat_map(|b| &b.stmts) {
            let at = self.loc(module, stmt.span);
            match &stmt.kind {
                StmtKind::Endpoint(endpoint) => {
                    broken |= !self.endpoint(module, endpoint, &mut out, &mut encrypted);
                }
                StmtKind::Setting { head, words, body: _ } => {
                    let head_loc = self.loc(module, head.span);
                    if self.once_in_pool(&mut seen, &head.node, head_loc) {
                        self.pool_setting(module, head, words, at, &mut out);
                    }
                }
                StmtKind::Limit(_) => self.unsupported("limit in a pool", at),
                StmtKind::Tls { words, body } => {
                    let head = Loc { span: Span { end: at.span.start + 3, ..at.span }, ..at };
                    if self.once_in_pool(&mut seen, "tls", head) {
                        out.tls = Some(self.pool_tls(module, words, body.as_ref(), head));
                    }
                }
                StmtKind::Let(_)
                | StmtKind::Use { .. }
                | StmtKind::Require { .. }
                | StmtKind::Header(_)
                | StmtKind::Catch { .. }
                | StmtKind::Session { .. }
                | StmtKind::Route { .. }
                | StmtKind::When { .. }
                | StmtKind::Else(_)
                | StmtKind::Arrow(_)
                | StmtKind::Row { .. } => self.report(lint::g1022::in_pool(at)),
            }
        }
        if out.endpoints.is_empty() {
            if !broken {
                self.report(lint::g1022::empty_pool(loc, &pool.name.node));
            }
            return None;
        }
        if out.endpoints.iter().all(|e| e.backup) && !broken {
            self.report(lint::g1022::only_backups(loc, &pool.name.node));
        }
        let (https, plain) = (encrypted.iter().find(|(tls, _)| *tls), encrypted.iter().find(|(tls, _)| !tls));
        match (https, plain) {
            (Some((_, https)), Some((_, plain))) => {
                let (https, plain) = (*https, *plain);
                self.report(lint::g1022::half_encrypted(plain, https));
            }
            (Some(_), None) => {
                out.tls.get_or_insert_default();
            }
            (None, _) => {}
        }
        Some(out)
    }

    /// A setting stands once in a pool.
    fn once_in_pool(&mut self, seen: &mut Vec<(String, Loc)>, head: &str, loc: Loc) -> bool {
        if let Some((_, first)) = seen.iter().find(|(h, _)| h == head) {
            let first = *first;
            self.report(lint::g1023::twice(loc, head, first));
            return false;
        }
        seen.push((head.to_owned(), loc));
        true
    }

    /// Where a pool says something: `tls` also by the first `https://` endpoint.
    pub(super) fn pool_setting_loc(&self, (module, item): (ModIdx, usize), word: &str) -> Option<Loc> {
        let ItemKind::Pool(pool) = &self.linked.item(module, item).kind else { return None };
        let https = |e: &ast::Endpoint| word == "tls" && matches!(e.addr.node, EndpointAddr::Tcp { tls: true, .. });
        let mut stmts = pool.body.iter().flat_map(|b| &b.stmts);
        let written = stmts.find_map(|stmt| match &stmt.kind {
            StmtKind::Setting { head, .. } if head.node == word => Some(stmt.span),
            StmtKind::Tls { .. } if word == "tls" => Some(Span { end: stmt.span.start + 3, ..stmt.span }),
            StmtKind::Endpoint(e) if https(e) => Some(e.addr.span),
            _ => None,
        });
        let short = || pool.endpoints.iter().find(|e| https(&e.node)).map(|e| e.node.addr.span);
        written.or_else(short).map(|span| self.loc(module, span))
    }

    /// What this version does for connections and not yet for requests.
    pub(super) fn pool_of_site(&mut self, pool: &ir::Pool, at: (ModIdx, usize), loc: Loc) {
        let mut refuse = |word: &str, form: &'static str| {
            let setting = self.pool_setting_loc(at, word).unwrap_or(pool.loc);
            self.report(super::unsupported::refuse(form, loc).label(setting, "the pool says so here"));
        };
        if pool.tls.is_some() {
            refuse("tls", "tls in a site's pool");
        } else if pool.proxy_protocol.is_some() {
            refuse("proxy-protocol", "proxy-protocol in a site's pool");
        } else if pool.balance != ir::Balance::RoundRobin {
            refuse("balance", "balance in a site's pool");
        }
    }

    /// Adds an endpoint; `false` when it cannot be used.
    fn endpoint(
        &mut self,
        module: ModIdx,
        e: &ast::Endpoint,
        out: &mut ir::Pool,
        encrypted: &mut Vec<(bool, Loc)>,
    ) -> bool {
        let at = self.loc(module, e.addr.span);
        let weight = match &e.weight {
            None => 1,
            Some(w) => match u32::try_from(w.node) {
                Ok(n) if (1..=65_535).contains(&n) => n,
                _ => {
                    self.report(lint::g1024::range(
                        self.loc(module, w.span),
                        "`weight` takes a number from 1 to 65535",
                    ));
                    1
                }
            },
        };
        let (host, port) = match &e.addr.node {
            EndpointAddr::Tcp { tls, host, port } => {
                encrypted.push((*tls, at));
                (host, *port)
            }
            EndpointAddr::Unix(_) => {
                self.unsupported("unix: in a pool", at);
                return false;
            }
            EndpointAddr::Srv(_) => {
                self.unsupported("srv in a pool", at);
                return false;
            }
        };
        if port == 0 {
            self.report(lint::g1024::range(at, "a port is a number from 1 to 65535"));
            return false;
        }
        let host: Arc<str> = match host.parse::<std::net::IpAddr>() {
            Ok(ip) => super::expr::unmapped(ip).to_string().into(),
            Err(_) if super::expr::is_host(host) => host.to_ascii_lowercase().into(),
            Err(_) => {
                self.report(lint::g1005::never_host(at, host));
                return false;
            }
        };
        if let Some(first) = out.endpoints.iter().find(|o| o.host == host && o.port == port) {
            let first = first.loc;
            self.report(lint::g5001::twice(at, &format!("{host}:{port}"), first));
        }
        out.endpoints.push(ir::Endpoint { kind: ir::EndpointKind::Tcp, host, port, weight, backup: e.backup, loc: at });
        true
    }

    fn pool_setting(
        &mut self,
        module: ModIdx,
        head: &ast::Ident,
        words: &[Spanned<Word>],
        at: Loc,
        out: &mut ir::Pool,
    ) {
        let env = Env::top(module);
        let frame = Frame::new(env.clone(), ir::Cond::Const(true));
        match head.node.as_str() {
            "connect" => {
                if let Some(ms) = self.word_duration(head, words, &["within"], &env) {
                    out.connect_within_ms = Some(ms);
                }
            }
            "timeout" => out.timeout_ms = self.word_duration(head, words, &[], &env),
            "idle" => out.idle_ms = self.word_duration(head, words, &[], &env),
            "balance" => self.balance(words, &frame, at, out),
            "check" => out.check = self.check(words, &env, at),
            "proxy-protocol" => match Self::word_names(words).as_slice() {
                [word] if word == "v1" && words.len() == 1 => out.proxy_protocol = Some(ir::ProxyProtocol::V1),
                [word] if word == "v2" && words.len() == 1 => out.proxy_protocol = Some(ir::ProxyProtocol::V2),
                other => {
                    let near = other.first().and_then(|w| nearest(w, ["v1", "v2"]));
                    self.report(lint::g1024::one_of(at, "proxy-protocol", &["v1", "v2"], near));
                }
            },
            "protocol" => match Self::word_names(words).first().map(String::as_str) {
                Some("h1" | "auto") if words.len() == 1 => {}
                Some("h2" | "h2c" | "grpc") => self.unsupported("protocol other than h1", at),
                other => {
                    let near = other.and_then(|o| nearest(o, ["h1", "auto", "h2", "h2c", "grpc"]));
                    self.report(lint::g1024::one_of(at, "protocol", &["h1", "auto"], near));
                }
            },
            other => match LATER.iter().find(|(h, _)| *h == other) {
                Some((_, form)) => self.unsupported(form, at),
                None => {
                    let known = SETTINGS.iter().copied().chain(LATER.iter().map(|(h, _)| *h));
                    let near = nearest(other, known);
                    self.report(lint::g1001::setting(self.loc(module, head.span), other, "pool", near));
                }
            },
        }
    }
}
