//! `tls …` of a site.

use super::route::{Frame, ScopeAcc};
use super::site::SiteBuild;
use super::ty::Ty;
use super::val::Val;
use super::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{self, Arg, Expr, StmtKind, Word};
use crate::syntax::span::{Loc, Span, Spanned};
use crate::tree::fields;
use crate::tree::ir::{CallKind, Capture, Cond, Field, OnDemand, Tls, Value, Via};
use std::sync::Arc;

/// What may stand behind `tls`.
const KNOWN: &[&str] = &["auto", "internal", "off", "on-demand", "file", "min", "max", "client"];

/// How `tls on-demand` is written.
const ON_DEMAND: &str = "`allow when COND`, and `limit 20/h`";

impl<'a> Checker<'a> {
    /// `tls …` in a site.
    pub(super) fn tls(
        &mut self,
        b: &mut SiteBuild,
        frame: &Frame,
        acc: &mut ScopeAcc<'a>,
        words: &[Spanned<Word>],
        body: Option<&ast::Block>,
        loc: Loc,
    ) {
        let head = Loc { span: Span { start: loc.span.start, end: loc.span.start + 3 }, ..loc };
        if !(acc.is_site && frame.tags.is_empty()) {
            self.report(lint::g1022::site_only(head, "tls"));
            return;
        }
        let env = &frame.env;
        let first = words.first().and_then(name);
        match first.as_deref() {
            Some("file") => return self.tls_file(b, acc, words, env, loc),
            Some(word @ ("min" | "max")) => return self.tls_version(b, acc, word, words, env, loc),
            Some("client") => return self.report(lint::g1024::client_cert(loc)),
            _ => {}
        }
        if !self.once_per_scope(acc, "tls", head) {
            return;
        }
        b.settings.tls = match (first.as_deref(), words.len(), body) {
            (Some("auto"), 1, None) => Tls::Auto,
            (Some("auto"), _, None) => {
                b.via = self.tls_via(words, env, loc);
                Tls::Auto
            }
            (Some("internal"), 1, None) => Tls::Internal,
            (Some("off"), 1, None) => Tls::Off,
            (Some("on-demand"), 1, body) => {
                let head = head_of(loc, words);
                self.on_demand(b, head, body, env);
                self.unsupported("tls on-demand", head);
                Tls::OnDemand
            }
            (other, _, _) => {
                let near = other.and_then(|o| nearest(o, KNOWN.iter().copied()));
                self.report(lint::g1024::one_of(
                    loc,
                    "tls",
                    &["auto", "internal", "off", "on-demand { … }", "file \"…\" key …"],
                    near,
                ));
                Tls::Auto
            }
        };
    }

    /// Who may have a certificate, and how many are made.
    fn on_demand(&mut self, b: &mut SiteBuild, head: Loc, body: Option<&ast::Block>, env: &Env) {
        let stmts = body.map(|b| b.stmts.as_slice()).unwrap_or_default();
        let (mut allow, mut limit): (Option<Cond>, Option<Option<(u32, u64)>>) = (None, None);
        for stmt in stmts {
            let at = self.at(env, stmt.span);
            match &stmt.kind {
                StmtKind::Setting { head, words, .. } if head.node == "allow" => {
                    if allow.is_some() {
                        self.report(lint::g1024::range(at, "`allow` is said once: join its conditions with `or`"));
                    }
                    allow = Some(self.allow(words, env, at));
                }
                StmtKind::Limit(said) => {
                    if limit.is_some() {
                        self.report(lint::g1024::range(at, "`limit` is said once here"));
                    }
                    limit = Some(self.issue_limit(said, env, at));
                }
                StmtKind::Setting { head, .. } => {
                    let at = self.at(env, head.span);
                    let near = nearest(&head.node, ["allow", "limit"]);
                    self.report(lint::g1001::setting(at, &head.node, "tls on-demand", near));
                }
                _ => self.report(lint::g1024::shape(at, "tls on-demand", ON_DEMAND)),
            }
        }
        match (&allow, &limit, body) {
            (None, _, _) => self.report(lint::g4006::whoever(head)),
            (Some(_), None, Some(block)) => {
                let text = if env.module == 0 { self.text } else { "" };
                self.report(lint::g4007::unbounded(head, self.at(env, block.span), text));
            }
            (Some(_), _, _) => {}
        }
        let allow = allow.unwrap_or(Cond::Const(false));
        b.on_demand = Some(Arc::new(OnDemand { allow, limit: limit.flatten(), loc: head }));
    }

