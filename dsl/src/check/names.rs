//! Names: what is visible where, and what it stands for.

use super::seen::Means;
use super::ty::Ty;
use super::val::{Val, With};
use super::{Checker, Env, Local, LocalKind};
use crate::lint;
use crate::resolve::{ModIdx, is_builtin, nearest};
use crate::syntax::ast::{Ident, ItemKind, Name};
use crate::syntax::span::{Loc, Span, Spanned};
use crate::tree::ir::{CertPart, Field};
use std::sync::Arc;

/// Methods that may be written bare.
pub(crate) const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A part of the request that has a name of its own.
struct Builtin {
    name: &'static str,
    field: Field,
    ty: Ty,
    optional: bool,
}

fn members(of: &str) -> Option<Vec<Builtin>> {
    let b = |name, field, ty, optional| Builtin { name, field, ty, optional };
    Some(match of {
        "request" => vec![
            b("method", Field::Method, Ty::Method, false),
            b("path", Field::Path, Ty::Path, false),
            b("uri", Field::Uri, Ty::Path, false),
            b("query-string", Field::QueryString, Ty::Text, true),
            b("size", Field::Size, Ty::Size, true),
            b("version", Field::Version, Ty::Text, false),
        ],
        "client" => vec![
            b("ip", Field::ClientIp, Ty::Ip, false),
            b("port", Field::ClientPort, Ty::Int, false),
            b("country", Field::ClientCountry, Ty::Text, true),
        ],
        "tls" => vec![
            b("sni", Field::TlsSni, Ty::Host, true),
            b("version", Field::TlsVersion, Ty::Text, true),
            b("alpn", Field::TlsAlpn, Ty::Text, true),
            // What is always there where a certificate is.
            b("cert", Field::TlsCert(CertPart::Fingerprint), Ty::Text, true),
        ],
        "tls.cert" => {
            CertPart::ALL.into_iter().map(|part| b(part.name(), Field::TlsCert(part), Ty::Text, true)).collect()
        }
        _ => return None,
    })
}

/// The members of `request`, `client` and `tls`, with their types.
pub(crate) fn member_names(of: &str) -> Vec<(&'static str, Option<String>)> {
    let known = members(of).unwrap_or_default().into_iter().map(|b| {
        let val = Val::Field { field: b.field, ty: b.ty, optional: b.optional, with: With::default() };
        (b.name, super::seen::written(&val))
    });
    known.collect()
}

impl<'a> Checker<'a> {
    /// Makes a name visible; says so when it was already (LANGUAGE rule 12).
    pub(super) fn bind(&mut self, env: &mut Env, name: &Ident, val: Val, kind: LocalKind) {
        let loc = self.loc(env.module, name.span);
        // A name that means two things says nothing more than that it does.
        let val = if self.check_free(env, &name.node, loc) { val } else { Val::unknown() };
        self.saw(loc, Means::Declared(loc), Some(&val));
        env.locals.push(Local { name: name.node.clone(), val, loc, kind });
    }

    /// Says when a name is visible already.
    pub(super) fn check_free(&mut self, env: &Env, name: &str, loc: Loc) -> bool {
        if is_builtin(name) {
            self.report(lint::g1018::builtin(loc, name));
            return false;
        } else if let Some(first) = env.local(name) {
            if first.loc != loc {
                self.report(lint::g1018::taken(loc, name, first.loc));
                return false;
            }
        } else if let Some((_, first)) = env.functions.iter().find(|(f, _)| f.name.node == name) {
            if *first != loc {
                self.report(lint::g1018::taken(loc, name, *first));
                return false;
            }
        } else if let Some(&item) = self.linked.modules[env.module].values.get(name) {
            let parsed = Arc::clone(&self.linked.modules[env.module].parsed);
            if let Some(first) = crate::resolve::item_name(&parsed.ast.items[item]) {
                let first = self.loc(env.module, first.span);
                if first != loc {
                    self.report(lint::g1018::taken(loc, name, first));
                    return false;
                }
            }
        }
        true
    }

