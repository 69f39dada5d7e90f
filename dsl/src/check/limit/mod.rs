//! `limit RATE [burst N] [cost N] per KEY [as NAME] [shadow]`, `limit N at-once per KEY`, `limit SIZE/s per KEY`

mod key;
mod place;

use super::cond::not;
use super::route::{Chain, Frame, ScopeAcc, Tagged};
use super::site::{KeyUse, SiteBuild};
use super::ty::Ty;
use super::val::Val;
use super::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{self, Expr, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Field, Limit, LimitBound, Missing, Part, Step, Value};
use key::Key;
use std::sync::Arc;

/// The forms, for messages.
const SHAPE: &str = "`RATE [burst N] [cost N] per KEY [as NAME] [shadow]`, `N at-once per KEY` or `SIZE/s per KEY`, as in `limit 50/s per client.ip`";

/// The words before the key.
struct Bound {
    bound: LimitBound,
    cost: Option<Value>,
}

impl<'a> Checker<'a> {
    /// `limit …`
    pub(super) fn limit(
        &mut self,
        b: &mut SiteBuild,
        chain: &mut Chain,
        frame: &Frame,
        acc: &mut ScopeAcc<'a>,
        limit: &ast::Limit,
        loc: Loc,
    ) {
        let known = chain.known_fields();
        self.asked.known.clone_from(&known);
        let bound = self.request_bound(&limit.words, frame, &known, loc);
        let options = self.limit_options(&limit.rest, frame);
        let made = match &limit.per {
            Some(per) => {
                let key = self.limit_key(per, &frame.env, &known);
                let mut fields = key.fields();
                if fields.is_empty() {
                    // A key that may be missing was reported, and is still a key.
                    if let Val::Field { field, .. } = self.eval(&per.value, &frame.env, None) {
                        fields.push(field);
                    }
                }
                let at = self.at(&frame.env, per.value.span);
                b.info.keys.push(KeyUse { fields, loc: at });
                Some(key)
            }
            None => {
                self.report(lint::g1024::shape(loc, "limit", SHAPE));
                None
            }
        };
        let said = match self.text.get(loc.span.range()) {
            Some(text) if loc.file == self.linked.modules[0].file => text.to_owned(),
            _ => format!("{loc:?}"),
        };
        self.protect(chain, frame, acc, "limit", said, loc);
        // A policy for connections says it with effect; where requests pass it, that is refused.
        if !self.alone {
            self.unsupported("limit", loc);
        }
        let (Some(Bound { bound, cost }), Some(key), Some((name, shadow))) = (bound, made, options) else {
            return;
        };
        let key = match key {
            Key::Parts(parts) => parts,
            Key::Answer(answer) => {
                let step = Step::Require { cond: not(frame.when.clone()), otherwise: answer, loc };
                return chain.steps.push(Tagged { node: step, tags: frame.tags.clone() });
            }
            Key::Broken(_) => return,
        };
        let shared = name.is_some();
        let mut out = Limit { bound, cost, key, name: name.unwrap_or_default(), shadow, when: frame.when.clone(), loc };
        if shared {
            self.said_alike(&out);
        } else {
            let place = self.place_of_limit(frame.env.module, loc.span);
            out.name = format!("{place} {out}").into();
        }
        chain.steps.push(Tagged { node: Step::Limit(Arc::new(out)), tags: frame.tags.clone() });
    }

    /// Limits of one name are one set of buckets, so they say the same.
    fn said_alike(&mut self, limit: &Limit) {
        let alike = |other: &Limit| {
            let sources = |l: &Limit| l.key.iter().map(|part| Arc::clone(&part.source)).collect::<Vec<_>>();
            other.bound == limit.bound && sources(other) == sources(limit)
        };
        match self.shared_limits.get(&limit.name) {
            Some(first) if !alike(first) => {
                let first = first.loc;
                self.report(lint::g1023::unlike(limit.loc, &limit.name, first));
            }
            Some(_) => {}
            None => {
                self.shared_limits.insert(Arc::clone(&limit.name), limit.clone());
            }
        }
    }

