//! `use`: a policy's statements, put where it is used.

use super::route::{Chain, Frame, ScopeAcc, Tagged};
use super::site::SiteBuild;
use super::ty::{NAMES, Ty};
use super::val::Val;
use super::{Checker, Env, LocalKind};
use crate::lint;
use crate::resolve::{ModIdx, nearest};
use crate::syntax::ast::{self, Arg, Expr, ItemKind, Name};
use crate::syntax::span::{FileId, Loc, Spanned};
use crate::tree::ir::{Cond, PathPattern, Use};
use std::sync::Arc;

/// What a policy's name leads to.
pub(super) enum Found {
    Policy(ModIdx, usize),
    /// Reported.
    Nothing,
}

impl<'a> Checker<'a> {
    /// `use policy(args) [when cond]`
    #[expect(clippy::too_many_arguments, reason = "the parts of one statement and where it stands")]
    pub(super) fn use_policy(
        &mut self,
        b: &mut SiteBuild,
        chain: &mut Chain,
        frame: &mut Frame,
        acc: &mut ScopeAcc<'a>,
        policy: &'a Spanned<Name>,
        args: Option<&'a [Arg]>,
        when: Option<&'a Spanned<Expr>>,
        loc: Loc,
    ) {
        let name = Self::name_text(&policy.node);
        let name_loc = self.at(&frame.env, policy.span);
        let args = args.unwrap_or_default();
        let cond = match when {
            Some(when) => self.guard(when, chain, &frame.env),
            None => Cond::Const(true),
        };
        let number = b.uses.len();
        b.uses.push((name.clone(), frame.id));
        b.frames += 1;
        let mut inner = Frame {
            env: Env::top(frame.env.module),
            id: b.frames,
            tags: frame.tags.iter().copied().chain([number]).collect(),
            used: frame.used.clone().or(Some((name.clone(), loc))),
            when: super::cond::and(vec![frame.when.clone(), cond]),
            stack: frame.stack.clone(),
        };
        let found = self.find_policy(&policy.node, frame.env.module, name_loc);
        let declared = match found {
            Found::Policy(module, item) => {
                self.saw_item(&policy.node.parts, frame.env.module, module, item, None);
                self.declared(module, item)
            }
            Found::Nothing => (name_loc.file, name.as_str().into()),
        };
        let used =
            Use { name: name.as_str().into(), loc, policy: declared, when: inner.when.clone(), from: 0, through: 0 };
        chain.policies.push(Tagged { node: used, tags: inner.tags.clone() });
        let (module, item) = match found {
            Found::Policy(module, item) => (module, item),
            Found::Nothing => {
                for arg in args {
                    self.eval(&arg.value, &frame.env, None);
                }
                // It would have protected the block, as far as anybody can tell.
                self.protect(chain, &inner, acc, "use", format!("use {name}"), loc);
                return;
            }
        };
        if inner.stack.contains(&(module, item)) {
            self.report(lint::g1019::recursive(name_loc, "policy", &name));
            return;
        }
        let linked = self.linked;
        let ItemKind::Policy(def) = &linked.item(module, item).kind else { return };
        inner.stack.push((module, item));
        inner.env = self.bind_params(def, module, &name, args, &frame.env, loc);
        let outermost = inner.used.as_ref().map(|(_, loc)| *loc);
        let around = std::mem::replace(&mut self.asked.used, outermost);
        self.statements(b, &def.body.stmts, chain, &mut inner, acc);
        self.asked.used = around;
    }

    /// A policy as other files know it: the file that declares it, and its name there.
    pub(super) fn declared(&self, module: ModIdx, item: usize) -> (FileId, Arc<str>) {
        let name = crate::resolve::item_name(self.linked.item(module, item)).map_or("", |name| &name.node);
        (self.linked.modules[module].file, name.into())
    }

