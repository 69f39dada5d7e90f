//! Calls: tokens, signatures, secrets, other services. Those that are written the same in a site are one.

mod api_key;
mod ask;
mod body;
mod jwt;
mod lines;
mod password;
mod pure;
mod relay;
mod secret;
mod session;
mod signed;

pub(crate) use body::{BODY_CALLS, BODY_PARTS};

use super::cond::{plain, present_when};
use super::l4;
use super::site::SiteBuild;
use super::ty::Ty;
use super::val::Val;
use super::{Checker, Env};
use crate::lint;
use crate::resolve::{ModIdx, nearest};
use crate::syntax::ast::{Arg, Expr};
use crate::syntax::span::Loc;
use crate::tree::ir::{Call, CallIdx, CallKind, Cond, Field, Part, PoolIdx, Provider, ProviderIdx, Test, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The calls of the site at hand.
#[derive(Debug, Default)]
pub(super) struct Asked {
    calls: Vec<Call>,
    /// By how they are shown.
    shown: BTreeMap<Arc<str>, Vec<CallIdx>>,
    /// The pools that they ask: calls know them by their place here until the site is done.
    pools: Vec<((ModIdx, usize), Loc)>,
    /// The providers that calls and answers name, numbered as the site numbers them.
    providers: Vec<Arc<Provider>>,
    /// How often a call was made: what was evaluated between two equal counts makes none.
    pub(super) made: u64,
    /// Top-level `let`s that make one: they are evaluated anew for the next site.
    pub(super) lets: Vec<(ModIdx, usize)>,
    /// Fields that are there where an expression is evaluated.
    pub(super) known: Vec<Field>,
    /// The outermost `use` whose policy is read.
    pub(super) used: Option<Loc>,
}

impl Asked {
    /// What a call asks.
    pub(super) fn kind(&self, call: CallIdx) -> Option<&CallKind> {
        self.calls.get(call.0 as usize).map(|call| &call.kind)
    }
}

impl<'a> Checker<'a> {
    /// Forgets the calls of the site before.
    pub(super) fn begin_calls(&mut self) {
        let before = std::mem::take(&mut self.asked);
        for of_site in before.lets {
            self.lets.remove(&of_site);
        }
    }

    /// The calls of a site that was read, their pools numbered as the site numbers them; and its providers.
    pub(super) fn end_calls(&mut self, b: &mut SiteBuild) -> (Vec<Arc<Call>>, Vec<Arc<Provider>>) {
        let pools = std::mem::take(&mut self.asked.pools);
        let index: Vec<Option<PoolIdx>> = pools.into_iter().map(|(at, loc)| self.pool_index(b, at, loc)).collect();
        let mut calls = std::mem::take(&mut self.asked.calls);
        for call in &mut calls {
            if let CallKind::Ask(ask) = &mut call.kind
                // A pool that cannot be read was reported, and its call was not made.
                && let Some(pool) = index.get(ask.pool.0 as usize).copied().flatten()
            {
                ask.pool = pool;
            }
        }
        let providers = std::mem::take(&mut self.asked.providers);
        self.begin_calls();
        (calls.into_iter().map(Arc::new).collect(), providers)
    }

    /// Where people find what a call asks for: in a policy of the standard library they said it by its `use`.
    fn said_at(&self, loc: Loc) -> Loc {
        let of_std = |used: &Loc| {
            let module = self.linked.modules.iter().find(|module| module.file == loc.file);
            used.file != loc.file && module.is_some_and(|module| module.path.starts_with("std/"))
        };
        self.asked.used.filter(of_std).unwrap_or(loc)
    }

    /// The field that a call is.
    fn made_call(&mut self, kind: CallKind, shown: String, loc: Loc) -> Field {
        let loc = self.said_at(loc);
        self.asked.made += 1;
        let shown: Arc<str> = shown.into();
        let same = self.asked.shown.entry(Arc::clone(&shown)).or_default();
        let known = same.iter().copied().find(|call| self.asked.calls[call.0 as usize].kind == kind);
        let index = known.unwrap_or_else(|| {
            let index = CallIdx(u32::try_from(self.asked.calls.len()).unwrap_or(u32::MAX));
            self.asked.calls.push(Call { kind, shown: Arc::clone(&shown), loc, relayed: false });
            same.push(index);
            index
        });
        Field::Call(index, shown)
    }

    /// A call as a condition.
    fn truth_of_call(&mut self, kind: CallKind, shown: String, loc: Loc) -> Cond {
        Cond::Test(self.made_call(kind, shown, loc), Test::Present)
    }

    /// The number under which a call asks a pool.
    fn asked_pool(&mut self, at: (ModIdx, usize), loc: Loc) -> PoolIdx {
        let pools = &mut self.asked.pools;
        let index = pools.iter().position(|(pool, _)| *pool == at).unwrap_or_else(|| {
            pools.push((at, loc));
            pools.len() - 1
        });
        PoolIdx(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The number of a provider in the site at hand.
    pub(super) fn provider_index(&mut self, provider: &Arc<Provider>) -> ProviderIdx {
        let known = &mut self.asked.providers;
        let index = known.iter().position(|p| p.means(provider)).unwrap_or_else(|| {
            known.push(Arc::clone(provider));
            known.len() - 1
        });
        ProviderIdx(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Fields that are there whenever a condition holds: a call says yes only where what it reads is.
    pub(super) fn facts(&self, cond: &Cond) -> Vec<Field> {
        let mut facts = present_when(cond);
        let mut implied = Vec::new();
        for fact in &facts {
            let Field::Call(call, _) = fact else { continue };
            // What an answer is kept by may be missing: its service is asked each time then.
            let says_yes = self.asked.kind(*call).filter(|kind| kind.ask().is_none());
            implied.extend(says_yes.into_iter().flat_map(CallKind::values).flat_map(Value::fields).cloned());
        }
        facts.append(&mut implied);
        facts
    }

    /// The calls of other services that a condition reads.
    pub(super) fn asks_in(&self, cond: &Cond) -> Vec<&crate::tree::ir::Ask> {
        let mut read = Vec::new();
        l4::fields(cond, &mut read);
        let calls = read.iter().filter_map(|field| match field {
            Field::Call(call, _) => self.asked.kind(*call),
            _ => None,
        });
        calls.filter_map(CallKind::ask).collect()
    }

    /// Arguments by parameter: so many may stand without the parameter's name.
    pub(super) fn call_args<'x>(
        &mut self,
        callee: &str,
        bare: usize,
        params: &[&str],
        args: &'x [Arg],
        env: &Env,
    ) -> Vec<Option<&'x Arg>> {
        for (n, arg) in args.iter().filter(|arg| arg.name.is_none()).enumerate() {
            if (bare..params.len()).contains(&n) {
                let at = self.at(env, arg.value.span);
                self.report(lint::g1021::unnamed(at, callee, params[n]));
            }
        }
        self.match_args(callee, params, args, env)
    }

    /// An argument that must be there; said of the whole call where it is not.
    fn needed<'x>(&mut self, arg: Option<&'x Arg>, callee: &str, param: &str, what: &str, loc: Loc) -> Option<&'x Arg> {
        if arg.is_none() {
            self.report(lint::g1021::missing(loc, callee, param, Some(what)));
        }
        arg
    }

    /// A text that a call reads. What of it may be missing makes the call a no.
    fn call_text(&mut self, callee: &str, param: &str, arg: &Arg, env: &Env) -> Given<Value> {
        let at = self.at(env, arg.value.span);
        let val = self.eval(&arg.value, env, Some(&Ty::Text));
        match &val {
            Val::Opaque(Ty::Secret, _) | Val::Secret(_) => {
                self.report(lint::g3015::leaves(at));
                return Given::Broken;
            }
            Val::Opaque(..) => return Given::Opaque,
            Val::Absent(_) => return Given::Absent,
            _ => {}
        }
        let (ty, _) = val.ty();
        match plain(&val).filter(|_| ty.is_text() || matches!(ty, Ty::Int | Ty::Ip)) {
            Some(value) => Given::There(value),
            None => {
                let what = format!("`{param}` of `{callee}` takes");
                self.report(lint::g1005::wrong(at, &what, &Ty::Text.noun(), &ty.noun()));
                Given::Broken
            }
        }
    }

    /// A text that a call compares with: always there.
    fn call_constant(&mut self, callee: &str, param: &str, arg: &Arg, env: &Env) -> Given<Value> {
        let given = self.call_text(callee, param, arg, env);
        if let Given::There(value) = &given {
            let may_miss = |field: &Field| {
                !matches!(field, Field::Host | Field::Method | Field::Path | Field::Uri | Field::ClientIp)
                    && !self.asked.known.contains(field)
            };
            let missing = value.parts.iter().any(|part| matches!(part, Part::Hole { field, .. } if may_miss(field)));
            let val_misses = missing && self.eval(&arg.value, env, Some(&Ty::Text)).ty().1;
            if val_misses {
                let at = self.at(env, arg.value.span);
                self.report(lint::g1012::argument(at, &format!("`{param}`")));
                return Given::Broken;
            }
        }
        given
    }

    /// A bare word of a fixed set, such as `yes` or `HS256`; reported when it is none of them.
    fn call_word<T: Copy>(&mut self, param: &str, arg: &Arg, words: &[(&str, T)], env: &Env) -> Option<T> {
        let at = self.at(env, arg.value.span);
        let written = match &arg.value.node {
            Expr::Name(name) => Self::name_text(name),
            Expr::Bool(true) => "yes".to_owned(),
            Expr::Bool(false) => "no".to_owned(),
            _ => String::new(),
        };
        if let Some((_, meant)) = words.iter().find(|(word, _)| *word == written) {
            return Some(*meant);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let near = nearest(&written, known.iter().copied());
        self.report(lint::g1024::one_of(at, &format!("{param}:"), &known, near));
        None
    }

    /// A duration that is written out.
    fn call_duration(&mut self, param: &str, arg: &Arg, env: &Env) -> Given<u64> {
        let at = self.at(env, arg.value.span);
        match self.eval(&arg.value, env, Some(&Ty::Duration)) {
            Val::Duration(ms) => Given::There(ms),
            Val::Opaque(..) => Given::Opaque,
            other => {
                let what = format!("`{param}` takes");
                self.report(lint::g1005::wrong(at, &what, &Ty::Duration.noun(), &other.ty().0.noun()));
                Given::Broken
            }
        }
    }
}

/// What an argument came to.
enum Given<T> {
    /// This.
    There(T),
    /// A parameter of a policy that is checked by itself: nothing is known of it.
    Opaque,
    /// A capture that the pattern at hand does not have.
    Absent,
    /// Reported.
    Broken,
}

impl<T> Given<T> {
    fn there(self) -> Option<T> {
        match self {
            Self::There(value) => Some(value),
            Self::Opaque | Self::Absent | Self::Broken => None,
        }
    }
}

/// `, name: value` of an argument that was written.
fn shown_arg(name: &str, value: Option<&dyn std::fmt::Display>) -> String {
    value.map(|value| format!(", {name}: {value}")).unwrap_or_default()
}
