//! Blocks and statements.

use super::{Builder, literal, need, only};
use crate::syntax::ast::{
    Block, Body, Endpoint, EndpointAddr, HeaderOp, HeaderStmt, Let, Limit, SessionVerb, Side, Stmt, StmtKind, Word,
};
use crate::syntax::grammar::{Pair, Rule};
use crate::syntax::span::{Span, Spanned};

/// What the block around a statement belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A site, a policy, or a block in one.
    Http,
    /// A listener that sees bytes: `tcp`, `udp`, `passthrough`.
    Bytes,
    /// `gateway`, `tenant`, `provider`, and the blocks of settings.
    Settings,
    /// A pool.
    Pool,
    /// A table.
    Table,
    /// A test or a proof.
    Test,
}

impl Builder {
    /// The rule `block`, `pool_block` or `table_block`.
    pub(super) fn block(&mut self, pair: Pair<'_>, place: Place) -> Block {
        let span = self.span(&pair);
        let stmts = pair.into_inner().map(|stmt| self.statement(stmt, place)).collect();
        Block { stmts, span }
    }

    pub(super) fn body(&mut self, pair: Pair<'_>, place: Place) -> Body {
        match pair.as_rule() {
            Rule::block => Body::Block(self.block(pair, place)),
            _ => Body::Action(self.action(only(pair))),
        }
    }

