//! `tenant NAME { … }`, and what a tenant's files may not do.

use super::route::{Chain, Frame, ScopeAcc};
use super::site::SiteBuild;
use super::val::Val;
use super::{Checker, Env, Outcome};
use crate::lint;
use crate::region::Algebra;
use crate::resolve::{ModIdx, nearest};
use crate::syntax::ast::{self, Expr, Ident, ItemKind, StmtKind, Word};
use crate::syntax::span::{FileId, Loc, Spanned};
use crate::tree::ir::{self, Cond, Dials, EndpointKind, HostHead, HostPattern, Quota, Segment, Step, Tenant};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Settings of a tenant.
const SETTINGS: &[&str] = &["files", "owns", "dials", "secrets", "limits"];
/// Settings of its `limits`.
const LIMITS: &[&str] = &["routes", "table-rows", "regex-states"];

impl<'a> Checker<'a> {
    /// Checks a `tenant` item.
    pub(super) fn tenant(&mut self, name: &'a Ident, body: &'a ast::Block, at: Loc, out: &mut Outcome) {
        if !self.gateway_file {
            self.report(lint::g8004::tenant(at));
            return;
        }
        let loc = self.loc(0, name.span);
        let env = Env::top(0);
        let mut made = Tenant {
            name: name.node.as_str().into(),
            files: Vec::new(),
            owns: Vec::new(),
            dials: Arc::default(),
            secrets: Vec::new(),
            quota: Quota::default(),
            uses: Vec::new(),
            loc,
        };
        let mut dials = Dials { tenant: Arc::clone(&made.name), ..Dials::default() };
        let mut seen: Vec<(String, Loc)> = Vec::new();
        for stmt in &body.stmts {
            let at = self.loc(0, stmt.span);
            match &stmt.kind {
                StmtKind::Use { policy, args, .. } => {
                    // Checked where it is used: in each of the tenant's sites.
                    self.find_policy(&policy.node, 0, self.loc(0, policy.span));
                    args.iter().flatten().for_each(|arg| {
                        self.eval(&arg.value, &env, None);
                    });
                    made.uses.push(self.text.get(stmt.span.range()).unwrap_or_default().into());
                }
                StmtKind::Setting { head, words, body } => {
                    let head_loc = self.loc(0, head.span);
                    let known = head.node.as_str();
                    if !SETTINGS.contains(&known) {
                        let near = nearest(known, SETTINGS.iter().copied().chain(["use"]));
                        self.report(lint::g1001::setting(head_loc, known, "tenant", near));
                        continue;
                    }
                    if let Some((_, first)) = seen.iter().find(|(s, _)| s == known) {
                        let first = *first;
                        self.report(lint::g1023::twice(head_loc, known, first));
                        continue;
                    }
                    seen.push((known.to_owned(), head_loc));
                    match known {
                        "files" => made.files = self.texts("files", words, &env, at),
                        "secrets" => made.secrets = self.texts("secrets", words, &env, at),
                        "owns" => made.owns = self.owns(words, at),
                        "dials" => self.dials(words, &env, at, &mut dials),
                        _ => made.quota = self.quota(body.as_ref(), &env, at),
                    }
                }
                _ => self.report(lint::g1022::in_tenant(at)),
            }
        }
        made.dials = Arc::new(dials);
        if made.files.is_empty() && !seen.iter().any(|(s, _)| s == "files") {
            self.report(lint::g1024::shape(
                loc,
                "tenant",
                "the files that are its own, as in `files \"acme/*.route\"`",
            ));
        }
        self.beside_others(&made, &out.tenants);
        out.tenants.push(Arc::new(made));
    }

    /// `"acme/*.route", "acme-*.route"`
    fn texts(&mut self, head: &str, words: &[Spanned<Word>], env: &Env, at: Loc) -> Vec<Arc<str>> {
        let mut out = Vec::new();
        for word in words {
            match &word.node {
                Word::Comma => {}
                Word::Value(Expr::Text(t)) => {
                    let loc = self.loc(0, word.span);
                    let text = self.constant(&Spanned::new(t.clone(), word.span), super::ty::Ty::Text, env);
                    let Some(text) = text else { continue };
                    let path = head == "files";
                    let leaves = text.starts_with('/') || text.split('/').any(|part| part == "..");
                    if text.is_empty() || (path && (leaves || !(text.ends_with(".route") || text.ends_with("**")))) {
                        let rule = "`files` takes patterns below the sites directory, as in `\"acme/*.route\"`";
                        self.report(lint::g1024::range(
                            loc,
                            if path { rule } else { "a pattern of names is not empty" },
                        ));
                    } else {
                        out.push(text);
                    }
                }
                _ => self.report(lint::g1024::shape(self.loc(0, word.span), head, "texts in quotes")),
            }
        }
        if words.is_empty() {
            self.report(lint::g1024::shape(at, head, "texts in quotes"));
        }
        out
    }