    /// What a name stands for.
    pub(super) fn name(&mut self, name: &Name, span: Span, env: &Env, want: Option<&Ty>) -> Val {
        let loc = self.loc(env.module, span);
        let head = &name.parts[0];
        let rest = &name.parts[1..];
        if let Some(local) = env.local(&head.node) {
            let (val, declared) = (local.val.clone(), local.loc);
            self.saw(self.loc(env.module, head.span), Means::Declared(declared), Some(&val));
            return self.members_of(val, head, rest, env.module);
        }
        if let Some(val) = self.builtin(head, rest, env.module) {
            let parts: Vec<&str> = name.parts.iter().take(2).map(|p| p.node.as_str()).collect();
            self.saw(loc, Means::Builtin(parts.join(".")), Some(&val));
            return val;
        }
        let values = &self.linked.modules[env.module].values;
        if let Some(&item) = values.get(&head.node) {
            // `web.route` style names: an import may share its name with a pool.
            if rest.is_empty() || !self.linked.modules[env.module].imports.contains_key(&head.node) {
                let val = self.top_value(env.module, item, loc);
                self.saw_item(&name.parts[..1], env.module, env.module, item, Some(&val));
                return self.members_of(val, head, rest, env.module);
            }
        }
        if let Some(&module) = self.linked.modules[env.module].imports.get(&head.node)
            && let Some(member) = rest.first()
        {
            if self.linked.is_broken(module, &member.node) {
                return Val::unknown();
            }
            return match self.linked.modules[module].member(&member.node) {
                Some(item) => {
                    let val = self.top_value(module, item, loc);
                    self.saw_item(&name.parts[..2], env.module, module, item, Some(&val));
                    self.members_of(val, member, &rest[1..], env.module)
                }
                None => {
                    let at = self.loc(env.module, member.span);
                    let m = &self.linked.modules[module];
                    let near = nearest(&member.node, m.members()).map(str::to_owned);
                    let kind = if want == Some(&Ty::Pool) { "pool" } else { "value" };
                    let policy = m.policy_member(&member.node).is_some();
                    let d = lint::g1004::no_member(at, &m.name, kind, &member.node, near.as_deref());
                    let d = if m.shows(&member.node) {
                        d
                    } else {
                        d.note("gateway.route exports what it says in `export`")
                    };
                    self.report(if policy { d.note("it is a policy: insert it with `use`") } else { d });
                    Val::unknown()
                }
            };
        }
        if self.linked.is_broken(env.module, &head.node) {
            return Val::unknown();
        }
        if rest.is_empty() && METHODS.contains(&head.node.as_str()) {
            return Val::Method(head.node.as_str().into());
        }
        match want {
            Some(Ty::Method) if rest.is_empty() => {
                self.report(lint::g1011::no_method(loc, &head.node));
                Val::unknown()
            }
            Some(Ty::Host) if !rest.is_empty() => {
                let host: Vec<&str> = name.parts.iter().map(|p| p.node.as_str()).collect();
                Val::Host(host.join(".").to_ascii_lowercase().into())
            }
            _ => {
                self.unknown_name(head, rest, env, want, loc);
                Val::unknown()
            }
        }
    }

    fn unknown_name(&mut self, head: &Ident, rest: &[Ident], env: &Env, want: Option<&Ty>, loc: Loc) {
        let whole = std::iter::once(head).chain(rest).map(|p| p.node.as_str()).collect::<Vec<_>>().join(".");
        let head_loc = self.loc(env.module, head.span);
        if want == Some(&Ty::Pool) {
            let d = self.no_pool(&whole, env, if rest.is_empty() { head_loc } else { loc });
            return self.report(d);
        }
        let m = &self.linked.modules[env.module];
        let mut visible: Vec<&str> = env.locals.iter().map(|l| l.name.as_str()).collect();
        if rest.is_empty() {
            visible.extend(m.values.keys().map(String::as_str));
            visible.extend(["host", "method"]);
        } else {
            visible.extend(["request", "client", "header", "cookie", "query", "body", "tls", "secret"]);
            visible.extend(m.imports.keys().map(String::as_str));
        }
        let near = nearest(&head.node, visible).map(str::to_owned);
        let mut d = lint::g1003::unknown_name(head_loc, &head.node, near.as_deref());
        if m.imports.contains_key(&head.node) {
            d = d.note(format!("`{}` is a module: name one of its members", head.node));
        }
        self.report(d);
    }

