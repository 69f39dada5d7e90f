//! `cost 10`, `cost request.size if missing 1`, `cost 5 when method is POST, 10 on [401, 403]`: as how many a
//! request counts.

use super::word;
use crate::check::cond::plain;
use crate::check::route::Chain;
use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{Expr, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Cond, Field, Missing, Part, Value};

/// What requests cost.
#[derive(Default)]
pub(super) struct Costs {
    /// Where no case holds; 1 where none is written.
    pub(super) base: Option<Value>,
    /// `N when COND`, in order.
    pub(super) when: Vec<(Cond, Value)>,
    /// `N on STATUSES`, in order, each with its place.
    pub(super) on: Vec<(Vec<u16>, u32, Loc)>,
    /// Where the dearest that is a number of the file stands.
    dearest: Option<(u32, Loc)>,
}

impl Costs {
    /// The most that the file says, and where.
    pub(super) fn dearest(&self) -> Option<(u32, Loc)> {
        self.dearest
    }
}

impl<'a> Checker<'a> {
    /// The cases behind `cost`, and the words after them.
    pub(super) fn costs<'w>(
        &mut self,
        words: &'w [Spanned<Word>],
        env: &Env,
        chain: &Chain,
        known: &[Field],
    ) -> Option<(Costs, &'w [Spanned<Word>])> {
        let (mut out, mut rest) = (Costs::default(), words);
        let several = words.iter().any(|word| matches!(word.node, Word::Comma | Word::When)) || on(words.get(1));
        while let Some((value, after)) = rest.split_first() {
            let at = self.at(env, value.span);
            rest = after;
            let made = self.cost(value, &mut rest, env, known, several)?;
            if let Some(number) = number(&made) {
                out.dearest = out.dearest.filter(|(most, _)| *most >= number).or(Some((number, at)));
            }
            match rest {
                [Spanned { node: Word::When, .. }, Spanned { node: Word::Value(cond), span }, after @ ..] => {
                    if out.base.is_some() {
                        return self.never_reached(at);
                    }
                    let cond = self.guard(&Spanned::new(cond.clone(), *span), chain, env);
                    out.when.push((cond, made));
                    rest = after;
                }
                [head, after @ ..] if on(Some(head)) => {
                    let place = self.at(env, head.span);
                    let Some(cost) = number(&made) else {
                        let rule = "what an answer costs is a number of the file: `cost 10 on [401, 403]`";
                        self.report(lint::g1024::range(at, rule));
                        return None;
                    };
                    let statuses = self.limit_statuses(after.first(), place, env)?;
                    out.on.push((statuses, cost, place));
                    rest = &after[1..];
                }
                _ if out.base.is_some() => return self.never_reached(at),
                _ => out.base = Some(made),
            }
            match rest {
                [Spanned { node: Word::Comma, .. }, after @ ..] if !after.is_empty() => rest = after,
                _ => break,
            }
        }
        Some((out, rest))
    }

    fn never_reached<T>(&mut self, at: Loc) -> Option<T> {
        let rule = "the first case that holds is what a request costs, and one before this always holds";
        self.report(lint::g1024::range(at, rule));
        None
    }

    /// The statuses behind `on`, sorted; one at least.
    pub(super) fn limit_statuses(&mut self, written: Option<&Spanned<Word>>, at: Loc, env: &Env) -> Option<Vec<u16>> {
        let Some(Spanned { node: Word::Value(expr), span }) = written else {
            self.report(lint::g1024::shape(at, "on", "statuses, as in `on [401, 403]`"));
            return None;
        };
        let statuses = self.statuses(&Spanned::new(expr.clone(), *span), env, "on");
        // What is wrong with it was reported, save that it is empty.
        if statuses.is_empty() && matches!(expr, Expr::List(items) if items.is_empty()) {
            self.report(lint::g1024::shape(at, "on", "statuses, as in `on [401, 403]`"));
        }
        (!statuses.is_empty()).then_some(statuses)
    }

    /// `10`, `request.size if missing 1`
    fn cost(
        &mut self,
        value: &Spanned<Word>,
        rest: &mut &[Spanned<Word>],
        env: &Env,
        known: &[Field],
        several: bool,
    ) -> Option<Value> {
        let at = self.at(env, value.span);
        let mut made = self.cost_of(value, env, known, several)?;
        let missing = made.1;
        let settled = match rest {
            [a, b, c, after @ ..] if word(a).as_deref() == Some("if") && word(b).as_deref() == Some("missing") => {
                *rest = after;
                Some(self.cost_of(c, env, known, several).filter(|(_, missing)| !missing)?.0)
            }
            _ => None,
        };
        match (missing, settled) {
            (false, _) => {}
            (true, Some(settled)) => {
                for part in &mut made.0.parts {
                    if let Part::Hole { if_missing, .. } = part {
                        *if_missing = Some(Box::new(Missing::Value(settled.clone())));
                    }
                }
            }
            (true, None) => {
                self.report(lint::g1012::cost(at));
                return None;
            }
        }
        Some(made.0)
    }

    /// A number of the file or of the request, and whether it can be missing. Where there are cases, one may cost
    /// nothing.
    fn cost_of(&mut self, value: &Spanned<Word>, env: &Env, known: &[Field], several: bool) -> Option<(Value, bool)> {
        let at = self.at(env, value.span);
        let Word::Value(expr) = &value.node else {
            self.report(lint::g1024::shape(at, "cost", "a number"));
            return None;
        };
        let val = self.eval(&Spanned::new(expr.clone(), value.span), env, Some(&Ty::Int));
        match &val {
            Val::Int(n) => {
                let n = if several && *n == 0 { 0 } else { self.counted(*n, at, "`cost`")? };
                Some((Value { parts: vec![Part::Text(n.to_string().into())] }, false))
            }
            Val::Field { field, ty: Ty::Int | Ty::Size, optional, .. } => {
                let missing = *optional && !known.contains(field);
                plain(&val).map(|value| (value, missing))
            }
            Val::Opaque(..) => None,
            other => {
                self.report(lint::g1005::wrong(at, "`cost` takes", &Ty::Int.noun(), &other.ty().0.noun()));
                None
            }
        }
    }

    pub(super) fn word_int(&mut self, value: &Spanned<Word>, env: &Env, what: &str) -> Option<i64> {
        let at = self.at(env, value.span);
        let Word::Value(expr) = &value.node else {
            self.report(lint::g1024::shape(at, what, "a number"));
            return None;
        };
        match self.eval(&Spanned::new(expr.clone(), value.span), env, Some(&Ty::Int)) {
            Val::Int(n) => Some(n),
            Val::Opaque(..) => None,
            other => {
                let found = other.ty().0.noun();
                self.report(lint::g1005::wrong(at, &format!("{what} takes"), &Ty::Int.noun(), &found));
                None
            }
        }
    }
}

fn on(written: Option<&Spanned<Word>>) -> bool {
    written.and_then(word).as_deref() == Some("on")
}

/// A cost that is a number of the file.
fn number(cost: &Value) -> Option<u32> {
    match cost.parts.as_slice() {
        [Part::Text(text)] => text.parse().ok(),
        _ => None,
    }
}
