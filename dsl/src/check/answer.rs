//! Answers: what stands behind an arrow.

use super::route::Scene;
use super::site::SiteBuild;
use super::template::{Made, Place};
use super::ty::Ty;
use super::val::Val;
use super::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{Action, Expr, Operand, RespondBody, Share, Template};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Answer, ByTable, Destination, Encode, Field, Lookup, Part, Value, ValueType};
use std::sync::Arc;

/// The Content-Type of a text without one.
const PLAIN: &str = "text/plain; charset=utf-8";

impl<'a> Checker<'a> {
    /// What an action comes to; `None` when something about it was reported.
    pub(super) fn answer(&mut self, b: &mut SiteBuild, action: &Spanned<Action>, scene: &Scene<'_>) -> Option<Answer> {
        let (env, known) = (scene.env, scene.known);
        let loc = self.at(env, action.span);
        match &action.node {
            Action::Redirect { .. }
            | Action::Respond { .. }
            | Action::Relay { .. }
            | Action::Deny { .. }
            | Action::Visit { .. } => self.own_answer(action, env, known),
            Action::Files { dir, index, fallback, at } => {
                let mut sound = true;
                if let Some(index) = index
                    && (index.node.is_empty() || index.node.contains(['/', '\\']) || index.node.starts_with('.'))
                {
                    self.report(lint::g1024::range(self.at(env, index.span), "`index` takes the name of a file"));
                    sound = false;
                }
                if dir.node.is_empty() || dir.node.bytes().any(|c| c.is_ascii_control()) {
                    self.report(lint::g1024::range(self.at(env, dir.span), "`files` takes the name of a directory"));
                    sound = false;
                }
                let fallback = match fallback {
                    None => Some(None),
                    Some(t) => self.constant(t, Ty::Path, env).map(Some),
                };
                let at = match at {
                    None => Some(None),
                    Some(t) => self.template(t, Ty::Path, Place::Path, env, known).map(Some),
                };
                let (fallback, at) = (fallback?, at?);
                sound.then(|| Answer::Files {
                    dir: dir.node.as_str().into(),
                    index: index.as_ref().map_or("index.html", |i| i.node.as_str()).into(),
                    fallback,
                    at,
                })
            }
            Action::Split { shares, by } => self.split(b, shares, by.as_ref(), scene, loc),
            Action::Proxy { to, at, host, otherwise } => {
                if let (Some(otherwise), false) = (otherwise, matches!(to.node, Expr::Index { .. })) {
                    self.report(lint::g1022::else_of_pool(self.at(env, otherwise.span)));
                }
                let to_loc = self.at(env, to.span);
                let pool = match &to.node {
                    Expr::Name(_) | Expr::Paren(_) | Expr::Index { .. } => {
                        let val = self.eval(to, env, Some(&Ty::Pool));
                        if let Val::Field { field: Field::Row(lookup), .. } = &val {
                            let by = self.by_table(b, lookup, otherwise.as_deref(), scene, (to_loc, loc));
                            let (at, host) = self.sent(at.as_ref(), host.as_ref(), env, known);
                            return Some(Answer::Proxy { to: Destination::Table(by?), at: at?, host: host? });
                        }
                        if let Some(otherwise) = otherwise {
                            self.answer(b, otherwise, scene);
                        }
                        self.expect_pool(&val, to_loc)
                    }
                    Expr::Url(t) => {
                        let holes = self.template_val(t, Ty::Url, env);
                        let client = matches!(holes, Val::Template(..));
                        self.report(lint::g3009::url(to_loc, client));
                        None
                    }
                    _ => {
                        let found = self.eval(to, env, Some(&Ty::Pool)).ty().0;
                        if found != Ty::Unknown {
                            self.report(lint::g1005::wrong(
                                to_loc,
                                "a route leads to",
                                &Ty::Pool.noun(),
                                &found.noun(),
                            ));
                        }
                        None
                    }
                };
                let (at, host) = self.sent(at.as_ref(), host.as_ref(), env, known);
                let pool = pool.and_then(|p| self.pool_index(b, p, to_loc));
                Some(Answer::Proxy { to: Destination::Pool(pool?), at: at?, host: host? })
            }
        }
    }

