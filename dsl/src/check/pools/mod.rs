//! Pools: endpoints and their settings.

mod balance;
mod eject;
mod endpoint;
mod health;
mod limit;
mod protocol;
mod retry;
mod sticky;
mod tls;
mod uses;
mod words;

pub(super) use retry::LONGEST_BODY;
pub(super) use sticky::secret;
pub(super) use words::name as word_name;

use super::{Checker, Env};
use crate::lint;
use crate::resolve::{ModIdx, nearest};
use crate::syntax::ast::{self, ItemKind, StmtKind, Word};
use crate::syntax::span::{Loc, Span, Spanned};
use crate::tree::ir;
use std::sync::Arc;
use words::Said;

/// Heads of a pool's settings.
pub(crate) const SETTINGS: &[&str] = &[
    "balance",
    "check",
    "connect",
    "timeout",
    "idle",
    "resolve",
    "protocol",
    "proxy-protocol",
    "tls",
    "eject",
    "panic",
    "slow-start",
    "retry",
    "hedge",
    "limit",
    "sticky",
    "paths",
];

/// Names are looked up at least this far apart, milliseconds.
const LEAST_RESOLVE_MS: u64 = 1000;

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
        let before = self.diagnostics.len();
        let loc = self.loc(module, pool.name.span);
        let mut out = ir::Pool::new(pool.name.node.as_str().into(), Vec::new(), loc);
        let mut broken = false;
        let mut encrypted: Vec<(bool, Loc)> = Vec::new();
        for endpoint in &pool.endpoints {
            broken |= !self.endpoint(module, &endpoint.node, &mut out, &mut encrypted);
        }
        let mut said = Said::default();
        for stmt in pool.body.iter().flat_map(|b| &b.stmts) {
            let at = self.loc(module, stmt.span);
            match &stmt.kind {
                StmtKind::Endpoint(endpoint) => {
                    broken |= !self.endpoint(module, endpoint, &mut out, &mut encrypted);
                }
                StmtKind::Setting { head, words, body: _ } => {
                    let head_loc = self.loc(module, head.span);
                    if self.first_time(&mut said, &head.node, head_loc) {
                        self.pool_setting(module, head, words, at, &mut out);
                    }
                }
                StmtKind::Tls { words, body } => {
                    let head = Loc { span: Span { end: at.span.start + 3, ..at.span }, ..at };
                    if self.first_time(&mut said, "tls", head) {
                        out.tls = Some(self.pool_tls(module, words, body.as_ref(), head));
                    }
                }
                StmtKind::Let(_)
                | StmtKind::Use { .. }
                | StmtKind::Require { .. }
                | StmtKind::Limit(_)
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
        self.protocols_agree(&out, said.place("protocol"), said.place("proxy-protocol"), said.place("tls"));
        self.sockets_have_no_port(&out, said.place("check"));
        // What else it says is not known where something of it was reported.
        if self.diagnostics.len() == before {
            let text = (loc.file == self.linked.modules[0].file).then_some(self.text);
            let found = [lint::g4009::run(&out, said.place("tls"), text), lint::g5004::run(&out)];
            found.into_iter().flatten().for_each(|d| self.report(d));
        }
        self.bound_pool(module, &mut out);
        Some(out)
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
            "timeout" => out.timeout_ms = self.word_bound(head, words, &env),
            "idle" => out.idle_ms = self.word_bound(head, words, &env),
            "resolve" => match self.word_duration(head, words, &["every"], &env) {
                Some(ms) if ms < LEAST_RESOLVE_MS => {
                    self.report(lint::g1024::range(at, "`resolve every` takes a duration of 1s or more"));
                }
                every => out.resolve_ms = every,
            },
            "balance" => self.balance(words, &env, at, out),
            "check" => out.check = self.check(words, &env, at),
            "protocol" => self.protocol(words, at, out),
            "proxy-protocol" => self.proxy_protocol(words, at, out),
            "eject" => out.eject = self.eject(words, &env, at),
            "panic" => out.panic_below = self.panic_below(words, &env, at),
            "slow-start" => out.slow_start_ms = self.word_duration(head, words, &[], &env),
            "retry" => out.retry = self.retry(words, &env, at),
            "hedge" => out.hedge = self.hedge(words, &env, at),
            "limit" => {
                if let Some(limit) = self.pool_limit(words, &env, at) {
                    out.limit = limit;
                }
            }
            "paths" => out.paths = self.path_case(words, at),
            "sticky" => out.sticky = self.sticky(words, &env, at),
            other => {
                let near = nearest(other, SETTINGS.iter().copied());
                self.report(lint::g1001::setting(self.loc(module, head.span), other, "pool", near));
            }
        }
    }
}
