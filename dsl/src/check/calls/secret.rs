//! `secret.NAME`: into keys, and into comparisons in constant time (LANGUAGE rule 23).

use super::Given;
use crate::check::cond::plain;
use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{Arg, CmpOp, Ident};
use crate::syntax::span::Loc;
use crate::tree::ir::{CallKind, Cond, Part, SecretTest};
use std::sync::Arc;

impl<'a> Checker<'a> {
    /// `secret.NAME`: whose name it is, nothing more.
    pub(in crate::check) fn secret(&mut self, rest: &[Ident], loc: Loc) -> Val {
        match rest {
            [name] => {
                self.unsupported("secret", loc);
                Val::Secret(name.node.as_str().into())
            }
            [] => {
                self.report(lint::g1003::unknown_name(loc, "secret", None).note("name one of them: `secret.NAME`"));
                Val::Opaque(Ty::Secret, false)
            }
            [name, ..] => {
                self.report(lint::g1004::no_members(loc, &name.node, &Ty::Secret.noun()));
                Val::Opaque(Ty::Secret, false)
            }
        }
    }

    /// A comparison with a secret; `None` where neither side is one.
    pub(in crate::check) fn secret_compared(
        &mut self,
        (l, left): (&Val, Loc),
        op: CmpOp,
        (r, right): (&Val, Loc),
        loc: Loc,
    ) -> Option<Cond> {
        let (value, at, name) = match (l, r) {
            (Val::Secret(_), Val::Secret(_)) => {
                self.report(lint::g1005::secrets(loc));
                return Some(Cond::Const(true));
            }
            (value, Val::Secret(name)) => (value, left, Arc::clone(name)),
            (Val::Secret(name), value) if matches!(op, CmpOp::Is | CmpOp::IsNot) => (value, right, Arc::clone(name)),
            (Val::Secret(_), _) => {
                self.report(lint::g3015::compared(left));
                return Some(Cond::Const(true));
            }
            _ => return None,
        };
        let cond = match op {
            CmpOp::Is | CmpOp::IsNot => self.secret_test(value, at, name, false),
            CmpOp::In | CmpOp::NotIn => self.secret_test(value, at, name, true),
            _ => {
                self.report(lint::g3015::compared(loc));
                return Some(Cond::Const(true));
            }
        };
        Some(if matches!(op, CmpOp::IsNot | CmpOp::NotIn) { crate::check::cond::not(cond) } else { cond })
    }

    /// `value is secret.x`, or with any line of it.
    pub(in crate::check) fn secret_test(&mut self, val: &Val, loc: Loc, secret: Arc<str>, any_line: bool) -> Cond {
        match val {
            Val::Opaque(..) => return Cond::Const(true),
            Val::Absent(_) => return Cond::Const(false),
            _ => {}
        }
        let made = |parts: &[Part]| parts.iter().any(|part| matches!(part, Part::Hole { .. }));
        let ty = val.ty().0;
        let Some(value) = plain(val).filter(|value| ty.is_text() && made(&value.parts)) else {
            let want = "a text of the request";
            self.report(lint::g1005::wrong(loc, "a secret is compared with", want, &ty.noun()));
            return Cond::Const(true);
        };
        let shown = format!("{value} {} secret.{secret}", if any_line { "in" } else { "is" });
        self.truth_of_call(CallKind::Secret(SecretTest { value, secret, any_line }), shown, loc)
    }

    /// `key: secret.x`, `key: [secret.new, secret.old]`: the names.
    pub(super) fn keys(&mut self, arg: &Arg, env: &Env) -> Given<Vec<Arc<str>>> {
        let loc = self.at(env, arg.value.span);
        let val = self.eval(&arg.value, env, Some(&Ty::Secret));
        let items = match val {
            Val::List(items) => items,
            other => vec![(other, loc)],
        };
        let mut names = Vec::new();
        for (item, at) in items {
            match item {
                Val::Secret(name) if !names.contains(&name) => names.push(name),
                Val::Secret(_) => {}
                Val::Opaque(Ty::Secret | Ty::Unknown | Ty::List(_), _) => return Given::Opaque,
                Val::Text(_) => {
                    self.report(lint::g3016::key(at));
                    return Given::Broken;
                }
                other => {
                    self.report(lint::g1005::wrong(
                        at,
                        "`key` takes",
                        "a secret, as in `secret.name`",
                        &other.ty().0.noun(),
                    ));
                    return Given::Broken;
                }
            }
        }
        if names.is_empty() {
            self.report(lint::g1005::wrong(loc, "`key` takes", "a secret, as in `secret.name`", "an empty list"));
            return Given::Broken;
        }
        Given::There(names)
    }

    /// `key: secret.x`: one name.
    pub(in crate::check) fn one_key(&mut self, arg: &Arg, env: &Env) -> Option<Option<Arc<str>>> {
        match self.keys(arg, env) {
            Given::There(names) => match names.as_slice() {
                [one] => Some(Some(Arc::clone(one))),
                _ => {
                    let at = self.at(env, arg.value.span);
                    self.report(lint::g1024::range(
                        at,
                        "one key signs: keys that only verify stand in `jwt(…, key: […])`",
                    ));
                    None
                }
            },
            Given::Opaque => Some(None),
            Given::Absent | Given::Broken => None,
        }
    }
}
