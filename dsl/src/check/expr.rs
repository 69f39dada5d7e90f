//! Expressions as values.

use super::seen::Means;
use super::ty::Ty;
use super::val::{TplPart, Val};
use super::{Checker, Env, LocalKind};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Arg, Expr, ItemKind, Let, Name, Template, TemplatePart};
use crate::syntax::span::{Loc, Span, Spanned};
use crate::tree::ir::{Cond, IpNet};
use std::net::IpAddr;
use std::sync::Arc;

/// Functions of the language, for did-you-mean.
/// The functions of the language.
pub(crate) const FUNCTIONS: &[&str] =
    &["lower", "jwt", "signed", "hash", "ask", "local-path", "password", "api-key", "session"];

/// A user function with the place that declares it.
struct Function {
    def: Let,
    env: Env,
    loc: Loc,
}

impl<'a> Checker<'a> {
    /// The value of an expression. `want` is what its place takes, where that decides how a bare word
    /// is read; it does not check the type.
    pub(super) fn eval(&mut self, e: &Spanned<Expr>, env: &Env, want: Option<&Ty>) -> Val {
        let loc = self.loc(env.module, e.span);
        match &e.node {
            Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::Compare { .. } => Val::Cond(self.cond(e, env)),
            Expr::Paren(inner) => self.eval(inner, env, want),
            Expr::Text(t) => match (self.template_val(t, Ty::Text, env), want) {
                // Whoever is handed it reads it from the folder of the file that names it.
                (Val::Text(path), Some(Ty::File)) => Val::File(env.module, path, loc),
                (val, _) => val,
            },
            Expr::Path(t) => self.template_val(t, Ty::Path, env),
            Expr::Url(t) => self.template_val(t, Ty::Url, env),
            // A string where a regular expression is no more special than a text.
            Expr::Regex(r) => Val::Text(r.as_str().into()),
            Expr::Bool(b) => Val::Cond(Cond::Const(*b)),
            Expr::Number(n) => match n.parse::<i64>() {
                Ok(n) => Val::Int(n),
                Err(_) => {
                    self.report(lint::g1005::not_whole(loc, n));
                    Val::Opaque(Ty::Int, false)
                }
            },
            Expr::Range(a, b) => Val::Range(*a, *b),
            Expr::Percent(points) => Val::Percent(*points),
            Expr::Duration(ms) => Val::Duration(*ms),
            Expr::Size(bytes) => Val::Size(*bytes),
            Expr::Rate { count, seconds, bytes } => Val::Rate { count: *count, seconds: *seconds, bytes: *bytes },
            Expr::Ip(ip) => Val::Ip(unmapped(*ip)),
            Expr::Cidr(ip, len) => match IpNet::new(*ip, *len) {
                Ok(net) => {
                    if net.addr() != net.network() {
                        self.report(lint::g1005::host_bits(loc, net));
                    }
                    Val::Cidr(net.trunc())
                }
                Err(_) => {
                    self.report(lint::g1005::wrong(loc, "this place takes", "a network", "no network"));
                    Val::Opaque(Ty::Cidr, false)
                }
            },
            Expr::List(items) => {
                let inner = match want {
                    Some(Ty::List(inner)) => Some(inner.as_ref()),
                    other => other,
                };
                let items = items.iter().map(|i| (self.eval(i, env, inner), self.loc(env.module, i.span))).collect();
                Val::List(items)
            }
            Expr::Call { name, args } => self.call(name, args, env, loc),
            Expr::Request { .. } => {
                self.report(lint::g1005::request_alone(loc));
                Val::unknown()
            }
            Expr::Name(name) => self.name(name, e.span, env, want),
            Expr::Index { key, table } if matches!(table.node.as_str(), "header" | "cookie" | "query") => {
                self.field_named(table, key, env)
            }
            Expr::Index { key, table } => self.look_up(table, key, env),
        }
    }