    /// `acme.com, **.acme.com`
    fn owns(&mut self, words: &[Spanned<Word>], at: Loc) -> Vec<(HostPattern, Loc)> {
        let mut out = Vec::new();
        for word in words {
            let loc = self.loc(0, word.span);
            match &word.node {
                Word::Comma => {}
                Word::Host(host) => {
                    let host = self.host_pattern(0, &Spanned::new(host.clone(), word.span));
                    out.extend(host.map(|host| (host.pattern, loc)));
                }
                Word::Value(Expr::Name(name)) => {
                    let text = Self::name_text(name).to_ascii_lowercase();
                    if super::expr::is_host(&text) {
                        out.push((HostPattern::of_literal(&text), loc));
                    } else {
                        self.report(lint::g1005::never_host(loc, &text));
                    }
                }
                _ => self.report(lint::g1024::shape(loc, "owns", "hosts, as in `owns acme.com, **.acme.com`")),
            }
        }
        if words.is_empty() {
            self.report(lint::g1024::shape(at, "owns", "hosts, as in `owns acme.com, **.acme.com`"));
        }
        out
    }

    /// `[10.20.0.0/16] unix:/run/acme.sock`
    fn dials(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc, out: &mut Dials) {
        const SHAPE: &str = "networks and sockets, as in `dials [10.20.0.0/16] unix:/run/acme.sock`";
        for word in words {
            let loc = self.loc(0, word.span);
            match &word.node {
                Word::Comma => {}
                Word::Unix(path) => out.sockets.push(path.as_str().into()),
                Word::Value(expr) => {
                    let ty = super::ty::Ty::List(Box::new(super::ty::Ty::Cidr));
                    let val = self.eval(&Spanned::new(expr.clone(), word.span), env, Some(&ty));
                    let val = match val {
                        one @ (Val::Ip(_) | Val::Cidr(_)) => Val::List(vec![(one, loc)]),
                        other => other,
                    };
                    if let Val::List(items) = self.coerce("`dials`", &ty, false, val, loc) {
                        let nets = items.into_iter().filter_map(|(item, _)| match item {
                            Val::Cidr(net) => Some(net),
                            _ => None,
                        });
                        out.nets.extend(nets);
                    }
                }
                _ => self.report(lint::g1024::shape(loc, "dials", SHAPE)),
            }
        }
        if words.is_empty() {
            self.report(lint::g1024::shape(at, "dials", SHAPE));
        }
    }

    fn quota(&mut self, body: Option<&'a ast::Block>, env: &Env, at: Loc) -> Quota {
        let mut quota = Quota::default();
        let Some(body) = body else {
            self.report(lint::g1024::shape(at, "limits", "a block, as in `limits { routes 10000 }`"));
            return quota;
        };
        for stmt in &body.stmts {
            let at = self.loc(0, stmt.span);
            let StmtKind::Setting { head, words, body: _ } = &stmt.kind else {
                self.report(lint::g1022::in_tenant(at));
                continue;
            };
            let place = match head.node.as_str() {
                "routes" => &mut quota.routes,
                "table-rows" => &mut quota.rows,
                "regex-states" => &mut quota.states,
                other => {
                    let near = nearest(other, LIMITS.iter().copied());
                    self.report(lint::g1001::setting(self.loc(0, head.span), other, "limits", near));
                    continue;
                }
            };
            *place = self.word_number(head, words, env);
        }
        quota
    }

