//! `is not` in a `require`: it also holds for what is missing, which G1016 says.

use super::cond::present_when;
use super::val::Val;
use super::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{CmpOp, Expr};
use crate::syntax::span::Spanned;
use crate::tree::ir::{Cond, Field};

impl Checker<'_> {
    /// Looks for comparisons that a missing value passes. `known` are fields that are there.
    pub(super) fn negations(&mut self, cond: &Spanned<Expr>, test: &Cond, known: &[Field], env: &Env) {
        // What other files say is said to who writes them.
        if env.module == 0 {
            let known: Vec<Field> = known.iter().cloned().chain(present_when(test)).collect();
            self.negations_in(cond, false, test, &known, env);
        }
    }

    fn negations_in(&mut self, e: &Spanned<Expr>, wrap: bool, whole: &Cond, known: &[Field], env: &Env) {
        match &e.node {
            Expr::And(all) => all.iter().for_each(|e| self.negations_in(e, false, whole, known, env)),
            Expr::Or(all) => all.iter().for_each(|e| self.negations_in(e, true, whole, known, env)),
            Expr::Paren(inner) => self.negations_in(inner, false, whole, known, env),
            Expr::Compare { left, op, .. } if matches!(op.node, CmpOp::IsNot | CmpOp::NotIn) => {
                let Expr::Name(_) = &left.node else { return };
                let Val::Field { field, optional: true, .. } = self.eval(left, env, None) else { return };
                let may_miss = matches!(field, Field::Header(_) | Field::Cookie(_) | Field::Query(_));
                if !may_miss || known.contains(&field) {
                    return;
                }
                let Some(written) = self.text.get(e.span.range()) else { return };
                if let Some(d) = lint::g1016::missing(self.at(env, e.span), &field, written, wrap, whole) {
                    self.report(d);
                }
            }
            _ => {}
        }
    }
}
