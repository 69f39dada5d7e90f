//! `respond verdict`: what an `ask` said, passed on.

use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::lint;
use crate::syntax::ast::Expr;
use crate::syntax::span::Spanned;
use crate::tree::ir::{Answer, CallKind, Cond, Field, Test};

impl Checker<'_> {
    /// The answer that passes on what an `ask` said; `None` for what was reported, and for a parameter.
    pub(in crate::check) fn relay(&mut self, said: &Spanned<Expr>, env: &Env) -> Option<Answer> {
        let at = self.at(env, said.span);
        let val = self.eval(said, env, Some(&Ty::Bool));
        let found = match &val {
            Val::Cond(Cond::Test(Field::Call(index, _), Test::Present)) => {
                let call = self.asked.calls.get_mut(index.0 as usize)?;
                if matches!(call.kind, CallKind::Ask(_)) {
                    call.relayed = true;
                    return Some(Answer::Relay { call: *index });
                }
                format!("`{}`, which has no answer of its own", call.shown)
            }
            // An `ask` whose path has a capture that this pattern lacks is never asked.
            Val::Opaque(Ty::Bool | Ty::Unknown, _) => return None,
            Val::Cond(_) => "a condition".to_owned(),
            other => other.ty().0.noun(),
        };
        self.report(lint::g1005::nothing_said(at, &found));
        None
    }
}
