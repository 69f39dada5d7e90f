//! `retry …` and `hedge …`, of pools, sites and blocks.

use super::words::{Said, begins, name};
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Expr, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Hedge, Retry, RetryOn};

/// The most tries after the first.
const TIMES: i64 = 10;
/// The longest body that is kept to be sent again, bytes.
pub(in crate::check) const LONGEST_BODY: u64 = 16 << 20;
/// The share of a pool's requests that may be retries where nothing is written, in percent.
const BUDGET: u8 = 20;

/// The words behind the number.
const WORDS: &[&str] = &["on", "within", "each", "budget", "body", "any"];
/// What is tried again beside statuses.
const CAUSES: &[&str] = &["connect", "reset", "refused", "timeout"];

/// How it is written.
const SHAPE: &str = "a number of tries, then `on [connect, reset, 502, 503]`, `within 10s`, `each 3s`, `budget 20%`, \
                     `body 64KB` and `any method`; or `off`";

impl<'a> Checker<'a> {
    /// `retry 2 on [connect, reset, 503] within 10s`
    pub(in crate::check) fn retry(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<Retry> {
        let mut out = Retry {
            times: 0,
            on: RetryOn { connect: true, reset: true, refused: true, ..RetryOn::default() },
            within_ms: None,
            each_ms: None,
            budget: BUDGET,
            body_bytes: 0,
            any_method: false,
        };
        if begins(words, &["off"]) && words.len() == 1 {
            return Some(Retry { on: RetryOn::default(), ..out });
        }
        let number = match words.first() {
            Some(Spanned { node: Word::Value(Expr::Name(n)), .. })
                if WORDS.contains(&Self::name_text(n).as_str()) || begins(words, &["off"]) =>
            {
                None
            }
            Some(Spanned { node: Word::Value(_), span }) => Some(*span),
            _ => None,
        };
        let Some(span) = number else {
            self.report(lint::g1024::shape(at, "retry", SHAPE));
            return None;
        };
        let loc = self.at(env, span);
        let (val, number) = self.value_behind("retry", loc, words, env)?;
        if matches!(val, Val::Int(0)) {
            self.report(lint::g1024::one_of(number, "retry", &["off"], None));
            return None;
        }
        out.times = u32::try_from(self.number_in("`retry`", val, number, TIMES)?).ok()?;
        let mut said = Said::default();
        let mut rest = &words[1..];
        let mut listed = false;
        while let Some((word, after)) = rest.split_first() {
            let loc = self.at(env, word.span);
            let text = name(&word.node).unwrap_or_default();
            let mut taken = 1;
            match text.as_str() {
                "on" => {
                    out.on = self.retry_on(loc, after, env)?;
                    listed = true;
                }
                "within" => out.within_ms = Some(self.duration_behind("within", loc, after, env)?),
                "each" => out.each_ms = Some(self.duration_behind("each", loc, after, env)?),
                "budget" => out.budget = self.percent_behind("budget", loc, after, env, 1)?,
                "body" => out.body_bytes = self.size_behind("body", loc, after, env, LONGEST_BODY)?,
                "any" if begins(after, &["method"]) => out.any_method = true,
                "" => {
                    self.report(lint::g1024::shape(loc, "retry", SHAPE));
                    return None;
                }
                other => {
                    let near = nearest(other, WORDS.iter().copied());
                    self.report(lint::g1001::setting(loc, other, "retry", near));
                    return None;
                }
            }
            if !self.first_time(&mut said, &text, loc) {
                return None;
            }
            taken = taken.min(after.len());
            rest = &after[taken..];
        }
        match out.each_ms {
            // Whoever bounds each try wants another one behind the bound.
            Some(_) if !listed => out.on.timeout = true,
            None if out.on.timeout => {
                self.report(lint::g1024::range(
                    at,
                    "`timeout` is tried again after `each`: say how long one try may take",
                ));
                return None;
            }
            _ => {}
        }
        if let Some(within) = out.within_ms.filter(|ms| lint::g5005::too_late(&out, *ms)) {
            self.report(lint::g5005::never_begins(at, &out, "within", within, None));
        }
        Some(out)
    }

    /// `[connect, reset, 502, 500..599]`
    fn retry_on(&mut self, loc: Loc, after: &[Spanned<Word>], env: &Env) -> Option<RetryOn> {
        let items = match after.first() {
            Some(Spanned { node: Word::Value(Expr::List(items)), .. }) if !items.is_empty() => items.clone(),
            Some(Spanned { node: Word::Value(one), span }) if !matches!(one, Expr::List(_)) => {
                vec![Spanned::new(one.clone(), *span)]
            }
            _ => {
                self.report(lint::g1024::shape(loc, "on", "a list, as in `on [connect, reset, 503]`"));
                return None;
            }
        };
        if let Some(Spanned { node: Word::Comma, span }) = after.get(1) {
            let at = self.at(env, *span);
            self.report(lint::g1024::shape(at, "on", "several causes as a list, as in `on [connect, reset, 503]`"));
            return None;
        }
        let mut out = RetryOn::default();
        let mut said = Said::default();
        for item in &items {
            let at = self.at(env, item.span);
            if let Expr::Name(cause) = &item.node {
                let text = Self::name_text(cause);
                let flag = match text.as_str() {
                    "connect" => Some(&mut out.connect),
                    "reset" => Some(&mut out.reset),
                    "refused" => Some(&mut out.refused),
                    "timeout" => Some(&mut out.timeout),
                    _ => None,
                };
                if let Some(flag) = flag {
                    *flag = true;
                    if !self.first_time(&mut said, &text, at) {
                        return None;
                    }
                    continue;
                }
                if env.local(&text).is_none() {
                    let near = nearest(&text, CAUSES.iter().copied());
                    let known = ["connect", "reset", "refused", "timeout", "503"];
                    self.report(lint::g1024::one_of(at, "on", &known, near));
                    return None;
                }
            }
            let (first, last) = match self.eval(item, env, None) {
                Val::Int(n) => (n, n),
                Val::Range(first, last) => (first, last),
                Val::Opaque(..) => return None,
                _ => (0, 0),
            };
            if first < 400 || last > 599 || first > last {
                let rule = "a request is tried again after a status from 400 to 599, `connect`, `reset`, `refused` or `timeout`";
                self.report(lint::g1024::range(at, rule));
                return None;
            }
            for status in (first..=last).filter_map(|n| u16::try_from(n).ok()) {
                if out.statuses.contains(&status) {
                    if !self.first_time(&mut said, &status.to_string(), at) {
                        return None;
                    }
                } else {
                    out.statuses.push(status);
                    self.first_time(&mut said, &status.to_string(), at);
                }
            }
        }
        out.statuses.sort_unstable();
        Some(out)
    }

    /// `hedge after p95`, `hedge after 50ms`
    pub(in crate::check) fn hedge(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<Hedge> {
        if !begins(words, &["after"]) || words.len() != 2 {
            self.report(lint::g1024::one_of(at, "hedge", &["after p95", "after 50ms"], None));
            return None;
        }
        let loc = self.at(env, words[1].span);
        if let Some(text) = name(&words[1].node)
            && let Some(digits) = text.strip_prefix('p')
            && !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
        {
            return match digits.parse::<u8>() {
                Ok(n) if (50..=99).contains(&n) => Some(Hedge::Percentile(n)),
                _ => {
                    self.report(lint::g1024::range(loc, "a percentile is `p50` to `p99`"));
                    None
                }
            };
        }
        self.duration_behind("hedge after", loc, &words[1..], env).map(Hedge::After)
    }
}
