//! `eject …`, `panic …`, `slow-start …`: endpoints that fail are left out, and come back little by little.

use super::words::{Said, begins, name};
use crate::check::{Checker, Env};
use crate::lint;
use crate::syntax::ast::Word;
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::Eject;

/// How it is written.
const SHAPE: &str = "`after 5 failures`, `after 50% within 10s` or both with a comma, then `for 30s` and `up to 50%`";
/// The most failures in a row that an endpoint is judged by.
const FAILURES: i64 = 1000;
/// How long it is left out the first time where nothing is written, milliseconds.
const FOR_MS: u64 = 30_000;
/// The share of a pool that may be out where nothing is written, in percent.
const UP_TO: u8 = 50;
/// The longest that answers are counted together, milliseconds.
const LONGEST_WINDOW_MS: u64 = 600_000;

impl<'a> Checker<'a> {
    /// `eject after 5 failures, 50% within 10s for 30s up to 50%`
    pub(super) fn eject(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<Eject> {
        if !begins(words, &["after"]) {
            self.report(lint::g1024::shape(at, "eject", SHAPE));
            return None;
        }
        let mut out = Eject { failures: None, ratio: None, for_ms: FOR_MS, up_to: UP_TO };
        let mut rest = self.eject_after(&words[1..], env, at, &mut out)?;
        if matches!(rest.first(), Some(Spanned { node: Word::Comma, .. })) {
            rest = self.eject_after(&rest[1..], env, at, &mut out)?;
        }
        let mut said = Said::default();
        while let Some((word, after)) = rest.split_first() {
            let loc = self.at(env, word.span);
            if begins(rest, &["for"]) {
                out.for_ms = self.duration_behind("for", loc, after, env)?;
                rest = &after[1..];
            } else if begins(rest, &["up", "to"]) {
                out.up_to = self.percent_behind("up to", loc, &after[1..], env, 1)?;
                rest = &after[2..];
            } else {
                self.report(lint::g1024::shape(loc, "eject", SHAPE));
                return None;
            }
            if !self.first_time(&mut said, &name(&word.node).unwrap_or_default(), loc) {
                return None;
            }
        }
        Some(out)
    }

    /// `5 failures`, `50% within 10s`: what follows it.
    fn eject_after<'w>(
        &mut self,
        words: &'w [Spanned<Word>],
        env: &Env,
        at: Loc,
        out: &mut Eject,
    ) -> Option<&'w [Spanned<Word>]> {
        let loc = words.first().map_or(at, |w| self.at(env, w.span));
        let (val, value_at) = match words.first() {
            Some(Spanned { node: Word::Value(_), .. }) => self.value_behind("after", loc, words, env)?,
            _ => {
                self.report(lint::g1024::shape(loc, "eject", SHAPE));
                return None;
            }
        };
        if begins(&words[1..], &["within"]) {
            let ratio = self.percent_in("a share of failures", val, value_at, 1)?;
            let within = self.at(env, words[1].span);
            let window = self.duration_behind("within", within, &words[2..], env)?;
            if !(1000..=LONGEST_WINDOW_MS).contains(&window) {
                self.report(lint::g1024::range(within, "failures are counted within 1s to 10m"));
                return None;
            }
            if out.ratio.is_some() {
                self.report(lint::g1023::twice(value_at, "a share of failures", loc));
                return None;
            }
            out.ratio = Some((ratio, window));
            return Some(&words[3..]);
        }
        if begins(&words[1..], &["failures"]) || begins(&words[1..], &["failure"]) {
            let failures = self.number_in("`eject after`", val, value_at, FAILURES)?;
            if out.failures.is_some() {
                self.report(lint::g1023::twice(value_at, "failures", loc));
                return None;
            }
            out.failures = u32::try_from(failures).ok();
            return Some(&words[2..]);
        }
        self.report(lint::g1024::shape(loc, "eject", SHAPE));
        None
    }

    /// `panic below 50%`
    pub(super) fn panic_below(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<u8> {
        if !begins(words, &["below"]) || words.len() != 2 {
            self.report(lint::g1024::shape(
                at,
                "panic",
                "the share of endpoints that are well, as in `panic below 50%`",
            ));
            return None;
        }
        self.percent_behind("panic below", self.at(env, words[0].span), &words[1..], env, 0)
    }
}
