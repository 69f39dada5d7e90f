//! `limit RATE [burst N] [cost N] per KEY [on STATUSES] [as NAME] [tell] [shadow]`, `limit N at-once per KEY`,
//! `limit SIZE/s per KEY`

mod cost;
mod key;
mod place;

use super::Checker;
use super::cond::{and, not};
use super::route::{Chain, Frame, ScopeAcc, Tagged};
use super::site::{KeyUse, SiteBuild};
use super::ty::Ty;
use super::val::Val;
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{self, Expr, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{ByAnswer, Cond, Field, Limit, LimitBound, Step};
use cost::Costs;
use key::Key;
use std::sync::Arc;

/// The forms, for messages.
const SHAPE: &str = "`RATE [burst N] [cost N] per KEY [on STATUSES] [as NAME] [tell] [shadow]`, `N at-once per KEY` or `SIZE/s per KEY`, as in `limit 50/s per client.ip`";

/// The words before the key.
struct Bound {
    bound: LimitBound,
    costs: Costs,
    /// `burst` is said.
    burst: bool,
}

/// The words behind the key.
#[derive(Default)]
pub(in crate::check) struct Options {
    /// `as NAME`
    pub(in crate::check) name: Option<Arc<str>>,
    /// `shadow`
    pub(in crate::check) shadow: bool,
    /// `tell`, and where it is said.
    pub(in crate::check) tell: Option<Loc>,
    /// `on STATUSES`, sorted, and where it is said.
    pub(in crate::check) on: Option<(Vec<u16>, Loc)>,
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
        let bound = self.request_bound(&limit.words, frame, chain, &known, loc);
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
        let (Some(bound), Some(key), Some(options)) = (bound, made, options) else { return };
        let Some((bound, costs, answer)) = self.by_answer(bound, &options, loc) else { return };
        let key = match key {
            Key::Parts(parts) => parts,
            Key::Answer(answer) => {
                let step = Step::Require { cond: not(frame.when.clone()), otherwise: answer, loc };
                return chain.steps.push(Tagged { node: step, tags: frame.tags.clone() });
            }
            Key::Broken(_) => return,
        };
        let Options { name, shadow, tell, on: _ } = options;
        let Costs { base, when: cases, .. } = costs;
        let when = frame.when.clone();
        let (cost, tell, unnamed) = (base, tell.is_some(), Arc::from(""));
        let mut out = Limit { bound, cost, answer, key, name: unnamed, tell, shadow, when, loc };
        match name {
            Some(name) => {
                out.name = name;
                self.said_alike(&out);
            }
            None => {
                let place = self.place_of_limit(frame.env.module, loc.span);
                let dearer = cases.iter().map(|(cond, cost)| format!(" cost {cost} when {cond}"));
                out.name = format!("{place} {out}{}", dearer.collect::<String>()).into();
            }
        }
        // A step for each case, all of them of one set of buckets: the first that holds is what it costs.
        let mut others: Vec<Cond> = Vec::new();
        for (cond, cost) in cases {
            self.copies_headers(chain, &cond, loc);
            let mut all = vec![out.when.clone()];
            all.extend(others.iter().cloned());
            all.push(cond.clone());
            let case = Limit { cost: Some(cost), when: and(all), ..out.clone() };
            chain.steps.push(Tagged { node: Step::Limit(Arc::new(case)), tags: frame.tags.clone() });
            others.push(not(cond));
        }
        others.insert(0, out.when);
        out.when = and(others);
        chain.steps.push(Tagged { node: Step::Limit(Arc::new(out)), tags: frame.tags.clone() });
    }

    /// What the answer's status has to do with it; the rest of what stands around the key has to fit.
    fn by_answer(&mut self, bound: Bound, options: &Options, loc: Loc) -> Option<(LimitBound, Costs, ByAnswer)> {
        let Bound { bound, costs, burst: said } = bound;
        let LimitBound::Rate { burst, .. } = bound else {
            if let Some((_, at)) = &options.on {
                self.report(lint::g1024::range(
                    *at,
                    "`on` belongs to a rate of requests: only those count whose answer is one of these",
                ));
                return None;
            }
            if let (LimitBound::Bytes(_), Some(at)) = (bound, options.tell) {
                self.report(lint::g1024::range(
                    at,
                    "`tell` belongs to limits that refuse; a pace of bytes refuses nobody",
                ));
                return None;
            }
            return Some((bound, costs, ByAnswer::No));
        };
        if let Some((cost, at)) = costs.dearest().filter(|(cost, _)| *cost > burst) {
            let rule =
                format!("a bucket holds {burst}: what costs {cost} would never pass; say a `burst` of {cost} or more");
            self.report(lint::g1024::range(at, &rule));
            return None;
        }
        let answer = match (&options.on, costs.on.is_empty()) {
            (None, true) => ByAnswer::No,
            (None, false) => {
                ByAnswer::Cost(costs.on.iter().map(|(statuses, cost, _)| (statuses.as_slice().into(), *cost)).collect())
            }
            (Some((statuses, _)), true) => {
                if !said && burst == 1 {
                    self.report(lint::g6003::one_under_way(loc));
                }
                ByAnswer::Only(statuses.as_slice().into())
            }
            (Some((_, at)), false) => {
                self.report(lint::g1024::range(*at, "`on` stands behind a cost or behind the key, not behind both"));
                return None;
            }
        };
        Some((bound, costs, answer))
    }

    /// Limits of one name are one set of buckets, so they say the same.
    fn said_alike(&mut self, limit: &Limit) {
        let alike = |other: &Limit| {
            let sources = |l: &Limit| l.key.iter().map(|part| Arc::clone(&part.source)).collect::<Vec<_>>();
            other.bound == limit.bound && other.answer == limit.answer && sources(other) == sources(limit)
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
    fn request_bound(
        &mut self,
        words: &[Spanned<Word>],
        frame: &Frame,
        chain: &Chain,
        known: &[Field],
        loc: Loc,
    ) -> Option<Bound> {
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
                Bound { bound: LimitBound::Bytes(each), costs: Costs::default(), burst: false }
            }
            Val::Rate { count, seconds, bytes: false } => {
                let count = self.counted(i64::try_from(count).unwrap_or(i64::MAX), at, "a rate")?;
                let burst = u32::try_from(u64::from(count) / seconds.max(1)).unwrap_or(u32::MAX).max(1);
                let per_ms = seconds.saturating_mul(1000);
                Bound { bound: LimitBound::Rate { count, per_ms, burst }, costs: Costs::default(), burst: false }
            }
            Val::Int(n) if rest.first().is_some_and(|w| word(w).as_deref() == Some("at-once")) => {
                rest = &rest[1..];
                Bound {
                    bound: LimitBound::AtOnce(self.counted(n, at, "`at-once`")?),
                    costs: Costs::default(),
                    burst: false,
                }
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
            if once == "burst" {
                rest = &after[1..];
                let at = self.at(env, value.span);
                out.burst = true;
                match self.word_int(value, env, "`burst`")? {
                    // What can be had at once is never nothing.
                    0 => {
                        self.report(lint::g6003::no_burst(at));
                        *burst = 1;
                    }
                    n => *burst = self.counted(n, at, "`burst`")?,
                }
            } else {
                (out.costs, rest) = self.costs(after, env, chain, known)?;
            }
        }
        Some(out)
    }

    /// What stands behind the key: `on STATUSES`, `as NAME`, `tell`, `shadow`.
    pub(in crate::check) fn limit_options(&mut self, words: &[Spanned<Word>], frame: &Frame) -> Option<Options> {
        let (mut out, mut rest) = (Options::default(), words);
        while let Some((head, after)) = rest.split_first() {
            let at = self.at(&frame.env, head.span);
            rest = after;
            match (word(head).as_deref(), after.first()) {
                (Some("shadow"), _) if !out.shadow => out.shadow = true,
                (Some("tell"), _) if out.tell.is_none() => out.tell = Some(at),
                (Some("as"), next) if out.name.is_none() => {
                    let Some(name) = next.and_then(word).filter(|name| !name.contains('.')) else {
                        self.report(lint::g1024::shape(at, "as", "a name, as in `as logins`"));
                        return None;
                    };
                    out.name = Some(name.into());
                    rest = &after[1..];
                }
                (Some("on"), next) if out.on.is_none() => {
                    out.on = Some((self.limit_statuses(next, at, &frame.env)?, at));
                    rest = &after[1..];
                }
                (other, _) => {
                    let near = other.and_then(|word| nearest(word, ["on", "as", "tell", "shadow"]));
                    let known = ["on STATUSES", "as NAME", "tell", "shadow"];
                    self.report(lint::g1024::one_of(at, "limit … per KEY", &known, near));
                    return None;
                }
            }
        }
        Some(out)
    }
}

/// A word that is a bare name.
fn word(word: &Spanned<Word>) -> Option<String> {
    match &word.node {
        Word::Value(Expr::Name(name)) => Some(Checker::name_text(name)),
        _ => None,
    }
}
