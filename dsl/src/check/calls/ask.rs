//! `ask(pool, GET /path/{x}, within: 500ms, copy: [x-user], failed: no, keep: 30s, per: cookie.sid)`

use super::{Given, shown_arg};
use crate::check::template::Place;
use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Arg, Expr};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Ask, CallKind, Keep, Value};
use crate::tree::upstream_text::duration;
use std::sync::Arc;

/// Until the head of the answer where nothing is written, milliseconds.
const WITHIN_MS: u64 = 1000;
/// A request that waits longer for an answer has none, milliseconds.
const MOST_WITHIN_MS: u64 = 60_000;
/// An answer is not kept for longer, milliseconds: who is let in no more shall not be for a day.
const MOST_KEEP_MS: u64 = 3_600_000;
/// A question has no body.
const METHODS: &[&str] = &["GET", "HEAD", "POST"];

impl<'a> Checker<'a> {
    /// Whether another service says yes.
    pub(super) fn ask(&mut self, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let nothing = Val::Opaque(Ty::Bool, false);
        let given =
            self.call_args("ask", 2, &["pool", "request", "within", "copy", "failed", "keep", "per"], args, env);
        let [pool, request, within, copy, failed, keep, per] = given.as_slice() else { return nothing };
        let pool = self.needed(*pool, "ask", "pool", "a pool", loc).map(|arg| self.whom(arg, env));
        let request = self.needed(*request, "ask", "request", "a request, as in `GET /verify`", loc);
        let request = request.map(|arg| self.question(arg, env));
        let within_ms = within.map_or(Given::There(WITHIN_MS), |arg| self.within_bounds(arg, env));
        let copy = copy.map_or(Given::There(Vec::new()), |arg| self.copied(arg, env));
        let failed = match failed {
            None => Some(None),
            Some(arg) => self.call_word("failed", arg, &[("yes", true), ("no", false)], env).map(Some),
        };
        let keep = self.kept(*keep, *per, env, loc);
        let (Some(Given::There(pool)), Some(Given::There((method, at))), Some(within_ms), Some(copy), Some(failed)) =
            (pool, request, within_ms.there(), copy.there(), failed)
        else {
            return nothing;
        };
        let Some(keep) = keep.there() else { return nothing };
        let (index, name) = pool;
        let path = at.to_string();
        let shown = format!(
            "ask({name}, {method} {}{}{})",
            path.trim_matches('"'),
            shown_arg("failed", failed.map(|yes| if yes { "yes" } else { "no" }).as_ref().map(|v| v as _)),
            shown_arg("keep", keep.as_ref().map(|keep| duration(keep.for_ms)).as_ref().map(|v| v as _)),
        );
        let call = Ask { pool: index, method, at, within_ms, copy, failed, keep };
        Val::Cond(self.truth_of_call(CallKind::Ask(call), shown, loc))
    }

    fn whom(&mut self, arg: &Arg, env: &Env) -> Given<(crate::tree::ir::PoolIdx, String)> {
        let at = self.at(env, arg.value.span);
        match self.eval(&arg.value, env, Some(&Ty::Pool)) {
            Val::Pool(module, item) => match self.pool(module, item) {
                Some(pool) => Given::There((self.asked_pool((module, item), at), pool.name.to_string())),
                None => Given::Broken,
            },
            Val::Opaque(..) => Given::Opaque,
            other => {
                self.report(lint::g1005::wrong(at, "`ask` asks", &Ty::Pool.noun(), &other.ty().0.noun()));
                Given::Broken
            }
        }
    }

    /// `GET /verify/{x}`, or a path alone.
    fn question(&mut self, arg: &Arg, env: &Env) -> Given<(Arc<str>, Value)> {
        let at = self.at(env, arg.value.span);
        let (method, val) = match &arg.value.node {
            Expr::Request { method, path } => {
                if !METHODS.contains(&method.node.as_str()) {
                    let near = nearest(&method.node, METHODS.iter().copied());
                    self.report(lint::g1024::one_of(self.at(env, method.span), "ask", METHODS, near));
                    return Given::Broken;
                }
                (method.node.as_str(), self.template_val(path, Ty::Path, env))
            }
            _ => ("GET", self.eval(&arg.value, env, Some(&Ty::Path))),
        };
        let (ty, _) = val.ty();
        if matches!(val, Val::Opaque(Ty::Path | Ty::Text | Ty::Unknown, _)) {
            return Given::Opaque;
        }
        if !matches!(ty, Ty::Path | Ty::Text) {
            self.report(lint::g1005::wrong(at, "`ask` takes", "a request, as in `GET /verify`", &ty.noun()));
            return Given::Broken;
        }
        let known = self.asked.known.clone();
        match self.place(&val, Place::Path, &known, at) {
            Some(value) => Given::There((method.into(), value)),
            None => Given::Broken,
        }
    }