    /// G1002 with the pools that could have been meant.
    fn no_pool(&self, whole: &str, env: &Env, loc: Loc) -> crate::diagnostic::Diagnostic {
        let m = &self.linked.modules[env.module];
        let mut pools: Vec<(String, Loc)> = Vec::new();
        for (module, prefix) in std::iter::once((env.module, String::new()))
            .chain(m.imports.iter().map(|(alias, &module)| (module, format!("{alias}."))))
        {
            let other = &self.linked.modules[module];
            for (name, &item) in &other.values {
                if !prefix.is_empty() && !other.shows(name) {
                    continue;
                }
                if let ItemKind::Pool(p) = &other.parsed.ast.items[item].kind {
                    pools.push((format!("{prefix}{name}"), self.loc(module, p.name.span)));
                }
            }
        }
        let near = nearest(whole, pools.iter().map(|(n, _)| n.as_str())).map(str::to_owned);
        let near = near.and_then(|n| pools.iter().find(|(name, _)| *name == n).cloned());
        lint::g1002::no_pool(loc, whole, near.as_ref().map(|(n, l)| (n.as_str(), *l)))
    }

    /// `request.path`, `header.x`, `host`; `None` when the head is no builtin.
    fn builtin(&mut self, head: &Ident, rest: &[Ident], module: ModIdx) -> Option<Val> {
        let loc = rest.last().map_or(self.loc(module, head.span), |l| {
            self.loc(module, Span { start: head.span.start, end: l.span.end })
        });
        let field = |field, ty, optional| Val::Field { field, ty, optional, with: With::default() };
        let single = match head.node.as_str() {
            "method" => Some(field(Field::Method, Ty::Method, false)),
            "host" => Some(field(Field::Host, Ty::Host, false)),
            _ => None,
        };
        if let Some(val) = single {
            return Some(self.members_of(val, head, rest, module));
        }
        match head.node.as_str() {
            "request" | "client" | "tls" => {
                let known = members(&head.node).unwrap_or_default();
                let Some(member) = rest.first() else {
                    let names: Vec<_> = known.iter().map(|b| format!("`{}.{}`", head.node, b.name)).collect();
                    self.report(
                        lint::g1003::unknown_name(loc, &head.node, None)
                            .note(format!("name a part of it: {}", names.join(", "))),
                    );
                    return Some(Val::unknown());
                };
                match (head.node.as_str(), member.node.as_str()) {
                    // A policy that nobody uses asks nobody.
                    ("client", "country") if !self.alone => {
                        self.country.get_or_insert(loc);
                    }
                    ("tls", "cert") if rest.len() > 1 => {
                        let named = &rest[1];
                        let Some(part) = CertPart::of(&named.node) else {
                            let near = nearest(&named.node, CertPart::ALL.map(CertPart::name));
                            let at = self.loc(module, named.span);
                            self.report(lint::g1004::no_member(at, "tls.cert", "member", &named.node, near));
                            return Some(Val::unknown());
                        };
                        let val = field(Field::TlsCert(part), Ty::Text, true);
                        return Some(self.members_of(val, named, &rest[2..], module));
                    }
                    _ => {}
                }
                let Some(b) = known.iter().find(|b| b.name == member.node) else {
                    let near = nearest(&member.node, known.iter().map(|b| b.name));
                    let at = self.loc(module, member.span);
                    self.report(lint::g1004::no_member(at, &head.node, "member", &member.node, near));
                    return Some(Val::unknown());
                };
                let val = field(b.field.clone(), b.ty.clone(), b.optional);
                Some(self.members_of(val, member, &rest[1..], module))
            }
            "header" | "cookie" | "query" => {
                let Some(member) = rest.first() else {
                    self.report(
                        lint::g1003::unknown_name(loc, &head.node, None)
                            .note(format!("name one of them: `{}.NAME`", head.node)),
                    );
                    return Some(Val::unknown());
                };
                let key: Arc<str> = member.node.as_str().into();
                let f = match head.node.as_str() {
                    "header" => Field::Header(member.node.to_ascii_lowercase().into()),
                    "cookie" => Field::Cookie(key),
                    _ => Field::Query(key),
                };
                self.reads(&f, member, module);
                Some(self.members_of(field(f, Ty::Text, true), member, &rest[1..], module))
            }
            "secret" => Some(self.secret(rest, loc)),
            "body" => {
                let val = self.body_member(rest.first(), loc);
                match rest {
                    [] | [_] => Some(val),
                    [member, rest @ ..] => Some(self.members_of(val, member, rest, module)),
                }
            }
            _ => None,
        }
    }