    /// What a policy's name means.
    pub(super) fn find_policy(&mut self, name: &Name, module: ModIdx, loc: Loc) -> Found {
        let m = &self.linked.modules[module];
        if self.linked.is_broken(module, &name.parts[0].node) {
            return Found::Nothing;
        }
        match name.parts.as_slice() {
            [only] => match m.policies.get(&only.node) {
                Some(&item) => Found::Policy(module, item),
                None => {
                    let mut known: Vec<String> = m.policies.keys().cloned().collect();
                    for (alias, &other) in &m.imports {
                        known.extend(self.linked.modules[other].policy_members().map(|p| format!("{alias}.{p}")));
                    }
                    let near = nearest(&only.node, known.iter().map(String::as_str)).map(str::to_owned).or_else(|| {
                        // `use secure-headers` for `use web.secure-headers`.
                        known.iter().find(|k| k.rsplit('.').next() == Some(&only.node)).cloned()
                    });
                    let mut d = lint::g1004::no_policy(loc, &only.node, near.as_deref());
                    if m.imports.contains_key(&only.node) {
                        d = d.note(format!("`{}` is a module: name one of its policies", only.node));
                    }
                    self.report(d);
                    Found::Nothing
                }
            },
            [alias, member] => {
                let Some(&other) = m.imports.get(&alias.node) else {
                    let near = nearest(&alias.node, m.imports.keys().map(String::as_str)).map(str::to_owned);
                    let at = self.loc(module, alias.span);
                    let std = crate::resolve::stdlib::names().find(|n| *n == alias.node);
                    self.report(lint::g1004::not_imported(at, &alias.node, near.as_deref(), std));
                    return Found::Nothing;
                };
                let target = &self.linked.modules[other];
                if self.linked.is_broken(other, &member.node) {
                    return Found::Nothing;
                }
                if let Some(item) = target.policy_member(&member.node) {
                    return Found::Policy(other, item);
                }
                let known = target.policy_members();
                let near = nearest(&member.node, known).map(str::to_owned);
                let d = lint::g1004::no_member(
                    self.loc(module, member.span),
                    &target.name,
                    "policy",
                    &member.node,
                    near.as_deref(),
                );
                self.report(d);
                Found::Nothing
            }
            _ => {
                let text = Self::name_text(name);
                self.report(lint::g1004::no_policy(loc, &text, None));
                Found::Nothing
            }
        }
    }

    /// Parameters as typed values: nothing of the caller's is visible inside but these.
    pub(super) fn bind_params(
        &mut self,
        def: &'a ast::Policy,
        module: ModIdx,
        name: &str,
        args: &'a [Arg],
        caller: &Env,
        loc: Loc,
    ) -> Env {
        let mut env = Env::top(module);
        let names: Vec<&str> = def.params.iter().map(|p| p.name.node.as_str()).collect();
        self.saw_args(args, caller, &def.params, module);
        let bound = self.match_args(name, &names, args, caller);
        for (param, arg) in def.params.iter().zip(bound) {
            let (ty, optional) = self.param_type(param, module);
            let what = format!("`{}`", param.name.node);
            let val = match (arg, &param.default) {
                (Some(arg), _) => {
                    let val = self.eval(&arg.value, caller, Some(&ty));
                    let at = self.at(caller, arg.value.span);
                    self.coerce(&what, &ty, optional, val, at)
                }
                (None, Some(default)) => self.default(&what, &ty, optional, default, module),
                (None, None) if optional => Val::Absent(ty.clone()),
                (None, None) => {
                    self.report(lint::g1021::missing(loc, name, &param.name.node, Some(&ty.noun())));
                    Val::Opaque(ty.clone(), false)
                }
            };
            self.bind(&mut env, &param.name, val, LocalKind::Param);
        }
        env
    }

    fn default(&mut self, what: &str, ty: &Ty, optional: bool, default: &'a Spanned<Expr>, module: ModIdx) -> Val {
        let env = Env::top(module);
        let val = self.eval(default, &env, Some(ty));
        let at = self.at(&env, default.span);
        self.coerce(what, ty, optional, val, at)
    }

    fn param_type(&mut self, param: &ast::Param, module: ModIdx) -> (Ty, bool) {
        let Some(written) = &param.ty else { return (Ty::Unknown, false) };
        Ty::parse(&written.node).unwrap_or_else(|| {
            let at = self.loc(module, written.span);
            self.report(lint::g1005::no_type(at, &written.node, nearest(&written.node, NAMES.iter().copied())));
            (Ty::Unknown, false)
        })
    }

    /// A policy of this file by itself: what it says is checked whether or not it is used.
    pub(super) fn policy_alone(&mut self, index: usize, def: &'a ast::Policy) {
        let loc = self.loc(0, def.name.span);
        let mut env = Env::top(0);
        for param in &def.params {
            let (ty, optional) = self.param_type(param, 0);
            if let Some(default) = &param.default {
                self.default(&format!("`{}`", param.name.node), &ty, optional, default, 0);
            }
            self.bind(&mut env, &param.name, Val::Opaque(ty, optional), LocalKind::Param);
        }
        let mut b = SiteBuild::new(0);
        b.uses.push((def.name.node.clone(), 0));
        b.frames = 1;
        let mut frame = Frame::new(env, Cond::Const(true));
        frame.id = 1;
        frame.tags = vec![0];
        frame.stack = vec![(0, index)];
        let pattern = PathPattern { segments: Vec::new(), splat: true };
        let mut acc = ScopeAcc::new(pattern, false);
        let mut chain = Chain::default();
        let name = Arc::from(def.name.node.as_str());
        let used = Use { name, loc, policy: self.declared(0, index), when: Cond::Const(true), from: 0, through: 0 };
        chain.policies.push(Tagged { node: used, tags: vec![0] });
        let braces = self.loc(0, def.body.span);
        self.alone = true;
        self.block(&mut b, &def.body, &chain, &frame, &mut acc, loc, braces, None);
        self.alone = false;
    }
}
