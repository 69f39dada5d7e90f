//! What a pool says must have a meaning for those that come to it: requests, connections, datagrams.

use crate::check::Checker;
use crate::check::l4::Kind;
use crate::check::route::Chain;
use crate::check::site::SiteBuild;
use crate::lint;
use crate::resolve::ModIdx;
use crate::syntax::ast::{self, EndpointAddr, ItemKind, StmtKind};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Answer, Balance, EndpointKind, HashKey, Pool, PoolIdx, Probe, Protocol};
use crate::tree::l4::KeyPart;

impl<'a> Checker<'a> {
    /// Where a pool says something: `tls` also by the first `https://` endpoint.
    pub(in crate::check) fn pool_setting_loc(&self, (module, item): (ModIdx, usize), word: &str) -> Option<Loc> {
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

    /// The number of a pool in the site at hand.
    pub(in crate::check) fn pool_index(&mut self, b: &mut SiteBuild, at: (ModIdx, usize), loc: Loc) -> Option<PoolIdx> {
        let pool = self.pool(at.0, at.1)?;
        let datagrams = matches!(&pool.check, Some(check) if matches!(check.probe, Probe::Udp { .. }));
        if datagrams && !b.uses_pool(at) {
            let setting = self.pool_setting_loc(at, "check").unwrap_or(pool.loc);
            self.report(lint::g1022::datagrams_for_requests(loc, setting));
        }
        Some(b.pool(at, pool, loc))
    }

    /// What the tries of a plan come to: those that do not fit into its `timeout` are said, those that send
    /// again what is not idempotent are handed back, with the cause.
    pub(in crate::check) fn tries(&mut self, b: &SiteBuild, chain: &Chain, answer: &Answer) -> Vec<(Loc, String)> {
        let pools: Vec<PoolIdx> = match answer {
            Answer::Proxy { to, .. } => to.pools(),
            _ => return Vec::new(),
        };
        let said = |word: &str| chain.said.iter().find(|(w, _)| w == word).map(|(_, loc)| *loc);
        let mut twice = Vec::new();
        for index in pools {
            let (pool, (at, _)) = (&b.pools[index.0 as usize], b.used[index.0 as usize]);
            let (own, of_pool) = (&chain.settings, |word: &str| self.pool_setting_loc(at, word));
            let Some(retry) = own.retry.as_ref().or(pool.retry.as_ref()) else { continue };
            let loc = own.retry.as_ref().map_or_else(|| of_pool("retry"), |_| said("retry")).unwrap_or(pool.loc);
            let (bound, bound_at) = match (own.timeout_ms, pool.timeout_ms) {
                (Some(ms), _) => (Some(ms), said("timeout")),
                (None, ms) => (ms, of_pool("timeout")),
            };
            if let Some(ms) = bound.filter(|ms| lint::g5005::too_late(retry, *ms)) {
                self.report(lint::g5005::never_begins(loc, retry, "timeout", ms, bound_at));
            }
            // The methods of gRPC are all one: who says it there has thought of it.
            if let Some(cause) = lint::g5003::cause(&retry.on)
                && retry.any_method
                && pool.protocol != Protocol::Grpc
            {
                twice.push((loc, cause));
            }
        }
        twice
    }

    /// A pool of `tcp`, `udp` or `passthrough`.
    pub(in crate::check) fn pool_fits(&mut self, kind: Kind, pool: &Pool, at: (ModIdx, usize), loc: Loc) {
        let said = |checker: &Self, word: &str| checker.pool_setting_loc(at, word).unwrap_or(pool.loc);
        if kind == Kind::Udp {
            if pool.tls.is_some() {
                let setting = said(self, "tls");
                self.report(lint::g1022::pool_of_udp(loc, "tls", "datagrams are handed on as they are", setting));
            }
            if pool.proxy_protocol.is_some() {
                let setting = said(self, "proxy-protocol");
                let why = "its header begins a stream, and datagrams have none";
                self.report(lint::g1022::pool_of_udp(loc, "proxy-protocol", why, setting));
            }
            if let Some(socket) = pool.endpoints.iter().find(|e| e.kind == EndpointKind::Unix) {
                let why = "a socket of the file system takes streams here";
                self.report(lint::g1022::pool_of_udp(loc, "unix:", why, socket.loc));
            }
        }
        if kind == Kind::TcpTls
            && let Some(d) = lint::g4011::run(pool, loc)
        {
            self.report(d);
        }
        if kind == Kind::Passthrough && pool.tls.is_some() {
            let setting = said(self, "tls");
            self.report(lint::g1022::tls_in_tls(loc, setting));
        }
        if let Some((word, instead)) = of_requests(pool).next() {
            let setting = said(self, word);
            self.report(lint::g1022::pool_of_requests(loc, word, kind.word(), instead, setting));
            return;
        }
        match &pool.balance {
            Balance::Hash(HashKey::Connection(key)) | Balance::Maglev(HashKey::Connection(key)) => {
                if key.0.contains(&KeyPart::Sni) && matches!(kind, Kind::Tcp | Kind::Udp) {
                    let setting = said(self, "balance");
                    self.report(lint::g7002::no_name(loc, kind, setting));
                }
            }
            Balance::Hash(HashKey::Request(parts)) | Balance::Maglev(HashKey::Request(parts)) => {
                if let Some(field) = parts.iter().find_map(|part| part.fields.first()) {
                    let setting = said(self, "balance");
                    self.report(lint::g7002::no_key(loc, field, kind, setting));
                }
            }
            Balance::RoundRobin
            | Balance::Random
            | Balance::LeastConnections
            | Balance::LeastRequests
            | Balance::PeakEwma => {}
        }
    }
}

/// What a pool says that only requests can have, and what to write for connections; empty where there is
/// nothing.
fn of_requests(pool: &Pool) -> impl Iterator<Item = (&'static str, &'static str)> {
    let http = "the bytes are handed on as they come";
    let first = "another endpoint is tried by itself until the first byte is sent";
    let well = "say `check tcp`, and `cut on-unhealthy` in the item";
    let few = matches!(pool.balance, Balance::LeastRequests | Balance::PeakEwma);
    let speaks = matches!(pool.protocol, Protocol::H2 | Protocol::H2c | Protocol::Grpc);
    let bounded = "a connection is bounded by `idle` and `lifetime` in the item";
    let all = [
        (pool.timeout_ms.is_some(), "timeout", bounded),
        (pool.idle_ms.is_some(), "idle", bounded),
        (speaks, "protocol", http),
        (pool.retry.is_some(), "retry", first),
        (pool.hedge.is_some(), "hedge", ""),
        (pool.sticky.is_some(), "sticky", "say `balance hash client.ip`"),
        (few, "balance", "say `balance least-connections`"),
        (pool.limit != Default::default(), "limit", "say `limit N at-once per client.ip` in the item"),
        (pool.eject.is_some(), "eject", well),
        (pool.panic_below.is_some(), "panic", ""),
        (pool.slow_start_ms.is_some(), "slow-start", ""),
        (pool.paths.is_some(), "paths", ""),
    ];
    all.into_iter().filter(|(said, ..)| *said).map(|(_, word, instead)| (word, instead))
}