    /// What stands before `per`.
    fn request_bound(&mut self, words: &[Spanned<Word>], frame: &Frame, known: &[Field], loc: Loc) -> Option<Bound> {
        let env = &frame.env;
        let Some((Spanned { node: Word::Value(expr), span }, mut rest)) = words.split_first() else {
            self.report(lint::g1024::shape(loc, "limit", SHAPE));
            return None;
        };
        let at = self.at(env, *span);
        let val = self.eval(&Spanned::new(expr.clone(), *span), env, Some(&Ty::Rate));
        let mut out = match val {
            Val::Rate { count, seconds, bytes: true } => {
                let each = count / seconds.max(1);
                if each == 0 {
                    self.report(lint::g1024::range(at, "a limit lets one byte a second pass, or more"));
                    return None;
                }
                Bound { bound: LimitBound::Bytes(each), cost: None }
            }
            Val::Rate { count, seconds, bytes: false } => {
                let count = self.counted(i64::try_from(count).unwrap_or(i64::MAX), at, "a rate")?;
                let burst = u32::try_from(u64::from(count) / seconds.max(1)).unwrap_or(u32::MAX).max(1);
                let per_ms = seconds.saturating_mul(1000);
                Bound { bound: LimitBound::Rate { count, per_ms, burst }, cost: None }
            }
            Val::Int(n) if rest.first().is_some_and(|w| word(w).as_deref() == Some("at-once")) => {
                rest = &rest[1..];
                Bound { bound: LimitBound::AtOnce(self.counted(n, at, "`at-once`")?), cost: None }
            }
            Val::Opaque(Ty::Rate | Ty::Int | Ty::Unknown, _) => return None,
            _ => {
                self.report(lint::g1024::shape(loc, "limit", SHAPE));
                return None;
            }
        };
        let mut said: Vec<&str> = Vec::new();
        while let Some((head, after)) = rest.split_first() {
            let head_loc = self.at(env, head.span);
            let text = word(head).unwrap_or_default();
            let once = match text.as_str() {
                "burst" => "burst",
                "cost" => "cost",
                other => {
                    let near = nearest(other, ["burst", "cost", "at-once", "per"]);
                    self.report(lint::g1024::one_of(head_loc, "limit …", &["burst N", "cost N", "per KEY"], near));
                    return None;
                }
            };
            if said.contains(&once) {
                self.report(lint::g1024::range(head_loc, &format!("`{once}` is said twice")));
                return None;
            }
            said.push(once);
            let (LimitBound::Rate { burst, .. }, Some(value)) = (&mut out.bound, after.first()) else {
                let what = format!("`{once}` belongs to a rate of requests, and takes a number");
                self.report(lint::g1024::range(head_loc, &what));
                return None;
            };
            rest = &after[1..];
            if once == "burst" {
                let at = self.at(env, value.span);
                match self.word_int(value, env, "`burst`")? {
                    // What can be had at once is never nothing.
                    0 => {
                        self.report(lint::g6003::no_burst(at));
                        *burst = 1;
                    }
                    n => *burst = self.counted(n, at, "`burst`")?,
                }
            } else {
                out.cost = Some(self.cost(value, &mut rest, env, known)?);
            }
        }
        Some(out)
    }

    /// `cost 10`, `cost request.size if missing 1`
    fn cost(
        &mut self,
        value: &Spanned<Word>,
        rest: &mut &[Spanned<Word>],
        env: &Env,
        known: &[Field],
    ) -> Option<Value> {
        let at = self.at(env, value.span);
        let mut made = self.cost_of(value, env, known)?;
        let missing = made.1;
        let settled = match rest {
            [a, b, c, after @ ..] if word(a).as_deref() == Some("if") && word(b).as_deref() == Some("missing") => {
                *rest = after;
                Some(self.cost_of(c, env, known).filter(|(_, missing)| !missing)?.0)
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

    /// A number of the file or of the request, and whether it can be missing.
    fn cost_of(&mut self, value: &Spanned<Word>, env: &Env, known: &[Field]) -> Option<(Value, bool)> {
        let at = self.at(env, value.span);
        let Word::Value(expr) = &value.node else {
            self.report(lint::g1024::shape(at, "cost", "a number"));
            return None;
        };
        let val = self.eval(&Spanned::new(expr.clone(), value.span), env, Some(&Ty::Int));
        match &val {
            Val::Int(n) => {
                let n = self.counted(*n, at, "`cost`")?;
                Some((Value { parts: vec![Part::Text(n.to_string().into())] }, false))
            }
            Val::Field { field, ty: Ty::Int | Ty::Size, optional, .. } => {
                let missing = *optional && !known.contains(field);
                super::cond::plain(&val).map(|value| (value, missing))
            }
            Val::Opaque(..) => None,
            other => {
                self.report(lint::g1005::wrong(at, "`cost` takes", &Ty::Int.noun(), &other.ty().0.noun()));
                None
            }
        }
    }

    fn word_int(&mut self, value: &Spanned<Word>, env: &Env, what: &str) -> Option<i64> {
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

    /// What stands behind the key: the name, and whether it only watches.
    pub(in crate::check) fn limit_options(
        &mut self,
        words: &[Spanned<Word>],
        frame: &Frame,
    ) -> Option<(Option<Arc<str>>, bool)> {
        let (mut name, mut shadow, mut rest) = (None, false, words);
        while let Some((head, after)) = rest.split_first() {
            let at = self.at(&frame.env, head.span);
            match word(head).as_deref() {
                Some("shadow") if !shadow => {
                    shadow = true;
                    rest = after;
                }
                Some("as") if name.is_none() => match after.first().and_then(word) {
                    Some(text) if !text.contains('.') => {
                        name = Some(text.into());
                        rest = &after[1..];
                    }
                    _ => {
                        self.report(lint::g1024::shape(at, "as", "a name, as in `as logins`"));
                        return None;
                    }
                },
                other => {
                    let near = other.and_then(|word| nearest(word, ["as", "shadow"]));
                    self.report(lint::g1024::one_of(at, "limit … per KEY", &["as NAME", "shadow"], near));
                    return None;
                }
            }
        }
        Some((name, shadow))
    }
}

/// A word that is a bare name.
fn word(word: &Spanned<Word>) -> Option<String> {
    match &word.node {
        Word::Value(Expr::Name(name)) => Some(Checker::name_text(name)),
        _ => None,
    }
}