    /// The rule `statement`, `pool_statement` or `row`.
    pub(crate) fn statement(&mut self, pair: Pair<'_>, place: Place) -> Stmt {
        if pair.as_rule() == Rule::row {
            let span = self.span(&pair);
            return Stmt { kind: self.row(pair), span };
        }
        let pair = only(pair);
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::route => self.route(pair, place),
            Rule::arrow_statement => StmtKind::Arrow(self.action(only(only(pair)))),
            Rule::else_statement => {
                let body = pair.into_inner().last().expect("`else` has a body");
                StmtKind::Else(self.body(body, place))
            }
            Rule::when_statement => {
                let mut pairs = pair.into_inner();
                let cond = self.condition(need(&mut pairs));
                StmtKind::When { cond, body: self.body(need(&mut pairs), place) }
            }
            Rule::use_statement => self.use_statement(pair),
            Rule::header_statement => StmtKind::Header(self.header(pair)),
            Rule::require => {
                let (mut cond, mut otherwise) = (None, None);
                for part in pair.into_inner() {
                    match part.as_rule() {
                        Rule::expr => cond = Some(self.expr(part)),
                        Rule::action => otherwise = Some(self.action(part)),
                        _ => {}
                    }
                }
                StmtKind::Require { cond: cond.expect("`require` has a condition"), otherwise }
            }
            Rule::limit => StmtKind::Limit(self.limit(pair)),
            Rule::let_in => StmtKind::Let(self.let_in(pair)),
            Rule::catch => {
                let mut pairs = pair.into_inner();
                need(&mut pairs);
                let statuses = self.form(need(&mut pairs));
                StmtKind::Catch { statuses, body: self.body(need(&mut pairs), place) }
            }
            Rule::tls => {
                let mut pairs = pair.into_inner();
                need(&mut pairs);
                let (words, body) = self.words(pairs);
                StmtKind::Tls { words, body }
            }
            Rule::session => {
                let mut pairs = pair.into_inner();
                let verb = match need(&mut pairs).as_rule() {
                    Rule::k_start => SessionVerb::Start,
                    Rule::k_keep => SessionVerb::Keep,
                    _ => SessionVerb::End,
                };
                let args = pairs.last().expect("a session has arguments");
                StmtKind::Session { verb, args: self.args(args) }
            }
            Rule::endpoint => StmtKind::Endpoint(self.endpoint(pair)),
            Rule::pool_limit => {
                let mut pairs = pair.into_inner();
                let head = self.ident(&need(&mut pairs));
                let (words, body) = self.words(pairs);
                StmtKind::Setting { head, words, body }
            }
            _ => {
                let mut pairs = pair.into_inner();
                let head = self.ident(&only(need(&mut pairs)));
                let (words, body) = self.words(pairs);
                StmtKind::Setting { head, words, body }
            }
        };
        self.fits(&kind, span, place);
        Stmt { kind, span }
    }

    fn condition(&mut self, pair: Pair<'_>) -> Spanned<crate::syntax::ast::Expr> {
        let expr = pair.into_inner().last().expect("`when` has a condition");
        self.expr(expr)
    }

    fn route(&mut self, pair: Pair<'_>, place: Place) -> StmtKind {
        let (mut patterns, mut without, mut when, mut body) = (Vec::new(), Vec::new(), None, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::path_pattern => patterns.push(self.path_pattern(part)),
                Rule::without => {
                    without = part.into_inner().filter(|p| p.as_rule() == Rule::name).map(|p| self.name(p)).collect();
                }
                Rule::condition => when = Some(self.condition(part)),
                _ => body = Some(self.body(part, place)),
            }
        }
        StmtKind::Route { patterns, without, when, body: body.expect("a route has a body") }
    }

    fn use_statement(&mut self, pair: Pair<'_>) -> StmtKind {
        let mut pairs = pair.into_inner();
        need(&mut pairs);
        let policy = self.name(need(&mut pairs));
        let (mut args, mut when) = (None, None);
        for part in pairs {
            match part.as_rule() {
                Rule::args => args = Some(self.args(part)),
                _ => when = Some(self.condition(part)),
            }
        }
        StmtKind::Use { policy, args, when }
    }

    fn header(&mut self, pair: Pair<'_>) -> HeaderStmt {
        let mut pairs = pair.into_inner();
        let op = match need(&mut pairs).as_rule() {
            Rule::k_set => HeaderOp::Set,
            Rule::k_add => HeaderOp::Add,
            _ => HeaderOp::Remove,
        };
        let side = need(&mut pairs);
        let which = if side.as_str() == "request" { Side::Request } else { Side::Response };
        let side = self.spanned(which, &side);
        need(&mut pairs);
        let name = only(need(&mut pairs));
        let name = if name.as_rule() == Rule::ident { self.ident(&name) } else { self.quoted(name) };
        let value = pairs.nth(1).map(|value| self.operand(value));
        HeaderStmt { op, side, name, value }
    }

    fn limit(&mut self, pair: Pair<'_>) -> Limit {
        let mut limit = Limit { words: Vec::new(), per: None, rest: Vec::new() };
        let mut pairs = pair.into_inner();
        need(&mut pairs);
        for part in pairs {
            match part.as_rule() {
                Rule::k_per => {}
                Rule::operand => limit.per = Some(self.operand(part)),
                _ => {
                    let words = if limit.per.is_some() { &mut limit.rest } else { &mut limit.words };
                    words.extend(self.word(part));
                }
            }
        }
        limit
    }

    pub(super) fn let_in(&mut self, pair: Pair<'_>) -> Let {
        let mut pairs = pair.into_inner();
        need(&mut pairs);
        let name = self.declared(&need(&mut pairs));
        let mut params = None;
        let mut next = need(&mut pairs);
        if next.as_rule() == Rule::params {
            params = Some(self.params(next));
            next = need(&mut pairs);
        }
        debug_assert_eq!(next.as_rule(), Rule::gets);
        next = need(&mut pairs);
        Let { name, params, value: self.expr(next) }
    }

    // === settings

    /// Words, then perhaps a block.
    fn words(&mut self, pairs: crate::syntax::grammar::Pairs<'_>) -> (Vec<Spanned<Word>>, Option<Block>) {
        let (mut words, mut body) = (Vec::new(), None);
        for part in pairs {
            match part.as_rule() {
                Rule::block => body = Some(self.block(part, Place::Settings)),
                _ => words.extend(self.word(part)),
            }
        }
        (words, body)
    }

    /// The rule `word` or `equals`: one word, or `when` and its condition.
    pub(super) fn word(&mut self, pair: Pair<'_>) -> Vec<Spanned<Word>> {
        let span = self.span(&pair);
        if pair.as_rule() == Rule::equals {
            return vec![Spanned::new(Word::Equals, span)];
        }
        let pair = only(pair);
        let node = match pair.as_rule() {
            Rule::literal => self.literal_word(pair.as_str(), span),
            Rule::listen => match literal::listen(pair.as_str()) {
                Ok(addr) => Word::Listen(addr),
                Err(wrong) => {
                    self.wrong(span, wrong);
                    Word::Comma
                }
            },
            Rule::unix => Word::Unix(pair.as_str()["unix:".len()..].to_owned()),
            Rule::star_host => Word::Host(self.host(pair).node),
            Rule::comma => Word::Comma,
            Rule::allow_when => {
                let mut pairs = only(pair).into_inner();
                let when = self.spanned(Word::When, &need(&mut pairs));
                let cond = self.expr(need(&mut pairs));
                return vec![when, Spanned::new(Word::Value(cond.node), cond.span)];
            }
            _ => Word::Value(self.form(pair).node),
        };
        vec![Spanned::new(node, span)]
    }

    // === pools and tables

    /// The rule `endpoint` or `short_endpoint`.
    pub(super) fn endpoint(&mut self, pair: Pair<'_>) -> Endpoint {
        let mut pairs = pair.into_inner();
        let addr = need(&mut pairs);
        let span = self.span(&addr);
        let mut endpoint =
            Endpoint { addr: Spanned::new(self.address(addr.as_str(), span), span), weight: None, backup: false };
        for part in pairs {
            let at = self.span(&part);
            let twice = if part.as_rule() == Rule::weight {
                let number = part.into_inner().last().expect("`weight` has a number");
                let span = self.span(&number);
                let weight = Spanned::new(self.whole(number.as_str(), span), span);
                endpoint.weight.replace(weight).is_some()
            } else {
                std::mem::replace(&mut endpoint.backup, true)
            };
            if twice {
                self.error(at, "this is said twice");
            }
        }
        endpoint
    }

    fn address(&mut self, text: &str, span: Span) -> EndpointAddr {
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') {
                self.error(span, format!("the socket `{path}` needs an absolute path, such as unix:/run/app.sock"));
            }
            return EndpointAddr::Unix(path.to_owned());
        }
        if let Some(name) = text.strip_prefix("srv").filter(|rest| rest.starts_with([' ', '\t'])) {
            return EndpointAddr::Srv(name.trim_start().to_owned());
        }
        let (tls, rest, default) = if let Some(rest) = text.strip_prefix("https://") {
            (true, rest, Some(443))
        } else if let Some(rest) = text.strip_prefix("http://") {
            (false, rest, Some(80))
        } else {
            (false, text, None)
        };
        let (host, port) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, tail)) => (host, tail.strip_prefix(':').or(Some(tail))),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match (port.map(literal::port), default) {
            (Some(Ok(port)), _) | (None, Some(port)) => port,
            (Some(Err(wrong)), _) => {
                self.wrong(span, wrong);
                0
            }
            (None, None) => {
                let message = format!("the endpoint `{text}` has no port");
                self.error_instead(span, message, "say which one, such as", &format!("{text}:80"));
                0
            }
        };
        self.endpoint_host(host, rest.starts_with('['), span);
        EndpointAddr::Tcp { tls, host: host.to_ascii_lowercase(), port }
    }

    fn endpoint_host(&mut self, host: &str, brackets: bool, span: Span) {
        let bad = if brackets {
            host.parse::<std::net::Ipv6Addr>().is_err()
        } else if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            host.parse::<std::net::Ipv4Addr>().is_err()
        } else {
            host.split('.').any(|label| label.is_empty() || label.starts_with('-') || label.ends_with('-'))
                || host.contains([':', '[', ']'])
        };
        if bad {
            self.error(span, format!("`{host}` is neither an address nor a DNS name"));
        }
    }

    fn row(&mut self, pair: Pair<'_>) -> StmtKind {
        let mut pairs = pair.into_inner();
        let key = need(&mut pairs);
        let span = self.span(&key);
        let node = match key.as_rule() {
            Rule::literal => self.literal_word(key.as_str(), span),
            Rule::star_host => Word::Host(self.host(key).node),
            _ => Word::Value(self.form(key).node),
        };
        need(&mut pairs);
        StmtKind::Row { key: Spanned::new(node, span), value: self.value(need(&mut pairs)) }
    }

    // === what may stand where

    /// Refuses statements that need HTTP in a listener that sees only bytes.
    fn fits(&mut self, kind: &StmtKind, span: Span, place: Place) {
        if place != Place::Bytes {
            return;
        }
        let what = match kind {
            StmtKind::Header(_) => "a header statement",
            StmtKind::Route { .. } => "a path",
            StmtKind::Catch { .. } => "`catch`",
            StmtKind::Session { .. } => "a session",
            StmtKind::Let(_)
            | StmtKind::Use { .. }
            | StmtKind::Require { .. }
            | StmtKind::Limit(_)
            | StmtKind::Tls { .. }
            | StmtKind::When { .. }
            | StmtKind::Else(_)
            | StmtKind::Arrow(_)
            | StmtKind::Endpoint(_)
            | StmtKind::Row { .. }
            | StmtKind::Setting { .. } => return,
        };
        self.error(span, format!("{what} needs HTTP, and `tcp`, `udp` and `passthrough` see only bytes"));
    }
}