    /// `at /path host NAME`; `None` for what was reported.
    fn sent(
        &mut self,
        at: Option<&Spanned<Template>>,
        host: Option<&Spanned<Template>>,
        env: &Env,
        known: &[Field],
    ) -> (Option<Option<Value>>, Option<Option<Value>>) {
        let at = match at {
            None => Some(None),
            Some(t) => self.template(t, Ty::Path, Place::Path, env, known).map(Some),
        };
        let host = match host {
            None => Some(None),
            Some(t) => self.template(t, Ty::Host, Place::Host, env, known).map(Some),
        };
        (at, host)
    }

    /// `-> tenants[tenant] else respond 404`: any of the table's pools.
    fn by_table(
        &mut self,
        b: &mut SiteBuild,
        lookup: &Arc<Lookup>,
        otherwise: Option<&Spanned<Action>>,
        scene: &Scene<'_>,
        (to_loc, loc): (Loc, Loc),
    ) -> Option<ByTable> {
        let table = &lookup.table;
        let otherwise = match otherwise {
            Some(otherwise) => self.answer(b, otherwise, scene),
            None => {
                self.report(lint::g2013::no_else(to_loc, loc));
                Some(Answer::NotFound)
            }
        };
        if table.schema.value != ValueType::Pool {
            let values = table.schema.value.word();
            self.report(lint::g1029::not_pools(to_loc, &table.name, values, table.loc));
            return None;
        }
        let pools = self.pools_of(table);
        let among: Option<Vec<_>> = pools.into_iter().map(|pool| self.pool_index(b, pool, to_loc)).collect();
        Some(ByTable { lookup: Arc::clone(lookup), among: among?, otherwise: Box::new(otherwise?) })
    }

    /// An answer of the gateway's own.
    pub(super) fn own_answer(&mut self, action: &Spanned<Action>, env: &Env, known: &[Field]) -> Option<Answer> {
        let loc = self.at(env, action.span);
        match &action.node {
            Action::Redirect { status, to } => {
                let status = self.status(
                    status.as_ref(),
                    302,
                    env,
                    &|n| matches!(n, 301 | 302 | 303 | 307 | 308),
                    "`redirect` takes 301, 302, 303, 307 or 308",
                );
                let to = self.template(to, Ty::Text, Place::Redirect, env, known);
                let to = to?;
                // What a client's own path says about its query is all there is to say.
                let local = |part: &Part| matches!(part, Part::Hole { encode: Encode::LocalPath, .. });
                let keep_query = !to.parts.iter().any(local);
                Some(Answer::Redirect { status: status?, to, keep_query })
            }
            Action::Respond { status, body, content_type } => {
                let code = self.status(
                    Some(status),
                    200,
                    env,
                    &|n| (200..=599).contains(&n),
                    "`respond` takes a status from 200 to 599",
                );
                let kind = match content_type {
                    None => Some(None),
                    Some(t) => self.content_type(t, env).map(Some),
                };
                match body {
                    Some(RespondBody::File(path)) => {
                        if path.node.is_empty() {
                            self.report(lint::g1024::range(self.at(env, path.span), "`file` takes the name of a file"));
                            return None;
                        }
                        Some(Answer::RespondFile {
                            status: code?,
                            path: path.node.as_str().into(),
                            content_type: kind?,
                        })
                    }
                    Some(RespondBody::Text(t)) => {
                        let at = self.at(env, t.span);
                        let body = self.template(t, Ty::Text, Place::Body, env, known);
                        let (code, kind, body) = (code?, kind?, body?);
                        if matches!(code, 204 | 205 | 304) && body != Value::default() {
                            self.report(lint::g1011::no_body(at, code));
                            return None;
                        }
                        let holes = body.parts.iter().any(|p| matches!(p, crate::tree::ir::Part::Hole { .. }));
                        if let (true, Some(kind)) = (holes, &kind)
                            && !kind.trim_start().to_ascii_lowercase().starts_with("text/plain")
                        {
                            self.report(lint::g3101::into_page(at, kind));
                            return None;
                        }
                        Some(Answer::Respond { status: code, body, content_type: kind.unwrap_or_else(|| PLAIN.into()) })
                    }
                    None => Some(Answer::Respond {
                        status: code?,
                        body: Value::default(),
                        content_type: kind?.unwrap_or_else(|| PLAIN.into()),
                    }),
                }
            }
            Action::Deny { status } => {
                let status = self.status(
                    status.as_ref(),
                    403,
                    env,
                    &|n| (400..=599).contains(&n),
                    "`deny` takes a status from 400 to 599",
                );
                Some(Answer::Deny { status: status? })
            }
            Action::Relay { said } => self.relay(said, env),
            Action::Visit { does, provider } => self.visit(*does, provider, env, loc),
            Action::Files { .. } | Action::Split { .. } | Action::Proxy { .. } => {
                self.report(lint::g1022::own_answer(loc));
                None
            }
        }
    }