    /// Notes where the file names a field that nothing declares, for those that look at names.
    fn reads(&mut self, field: &Field, name: &Ident, module: ModIdx) {
        let written = self.text.get(name.span.range()).unwrap_or_default();
        if module != 0 || !written.eq_ignore_ascii_case(&name.node) {
            return;
        }
        let at = self.loc(module, name.span);
        self.read.push((field.clone(), at));
        if let Field::Header(header) = field
            && let Some(d) = lint::g1014::read(at, header)
        {
            self.report(d);
        }
    }

    /// `cookie[name]`: a header, cookie or query field whose name is a text that the file settles.
    pub(super) fn field_named(&mut self, of: &Ident, key: &Spanned<crate::syntax::ast::Expr>, env: &Env) -> Val {
        let at = self.at(env, key.span);
        let val = self.eval(key, env, Some(&Ty::Text));
        let name = match (&val, val.as_text()) {
            (Val::Opaque(Ty::Text | Ty::Unknown, _), _) => return Val::Opaque(Ty::Text, true),
            (_, Some(name)) if val.ty().0 == Ty::Text && !name.is_empty() => name,
            _ => {
                let (found, what) = (val.ty().0, format!("`{}[…]` takes", of.node));
                let found = if found == Ty::Text { "one that the request decides".to_owned() } else { found.noun() };
                self.report(lint::g1005::wrong(at, &what, "a name that the file settles", &found));
                return Val::Opaque(Ty::Text, true);
            }
        };
        let field = match of.node.as_str() {
            "header" => Field::Header(name.to_ascii_lowercase().into()),
            "cookie" => Field::Cookie(name),
            _ => Field::Query(name),
        };
        Val::Field { field, ty: Ty::Text, optional: true, with: With::default() }
    }

    /// Only claims have members.
    fn members_of(&mut self, val: Val, head: &Ident, rest: &[Ident], module: ModIdx) -> Val {
        let Some(member) = rest.first() else { return val };
        // `tenants["acme"]`: what is in quotes is read as a part of the name.
        if let (Val::Table(of, item), []) = (&val, &rest[1..]) {
            let at = self.loc(module, member.span);
            let key = Val::Text(member.node.as_str().into());
            return self.look_up_text(*of, *item, &key, at).unwrap_or_else(Val::unknown);
        }
        match (&val, val.ty().0) {
            // Which claims a token has is known when it is there; those of inner objects stand behind a dot.
            (Val::Field { field: Field::Call(call, _), .. }, Ty::Claims) => {
                let name = rest.iter().map(|part| part.node.as_str()).collect::<Vec<_>>().join(".");
                let field = Field::Claim(*call, name.into());
                Val::Field { field, ty: Ty::Text, optional: true, with: With::default() }
            }
            (Val::Absent(_), Ty::Claims) => Val::Absent(Ty::Text),
            (_, Ty::Claims) => Val::Opaque(Ty::Text, true),
            (_, Ty::Unknown) => Val::Opaque(Ty::Unknown, false),
            (_, ty) => {
                let at = self.loc(module, member.span);
                self.report(lint::g1004::no_members(at, &head.node, &ty.noun()));
                Val::unknown()
            }
        }
    }