    /// A template: constant where all its holes are.
    pub(super) fn template_val(&mut self, t: &Template, ty: Ty, env: &Env) -> Val {
        let mut parts: Vec<TplPart> = Vec::new();
        let mut opaque = false;
        for part in &t.parts {
            match part {
                TemplatePart::Text(text) => push_text(&mut parts, text),
                TemplatePart::Hole(hole) => {
                    let loc = self.loc(env.module, hole.span);
                    let val = self.hole(hole, env);
                    match val {
                        Val::Secret(_) => {
                            self.report(lint::g3015::leaves(loc));
                            opaque = true;
                        }
                        Val::Opaque(ty, _) => {
                            if ty == Ty::Secret {
                                self.report(lint::g3015::leaves(loc));
                            }
                            opaque = true;
                        }
                        Val::Template(_, inner) => {
                            for part in inner {
                                match part {
                                    TplPart::Text(text) => push_text(&mut parts, &text),
                                    hole @ TplPart::Hole(..) => parts.push(hole),
                                }
                            }
                        }
                        val => match val.as_text() {
                            Some(text) => push_text(&mut parts, &text),
                            None if self.is_pool_of_row(&val, loc) => opaque = true,
                            None if matches!(val, Val::Field { .. } | Val::Absent(_)) && val.ty().0 != Ty::Claims => {
                                parts.push(TplPart::Hole(Box::new(val), loc));
                            }
                            None => {
                                let (found, _) = val.ty();
                                self.report(lint::g1005::wrong(loc, "a hole takes", &Ty::Text.noun(), &found.noun()));
                                opaque = true;
                            }
                        },
                    }
                }
            }
        }
        if opaque {
            return Val::Opaque(ty, false);
        }
        let constant = match parts.as_slice() {
            [] => Some(""),
            [TplPart::Text(text)] => Some(text.as_str()),
            _ => None,
        };
        match (constant, &ty) {
            (Some(text), Ty::Path) if self.raw_paths => Val::Path(text.into()),
            (Some(text), Ty::Path) => Val::Path(super::pattern::canonical_text(text).into()),
            (Some(text), Ty::Url) => Val::Url(text.into()),
            (Some(text), _) => Val::Text(text.into()),
            (None, _) => Val::Template(ty, parts),
        }
    }

    /// Whether a value is the pool of a row, which is no text; says so.
    pub(super) fn is_pool_of_row(&mut self, val: &Val, loc: Loc) -> bool {
        let Val::Field { field, ty: Ty::Pool, .. } = val else { return false };
        self.report(lint::g1029::pool_as_text(loc, &super::template::source_name(field)));
        true
    }

    /// `{name}`: a bare name that is not known is most likely a misspelt capture.
    fn hole(&mut self, hole: &Spanned<Expr>, env: &Env) -> Val {
        if let Expr::Name(name) = &hole.node
            && let [only] = name.parts.as_slice()
            && env.local(&only.node).is_none()
            && !crate::resolve::is_builtin(&only.node)
            && !self.linked.modules[env.module].values.contains_key(&only.node)
            && !self.linked.is_broken(env.module, &only.node)
        {
            let captures: Vec<&str> =
                env.locals.iter().filter(|l| l.kind == LocalKind::Capture).map(|l| l.name.as_str()).collect();
            let visible = env.locals.iter().map(|l| l.name.as_str());
            let near =
                nearest(&only.node, visible).or(if captures.len() == 1 { captures.first().copied() } else { None });
            let d = lint::g1003::not_captured(self.loc(env.module, only.span), &only.node, &captures, near);
            self.report(d);
            return Val::unknown();
        }
        self.eval(hole, env, Some(&Ty::Text))
    }