    fn status(
        &mut self,
        status: Option<&Spanned<i64>>,
        default: u16,
        env: &Env,
        fits: &dyn Fn(u16) -> bool,
        rule: &str,
    ) -> Option<u16> {
        let Some(status) = status else { return Some(default) };
        match u16::try_from(status.node) {
            Ok(n) if fits(n) => Some(n),
            _ => {
                self.report(lint::g1011::status(self.at(env, status.span), status.node, rule));
                None
            }
        }
    }

    /// A template whose holes are all constants.
    pub(super) fn constant(&mut self, t: &Spanned<Template>, ty: Ty, env: &Env) -> Option<Arc<str>> {
        let loc = self.at(env, t.span);
        let val = self.template_val(&t.node, ty.clone(), env);
        match val.as_text() {
            Some(text) if ty != Ty::Path || text.starts_with('/') => Some(text),
            Some(_) => {
                self.report(lint::g1005::wrong(loc, "this place takes", "a path that starts with `/`", "none"));
                None
            }
            None => {
                if !val.is_opaque() {
                    self.report(lint::g1027::constant(loc));
                }
                None
            }
        }
    }

    fn content_type(&mut self, t: &Spanned<Template>, env: &Env) -> Option<Arc<str>> {
        let text = self.constant(t, Ty::Text, env)?;
        let (kind, sub) = text.split(';').next().unwrap_or_default().trim().split_once('/').unwrap_or_default();
        let token =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b));
        if !token(kind) || !token(sub) || text.bytes().any(|b| b.is_ascii_control()) {
            self.report(lint::g1024::range(self.at(env, t.span), "`type` takes a content type, as in `text/plain`"));
            return None;
        }
        Some(text)
    }

    fn split(
        &mut self,
        b: &mut SiteBuild,
        shares: &[Share],
        by: Option<&Operand>,
        scene: &Scene<'_>,
        loc: Loc,
    ) -> Option<Answer> {
        let env = scene.env;
        let total: u64 = shares.iter().map(|s| u64::from(s.basis_points.node)).sum();
        let mut sound = true;
        if total != 10_000 {
            let first = shares.first().map_or(loc, |s| self.at(env, s.basis_points.span));
            let last = shares.last().map_or(loc, |s| self.at(env, s.pool.span));
            let at = Loc { span: first.span.to(last.span), ..first };
            self.report(lint::g2009::total(at, total));
            sound = false;
        }
        let mut out = Vec::new();
        for share in shares {
            let at = self.at(env, share.pool.span);
            let pool = self.pool_name(&share.pool, env).and_then(|p| self.pool_index(b, p, at));
            match pool {
                Some(pool) => out.push((share.basis_points.node, pool)),
                None => sound = false,
            }
        }
        let by = match by {
            None => {
                self.report(lint::g2010::drawn_anew(loc));
                None
            }
            Some(operand) => match self.operand(operand, Place::Key, env, scene.known) {
                Made::Value(value) => Some(value),
                Made::Either { .. } => {
                    self.report(lint::g1012::compound_key(self.at(env, operand.value.span)));
                    sound = false;
                    None
                }
                Made::Answer(answer) => return sound.then_some(answer),
                Made::Broken => {
                    sound = false;
                    None
                }
            },
        };
        sound.then_some(Answer::Proxy {
            to: Destination::Split { shares: out, by, salt: scene.salt },
            at: None,
            host: None,
        })
    }
}