    /// `keep: 30s, per: cookie.sid` or `per: [cookie.sid, request.path]`: both or none.
    fn kept(&mut self, keep: Option<&Arg>, per: Option<&Arg>, env: &Env, loc: Loc) -> Given<Option<Keep>> {
        let (keep, per) = match (keep, per) {
            (None, None) => return Given::There(None),
            (Some(keep), Some(per)) => (keep, per),
            (Some(_), None) => {
                let what = "what requests with the same answer have in common, as in `per: cookie.sid`";
                self.report(lint::g1021::missing(loc, "ask", "per", Some(what)));
                return Given::Broken;
            }
            (None, Some(_)) => {
                self.report(lint::g1021::missing(loc, "ask", "keep", Some("a time, as in `keep: 30s`")));
                return Given::Broken;
            }
        };
        let for_ms = match self.call_duration("keep", keep, env) {
            Given::There(ms) if (1..=MOST_KEEP_MS).contains(&ms) => ms,
            Given::There(_) => {
                let at = self.at(env, keep.value.span);
                self.report(lint::g1024::range(at, "`keep` takes a duration of more than 0 and at most 1h"));
                return Given::Broken;
            }
            Given::Opaque | Given::Absent => return Given::Opaque,
            Given::Broken => return Given::Broken,
        };
        let parts: Vec<Arg> = match &per.value.node {
            Expr::List(items) => items.iter().map(|item| Arg { name: None, value: item.clone() }).collect(),
            _ => vec![Arg { name: None, value: per.value.clone() }],
        };
        let mut values = Vec::new();
        for part in &parts {
            match self.call_text("ask", "per", part, env) {
                Given::There(value) => values.push(value),
                Given::Opaque => return Given::Opaque,
                // A capture that this pattern does not have: nothing is kept by it.
                Given::Absent => return Given::There(None),
                Given::Broken => return Given::Broken,
            }
        }
        Given::There(Some(Keep { for_ms, per: values }))
    }

    fn within_bounds(&mut self, arg: &Arg, env: &Env) -> Given<u64> {
        let given = self.call_duration("within", arg, env);
        if let Given::There(ms) = given
            && !(1..=MOST_WITHIN_MS).contains(&ms)
        {
            let at = self.at(env, arg.value.span);
            self.report(lint::g1024::range(at, "`within` takes a duration of more than 0 and at most 1m"));
            return Given::Broken;
        }
        given
    }

    /// `copy: [x-user, x-groups]`: headers, in lower case.
    fn copied(&mut self, arg: &Arg, env: &Env) -> Given<Vec<Arc<str>>> {
        let items: Vec<(Spanned<Expr>, Option<Val>)> = match &arg.value.node {
            Expr::List(items) => items.iter().map(|item| (item.clone(), None)).collect(),
            _ => match self.eval(&arg.value, env, None) {
                Val::List(items) => items.into_iter().map(|(val, _)| (arg.value.clone(), Some(val))).collect(),
                Val::Opaque(Ty::List(_) | Ty::Unknown, _) => return Given::Opaque,
                _ => {
                    let at = self.at(env, arg.value.span);
                    self.report(lint::g1024::shape(at, "copy:", "a list of headers, as in `copy: [x-user]`"));
                    return Given::Broken;
                }
            },
        };
        let mut names: Vec<Arc<str>> = Vec::new();
        for (item, val) in items {
            let at = self.at(env, item.span);
            let bare = match &item.node {
                Expr::Name(name) if name.parts.len() == 1 && env.local(&name.parts[0].node).is_none() => {
                    Some(name.parts[0].node.clone())
                }
                _ => None,
            };
            let name = match (bare, val) {
                (Some(name), _) => name,
                (None, val) => match val.unwrap_or_else(|| self.eval(&item, env, Some(&Ty::Text))) {
                    Val::Text(text) => text.to_string(),
                    Val::Opaque(Ty::Text | Ty::Unknown, _) => return Given::Opaque,
                    other => {
                        self.report(lint::g1005::wrong(at, "`copy` takes", "names of headers", &other.ty().0.noun()));
                        return Given::Broken;
                    }
                },
            };
            let Some(name) = self.editable_header(&name, crate::syntax::ast::Side::Request, at) else {
                return Given::Broken;
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Given::There(names)
    }
}