    fn call(&mut self, name: &Spanned<Name>, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let at = self.loc(env.module, name.span);
        let head = &name.node.parts[0].node;
        // Some functions are no names of the language: whoever declares such a function means that one.
        let own = || !crate::resolve::is_builtin(head) && self.function(&name.node, env).is_some();
        if name.node.parts.len() == 1 && FUNCTIONS.contains(&head.as_str()) && !own() {
            return self.builtin_call(head, args, env, loc, at);
        }
        if head == "body" {
            return self.body_call(name.node.parts.get(1), args, env, loc);
        }
        let Some(function) = self.function(&name.node, env) else {
            for arg in args {
                self.eval(&arg.value, env, None);
            }
            if self.linked.is_broken(env.module, head) {
                return Val::unknown();
            }
            if let Some(&module) = self.linked.modules[env.module].imports.get(head)
                && let Some(member) = name.node.parts.get(1)
            {
                let m = &self.linked.modules[module];
                let near = nearest(&member.node, m.values.keys().map(String::as_str)).map(str::to_owned);
                let at = self.loc(env.module, member.span);
                self.report(lint::g1004::no_member(at, &m.name, "function", &member.node, near.as_deref()));
            } else {
                let m = &self.linked.modules[env.module];
                let known = FUNCTIONS.iter().copied().chain(m.values.keys().map(String::as_str));
                let near = nearest(head, known).map(str::to_owned);
                self.report(lint::g1003::unknown_function(at, head, near.as_deref()));
            }
            return Val::unknown();
        };
        match name.node.parts.as_slice() {
            [own] => self.saw(self.loc(env.module, own.span), Means::Declared(function.loc), None),
            parts => {
                let module = function.env.module;
                if let Some(&item) = self.linked.modules[module].values.get(&function.def.name.node) {
                    self.saw_item(parts, env.module, module, item, None);
                }
            }
        }
        self.apply(&function, args, env, loc)
    }

    /// A user function by name.
    fn function(&self, name: &Name, env: &Env) -> Option<Function> {
        let head = &name.parts[0].node;
        if name.parts.len() == 1
            && let Some((def, loc)) = env.functions.iter().find(|(f, _)| f.name.node == *head)
        {
            return Some(Function { def: def.clone(), env: env.clone(), loc: *loc });
        }
        let (module, member) = match name.parts.as_slice() {
            [only] => (env.module, &only.node),
            [alias, member] => (*self.linked.modules[env.module].imports.get(&alias.node)?, &member.node),
            _ => return None,
        };
        let m = &self.linked.modules[module];
        let item = if module == env.module { *m.values.get(member)? } else { m.member(member)? };
        match &self.linked.item(module, item).kind {
            ItemKind::Let(l) if l.params.is_some() => {
                Some(Function { def: l.clone(), env: Env::top(module), loc: self.loc(module, l.name.span) })
            }
            _ => None,
        }
    }

    /// Inlines a user function.
    fn apply(&mut self, f: &Function, args: &[Arg], env: &Env, loc: Loc) -> Val {
        if self.calls.contains(&f.loc) {
            self.report(lint::g1019::recursive(loc, "function", &f.def.name.node));
            return Val::unknown();
        }
        let params = f.def.params.as_deref().unwrap_or_default();
        let mut inner = f.env.clone();
        let names: Vec<&str> = params.iter().map(|p| p.name.node.as_str()).collect();
        self.saw_args(args, env, params, f.env.module);
        let bound = self.match_args(&f.def.name.node, &names, args, env);
        for (param, arg) in params.iter().zip(bound) {
            let val = match arg {
                Some(arg) => self.eval(&arg.value, env, None),
                None => match &param.default {
                    Some(default) => self.eval(default, &f.env, None),
                    None => {
                        self.report(lint::g1021::missing(loc, &f.def.name.node, &param.name.node, None));
                        Val::unknown()
                    }
                },
            };
            self.bind(&mut inner, &param.name, val, LocalKind::Param);
        }
        self.calls.push(f.loc);
        let val = self.eval(&f.def.value, &inner, None);
        self.calls.pop();
        val
    }