    /// A `let`, pool, table or provider of a module.
    fn top_value(&mut self, module: ModIdx, item: usize, at: Loc) -> Val {
        let parsed = Arc::clone(&self.linked.modules[module].parsed);
        match &parsed.ast.items[item].kind {
            ItemKind::Let(l) if l.params.is_none() => self.top_let(module, item),
            ItemKind::Let(l) => {
                self.report(lint::g1005::needs_arguments(at, &l.name.node));
                Val::unknown()
            }
            ItemKind::Pool(_) => {
                self.named.insert((module, item));
                Val::Pool(module, item)
            }
            ItemKind::Table(_) => Val::Table(module, item),
            ItemKind::Provider(_) => Val::Provider(module, item),
            // No other item declares a value.
            ItemKind::Import(_)
            | ItemKind::Policy(_)
            | ItemKind::Site(_)
            | ItemKind::Passthrough(_)
            | ItemKind::L4(_)
            | ItemKind::Gateway(_)
            | ItemKind::Tenant { .. }
            | ItemKind::Test { .. }
            | ItemKind::Prove { .. } => Val::unknown(),
        }
    }

    /// The value of a top-level `let`.
    pub(super) fn top_let(&mut self, module: ModIdx, item: usize) -> Val {
        match self.lets.get(&(module, item)) {
            Some(Some(val)) => return val.clone(),
            Some(None) => {
                let parsed = Arc::clone(&self.linked.modules[module].parsed);
                if let Some(name) = crate::resolve::item_name(&parsed.ast.items[item]) {
                    self.report(lint::g1019::recursive(self.loc(module, name.span), "value", &name.node));
                }
                return Val::unknown();
            }
            None => {}
        }
        self.lets.insert((module, item), None);
        let made = self.asked.made;
        let parsed = Arc::clone(&self.linked.modules[module].parsed);
        let val = match &parsed.ast.items[item].kind {
            ItemKind::Let(l) => self.eval(&l.value, &Env::top(module), None),
            ItemKind::Import(_)
            | ItemKind::Pool(_)
            | ItemKind::Table(_)
            | ItemKind::Policy(_)
            | ItemKind::Provider(_)
            | ItemKind::Site(_)
            | ItemKind::Passthrough(_)
            | ItemKind::L4(_)
            | ItemKind::Gateway(_)
            | ItemKind::Tenant { .. }
            | ItemKind::Test { .. }
            | ItemKind::Prove { .. } => Val::unknown(),
        };
        if self.asked.made != made {
            self.asked.lets.push((module, item));
        }
        self.lets.insert((module, item), Some(val.clone()));
        val
    }

    /// The pool that a name means, reported when it means none.
    pub(super) fn pool_name(&mut self, name: &Spanned<Name>, env: &Env) -> Option<(ModIdx, usize)> {
        let val = self.name(&name.node, name.span, env, Some(&Ty::Pool));
        self.expect_pool(&val, self.loc(env.module, name.span))
    }

    /// The pool that a value is.
    pub(super) fn expect_pool(&mut self, val: &Val, loc: Loc) -> Option<(ModIdx, usize)> {
        match val {
            Val::Pool(module, item) => Some((*module, *item)),
            other => {
                let (ty, _) = other.ty();
                if ty != Ty::Unknown && ty != Ty::Pool {
                    self.report(lint::g1005::wrong(loc, "a route leads to", &Ty::Pool.noun(), &ty.noun()));
                }
                None
            }
        }
    }
}