    /// What two tenants cannot both have.
    fn beside_others(&mut self, made: &Tenant, others: &[Arc<Tenant>]) {
        let mut algebra = Algebra::hosts();
        for other in others {
            if other.name == made.name {
                self.report(lint::g1018::taken(made.loc, &made.name, other.loc));
                continue;
            }
            let shared = made.folders().filter(|f| !f.is_empty()).find_map(|own| {
                let below = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
                other.folders().filter(|f| !f.is_empty()).find(|o| below(own, o) || below(o, own)).map(|_| own)
            });
            if let Some(folder) = shared {
                self.report(lint::g8001::one_folder(made.loc, folder, &other.name, other.loc));
            }
            for (pattern, loc) in &made.owns {
                for (theirs, at) in &other.owns {
                    let inside = algebra.host_inside(pattern, theirs);
                    let outside = algebra.host_inside(theirs, pattern);
                    match (inside, outside) {
                        (Ok(true), Ok(true)) => {
                            self.report(lint::g8001::owned_twice(*loc, &pattern.to_string(), &other.name, *at));
                        }
                        // The more specific one owns it.
                        (Ok(true), _) | (_, Ok(true)) => {}
                        _ => {
                            if algebra.host_overlap(pattern, theirs) != Ok(None) {
                                let (own, theirs) = (pattern.to_string(), theirs.to_string());
                                self.report(lint::g8001::crossing(*loc, &own, &theirs, &other.name, *at));
                            }
                        }
                    }
                }
            }
        }
    }

    /// `export shared, policy base`: the names that files see by `import gateway`.
    pub(super) fn exported(&mut self, words: &[Spanned<Word>], at: Loc) {
        let module = &self.linked.modules[0];
        let mut wrong = Vec::new();
        for word in words {
            let loc = self.loc(0, word.span);
            match &word.node {
                Word::Comma => {}
                Word::Value(Expr::Name(name)) => {
                    let text = Self::name_text(name);
                    let known = module.values.contains_key(&text) || module.policies.contains_key(&text);
                    // `pool` and `policy` say what follows.
                    if !known && !matches!(text.as_str(), "pool" | "policy" | "table" | "provider") {
                        let names = module.values.keys().chain(module.policies.keys()).map(String::as_str);
                        wrong.push(lint::g1003::unknown_name(loc, &text, nearest(&text, names)));
                    }
                }
                _ => wrong.push(lint::g1024::shape(loc, "export", "names, as in `export shared, base`")),
            }
        }
        if words.is_empty() {
            wrong.push(lint::g1024::shape(at, "export", "names, as in `export shared, base`"));
        }
        wrong.into_iter().for_each(|d| self.report(d));
    }

    /// The file that gateway.route is, where a tenant's file is checked.
    fn operators(&self) -> BTreeSet<FileId> {
        let modules = self.linked.modules.iter();
        modules.filter(|m| m.name == crate::resolve::GATEWAY).map(|m| m.file).collect()
    }

    /// What a tenant's file claims, listens on and reads.
    pub(super) fn bounds(&mut self, out: &mut Outcome) {
        let modules = self.modules;
        let Some(tenancy) = modules.tenancy() else { return };
        let tenant = tenancy.tenant;
        let mut found = Vec::new();
        for (pattern, loc) in &out.claims {
            found.extend(owned(pattern, *loc, &tenancy));
        }
        for (site, _) in out.sites.iter().filter(|(site, _)| site.settings.default) {
            found.push(lint::g8001::default(site.loc, &tenant.name));
        }
        for (_, listener) in &out.listeners {
            found.push(lint::g8004::listener(listener.loc, &tenant.name));
        }
        let operators = self.operators();
        let mut named: Vec<(Arc<str>, Loc)> = Vec::new();
        for pool in self.pools.values().flatten() {
            named.extend(pool.secrets().map(|name| (Arc::clone(name), pool.loc)));
        }
        for (site, _) in &out.sites {
            named.extend(secrets_of(site));
        }
        for (name, loc) in named {
            if !operators.contains(&loc.file) && !tenant.reads(&name) {
                found.push(lint::g8003::not_its_own(loc, &name, &tenant.name, &tenant.secrets));
            }
        }
        found.into_iter().for_each(|d| self.report(d));
    }