    /// `allow when COND`: nothing is known yet but the name, and who asks.
    fn allow(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Cond {
        let [Spanned { node: Word::When, .. }, Spanned { node: Word::Value(expr), span }] = words else {
            self.report(lint::g1024::shape(
                at,
                "allow",
                "a condition, as in `allow when ask(control, GET /hosts/{host})`",
            ));
            return Cond::Const(false);
        };
        self.asked.known = Vec::new();
        let cond = self.cond(&Spanned::new(expr.clone(), *span), env);
        let mut read: Vec<Field> = Vec::new();
        fields::each_read(&cond, &mut |field| read.push(field.clone()));
        // What calls read is read too, and so is what is asked to ask them.
        let mut at = 0;
        while let Some(field) = read.get(at) {
            let kind = fields::call_of(field).and_then(|call| self.asked.kind(call));
            let mut more = Vec::new();
            for field in kind.into_iter().flat_map(CallKind::values).flat_map(Value::fields) {
                fields::each_read_by(field, &mut |field| more.push(field.clone()));
            }
            more.retain(|field| !read.contains(field));
            read.extend(more);
            at += 1;
        }
        let unknown = read.iter().find(|field| {
            !matches!(
                field,
                Field::Host
                    | Field::TlsSni
                    | Field::ClientIp
                    | Field::Capture(Capture::Host { .. })
                    | Field::Call(..)
                    | Field::Claim(..)
                    | Field::Row(_)
            )
        });
        match unknown {
            Some(field) => {
                let at = self.at(env, *span);
                self.report(lint::g1022::before_a_request(at, &super::template::source_name(field)));
                Cond::Const(false)
            }
            None => cond,
        }
    }

    /// `limit 20/h`: of certificates, so of no key.
    fn issue_limit(&mut self, said: &ast::Limit, env: &Env, at: Loc) -> Option<(u32, u64)> {
        let shape = "a rate, as in `limit 20/h`: certificates have no key";
        if let ([Spanned { node: Word::Value(expr), span }], None, []) =
            (said.words.as_slice(), &said.per, said.rest.as_slice())
        {
            match self.eval(&Spanned::new(expr.clone(), *span), env, Some(&Ty::Rate)) {
                Val::Rate { count, seconds, bytes: false } => {
                    let count = self.counted(i64::try_from(count).unwrap_or(i64::MAX), at, "a rate")?;
                    return Some((count, seconds.saturating_mul(1000)));
                }
                Val::Opaque(..) => return None,
                _ => {}
            }
        }
        self.report(lint::g1024::shape(at, "limit", shape));
        None
    }

    /// `tls auto via dns(provider, key: secret.x)`
    fn tls_via(&mut self, words: &[Spanned<Word>], env: &Env, loc: Loc) -> Option<Via> {
        let shape = "`auto`, or a provider behind it, as in `tls auto via dns(corp, key: secret.dns)`";
        let args = match words {
            [_, via, Spanned { node: Word::Value(Expr::Call { name: dns, args }), .. }]
                if name(via).as_deref() == Some("via") && Self::name_text(&dns.node) == "dns" =>
            {
                args
            }
            _ => {
                self.report(lint::g1024::shape(loc, "tls auto", shape));
                return None;
            }
        };
        let provider = match args.first() {
            Some(Arg { name: None, value: Spanned { node: Expr::Name(provider), span } }) => {
                (Self::name_text(provider), self.at(env, *span))
            }
            _ => {
                self.report(lint::g1024::shape(loc, "tls auto via dns", "a provider first, as in `dns(corp, …)`"));
                return None;
            }
        };
        let mut key = None;
        for arg in args.iter().skip(1) {
            match arg.name.as_ref().map(|n| n.node.as_str()) {
                Some("key") if key.is_some() => {
                    self.report(lint::g1021::twice(self.at(env, arg.value.span), "dns", "key"));
                }
                Some("key") => key = self.one_key(arg, env).flatten(),
                Some(other) => {
                    let at = arg.name.as_ref().map_or(loc, |n| self.at(env, n.span));
                    self.report(lint::g1021::unknown(at, "dns", other, nearest(other, ["key"])));
                }
                None => {
                    let at = self.at(env, arg.value.span);
                    self.report(lint::g1021::unnamed(at, "dns", "key"));
                }
            }
        }
        Some(Via { provider: provider.0.into(), key, loc: provider.1 })
    }
}

/// A word that is a bare name.
pub(super) fn name(word: &Spanned<Word>) -> Option<String> {
    match &word.node {
        Word::Value(Expr::Name(name)) => Some(Checker::name_text(name)),
        _ => None,
    }
}

/// A statement up to its last word, its block left out.
fn head_of(loc: Loc, words: &[Spanned<Word>]) -> Loc {
    let end = words.last().map_or(loc.span.end, |w| w.span.end);
    Loc { span: Span { start: loc.span.start, end }, ..loc }
}
