//! Pools: endpoints and their settings.

use super::{Checker, Env};
use crate::lint;
use crate::resolve::{ModIdx, nearest};
use crate::syntax::ast::{self, EndpointAddr, ItemKind, StmtKind, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir;
use std::sync::Arc;

/// Heads of a pool's settings that this version honours.
const SETTINGS: &[&str] = &["balance", "connect", "timeout", "idle", "protocol"];

/// Heads of those that come later, with the form that is refused.
const LATER: &[(&str, &str)] = &[
    ("resolve", "resolve"),
    ("check", "check"),
    ("eject", "eject"),
    ("slow-start", "slow-start"),
    ("retry", "retry"),
    ("limit", "limit in a pool"),
    ("sticky", "sticky"),
    ("proxy-protocol", "proxy-protocol"),
    ("tls", "tls in a pool"),
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
        for endpoint in &pool.endpoints {
            broken |= !self.endpoint(module, &endpoint.node, self.loc(module, endpoint.span), &mut out);
        }
        let mut seen: Vec<(String, Loc)> = Vec::new();
        for stmt in pool.body.iter().flat_map(|b| &b.stmts) {
            let at = self.loc(module, stmt.span);
            match &stmt.kind {
                StmtKind::Endpoint(endpoint) => broken |= !self.endpoint(module, endpoint, at, &mut out),
                StmtKind::Setting { head, words, body: _ } => {
                    let head_loc = self.loc(module, head.span);
                    if let Some((_, first)) = seen.iter().find(|(h, _)| *h == head.node) {
                        let first = *first;
                        self.report(lint::g1023::twice(head_loc, &head.node, first));
                        continue;
                    }
                    seen.push((head.node.clone(), head_loc));
                    self.pool_setting(module, head, words, at, &mut out);
                }
                StmtKind::Limit(_) => self.unsupported("limit in a pool", at),
                StmtKind::Tls { .. } => self.unsupported("tls in a pool", at),
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
        Some(out)
    }

    /// Adds an endpoint; `false` when it cannot be used.
    fn endpoint(&mut self, module: ModIdx, e: &ast::Endpoint, loc: Loc, out: &mut ir::Pool) -> bool {
        let at = self.loc(module, e.addr.span);
        if e.backup {
            self.unsupported("backup", loc);
        }
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
            EndpointAddr::Tcp { tls: false, host, port } => (host, *port),
            EndpointAddr::Tcp { tls: true, .. } => {
                self.unsupported("https:// in a pool", at);
                return false;
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
        out.endpoints.push(ir::Endpoint { host, port, weight, backup: e.backup, loc: at });
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
        match head.node.as_str() {
            "connect" => {
                if let Some(ms) = self.word_duration(head, words, &["within"], &env) {
                    out.connect_within_ms = Some(ms);
                }
            }
            "timeout" => out.timeout_ms = self.word_duration(head, words, &[], &env),
            "idle" => out.idle_ms = self.word_duration(head, words, &[], &env),
            "balance" => match Self::word_names(words).first().map(String::as_str) {
                Some("round-robin") if words.len() == 1 => {}
                Some("random" | "least-requests" | "peak-ewma" | "hash" | "maglev") => {
                    self.unsupported("balance by anything but round-robin", at)
                }
                other => {
                    let known = ["round-robin", "random", "least-requests", "peak-ewma", "hash", "maglev"];
                    let near = other.and_then(|o| nearest(o, known));
                    self.report(lint::g1024::one_of(at, "balance", &["round-robin"], near));
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