    /// Bounds what a pool of a tenant's file dials; says so of what is written there already.
    pub(super) fn bound_pool(&mut self, module: ModIdx, pool: &mut ir::Pool) {
        let modules = self.modules;
        let Some(tenancy) = modules.tenancy() else { return };
        if self.linked.modules[module].name == crate::resolve::GATEWAY {
            return;
        }
        let dials = &tenancy.tenant.dials;
        for endpoint in &pool.endpoints {
            let refused = match endpoint.kind {
                EndpointKind::Unix => !dials.allows_socket(&endpoint.host),
                EndpointKind::Tcp => endpoint.host.parse::<IpAddr>().is_ok_and(|ip| !dials.allows(ip)),
                // Where it leads is seen when it is looked up.
                EndpointKind::Srv => false,
            };
            if refused {
                self.report(lint::g8002::outside(endpoint.loc, &crate::tree::words::endpoint(endpoint), dials));
            }
        }
        pool.dials = Some(Arc::clone(dials));
    }

    /// The policies that the operator puts around every site of this tenant: no `without` names them.
    pub(super) fn mandated(&mut self, b: &mut SiteBuild, chain: &mut Chain, acc: &mut ScopeAcc<'a>) {
        let modules = self.modules;
        let Some(tenancy) = modules.tenancy() else { return };
        let linked = self.linked;
        let Some(module) = linked.modules.iter().position(|m| m.name == crate::resolve::GATEWAY) else { return };
        for item in &linked.modules[module].parsed.ast.items {
            let ItemKind::Tenant { name, body } = &item.kind else { continue };
            if name.node != *tenancy.tenant.name {
                continue;
            }
            for stmt in &body.stmts {
                let StmtKind::Use { policy, args, when } = &stmt.kind else { continue };
                let mut frame = Frame::new(Env::top(module), Cond::Const(true));
                frame.id = u32::MAX;
                let loc = self.loc(module, stmt.span);
                self.use_policy(b, chain, &mut frame, acc, policy, args.as_deref(), when.as_ref(), loc);
            }
        }
    }
}

/// The secrets that a site's calls and sessions name.
fn secrets_of(site: &ir::Site) -> Vec<(Arc<str>, Loc)> {
    let mut out = Vec::new();
    out.extend(site.via.as_ref().and_then(|via| Some((Arc::clone(via.key.as_ref()?), via.loc))));
    for provider in &site.providers {
        out.extend(provider.secrets().map(|(name, _)| (Arc::clone(name), provider.loc)));
    }
    for call in &site.calls {
        out.extend(call.secrets().iter().map(|name| (Arc::clone(name), call.loc)));
    }
    out.extend(site.settings.handshake.secrets().map(|(name, loc)| (Arc::clone(name), loc)));
    for step in site.plans.iter().flat_map(|plan| &plan.steps) {
        if let Step::Session(session) = step
            && let Some(key) = session.key()
        {
            out.push((Arc::clone(key), session.loc));
        }
    }
    out
}

/// G8001 or G8005 for a claim that is not the tenant's (LANGUAGE rule 28).
fn owned(claim: &HostPattern, loc: Loc, tenancy: &ir::Tenancy<'_>) -> Option<crate::diagnostic::Diagnostic> {
    let mut algebra = Algebra::hosts();
    let tenant = tenancy.tenant;
    // The most specific of the patterns that hold all of the claim decides whose it is.
    let mut holder: Option<(&Tenant, &HostPattern)> = None;
    for of in tenancy.all {
        for (pattern, _) in &of.owns {
            if algebra.host_inside(claim, pattern) != Ok(true) {
                continue;
            }
            if holder.is_none_or(|(_, best)| algebra.host_inside(pattern, best) == Ok(true)) {
                holder = Some((of, pattern));
            }
        }
    }
    match holder {
        Some((of, _)) if of.name == tenant.name => return None,
        Some((of, pattern)) => {
            return Some(lint::g8001::of_another(loc, &claim.to_string(), tenant, &of.name, &pattern.to_string()));
        }
        None => {}
    }
    let wild = match &claim.head {
        HostHead::Many => true,
        HostHead::Label(label) => !matches!(label, Segment::Lit(_)),
    };
    let mut taken: Vec<(&str, String)> = Vec::new();
    for of in tenancy.all.iter().filter(|of| wild && of.name != tenant.name) {
        let host = of.owns.iter().find_map(|(pattern, _)| algebra.host_overlap(claim, pattern).ok().flatten());
        taken.extend(host.map(|host| (&*of.name, host)));
    }
    Some(match taken.first() {
        Some((_, host)) => lint::g8005::takes(loc, &claim.to_string(), &tenant.name, taken.len(), host),
        None => lint::g8001::not_owned(loc, &claim.to_string(), tenant),
    })
}