    /// Arguments by parameter. What fits none is reported.
    pub(super) fn match_args<'x>(
        &mut self,
        callee: &str,
        params: &[&str],
        args: &'x [Arg],
        env: &Env,
    ) -> Vec<Option<&'x Arg>> {
        let mut bound: Vec<Option<&Arg>> = vec![None; params.len()];
        let mut next = 0;
        for arg in args {
            let arg_loc = self.loc(env.module, arg.value.span);
            let index = match &arg.name {
                Some(name) => {
                    let at = self.loc(env.module, name.span);
                    match params.iter().position(|p| *p == name.node) {
                        Some(index) => index,
                        None => {
                            let near = nearest(&name.node, params.iter().copied());
                            self.report(lint::g1021::unknown(at, callee, &name.node, near));
                            continue;
                        }
                    }
                }
                None => {
                    let index = next;
                    next += 1;
                    index
                }
            };
            match bound.get_mut(index) {
                Some(slot @ None) => *slot = Some(arg),
                Some(Some(_)) => self.report(lint::g1021::twice(arg_loc, callee, params[index])),
                None => {
                    self.report(lint::g1021::too_many(arg_loc, callee, params.len()));
                    break;
                }
            }
        }
        bound
    }

    /// Whether a value fits a parameter; what it is bound to.
    pub(super) fn coerce(&mut self, what: &str, want: &Ty, may_miss: bool, val: Val, loc: Loc) -> Val {
        let (ty, optional) = val.ty();
        if optional && !may_miss && !val.is_opaque() {
            self.report(lint::g1012::argument(loc, what));
            return Val::Opaque(want.clone(), false);
        }
        if ty == Ty::Unknown || *want == Ty::Unknown || (ty == *want && !matches!(val, Val::List(_))) {
            return val;
        }
        let fitted = match (want, &val) {
            (Ty::Text, v) if v.ty().0.is_text() => Some(val.clone()),
            (Ty::Path, Val::Text(t)) if t.starts_with('/') => Some(Val::Path(Arc::clone(t))),
            (Ty::Path, Val::Template(_, parts)) if matches!(parts.first(), Some(TplPart::Text(t)) if t.starts_with('/')) => {
                Some(Val::Template(Ty::Path, parts.clone()))
            }
            (Ty::Host, Val::Text(t)) if is_host(t) => Some(Val::Host(t.to_ascii_lowercase().into())),
            (Ty::Url, Val::Text(t)) if t.starts_with("https://") || t.starts_with("http://") => {
                Some(Val::Url(Arc::clone(t)))
            }
            (Ty::File, Val::Secret(_)) => Some(val.clone()),
            // By a name: the file that says it is the one whose folder counts.
            (Ty::File, Val::Text(path)) => {
                let module = self.linked.modules.iter().position(|module| module.file == loc.file);
                module.map(|module| Val::File(module, Arc::clone(path), loc))
            }
            (Ty::Status, Val::Int(n)) if (100..=599).contains(n) => Some(val.clone()),
            (Ty::Cidr, Val::Ip(ip)) => Some(Val::Cidr(IpNet::from(*ip))),
            (Ty::List(inner), Val::List(items)) => {
                let items = items.iter().map(|(v, l)| (self.coerce(what, inner, false, v.clone(), *l), *l)).collect();
                return Val::List(items);
            }
            (Ty::List(_), Val::Opaque(Ty::List(_), _)) => Some(val.clone()),
            (Ty::List(inner), Val::Table(module, item)) if self.is_list_of(*module, *item, inner) => Some(val.clone()),
            _ => None,
        };
        fitted.unwrap_or_else(|| {
            if *want == Ty::Secret && matches!(val, Val::Text(_)) {
                self.report(lint::g3016::key(loc));
                return Val::Opaque(want.clone(), false);
            }
            self.report(lint::g1005::wrong(loc, &format!("{what} takes"), &want.noun(), &ty.noun()));
            Val::Opaque(want.clone(), false)
        })
    }

    /// The span of a name's first part to its last.
    pub(super) fn name_text(name: &Name) -> String {
        name.parts.iter().map(|p| p.node.as_str()).collect::<Vec<_>>().join(".")
    }

    /// A place in the file of an environment.
    pub(super) fn at(&self, env: &Env, span: Span) -> Loc {
        self.loc(env.module, span)
    }
}

fn push_text(parts: &mut Vec<TplPart>, text: &str) {
    match parts.last_mut() {
        Some(TplPart::Text(last)) => last.push_str(text),
        _ if text.is_empty() => {}
        _ => parts.push(TplPart::Text(text.to_owned())),
    }
}

/// IPv4-mapped addresses are IPv4 everywhere.
pub(super) fn unmapped(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Whether a text can be a host.
pub(super) fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}
