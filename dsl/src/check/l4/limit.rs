//! `limit RATE [burst N] [cost N] per KEY [as NAME] [shadow]`, `limit N at-once per KEY [as NAME] [shadow]`,
//! `limit SIZE/s per KEY [as NAME]`.

use super::Kind;
use crate::check::Checker;
use crate::check::limit::Options;
use crate::check::route::Frame;
use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::lint;
use crate::syntax::ast::{self, Expr, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::l4::{Bound, KeyPart, Limit};

/// The forms, for messages.
const SHAPE: &str = "`RATE [burst N] [cost N] per KEY [as NAME] [shadow]`, `N at-once per KEY` or `SIZE/s per KEY`, as in `limit 50/s per client.ip`";

impl<'a> Checker<'a> {
    /// What a `limit` says of connections; `None` when something about it was reported.
    pub(super) fn l4_limit(&mut self, kind: Kind, limit: &ast::Limit, frame: &Frame, loc: Loc) -> Option<Limit> {
        let bound = self.bound(kind, &limit.words, frame, loc);
        let options = self.limit_options(&limit.rest, frame);
        let Some(per) = &limit.per else {
            self.report(lint::g1024::shape(loc, "limit", SHAPE));
            return None;
        };
        let key = self.l4_key(kind, per, frame)?;
        if key.0.contains(&KeyPart::Connection) {
            let at = self.at(&frame.env, per.value.span);
            self.report(lint::g1024::range(
                at,
                "a limit per connection bounds nothing: each has its own; count `per client.ip`",
            ));
            return None;
        }
        let ((bound, cost), Options { name, shadow, tell, on }) = (bound?, options?);
        if let Some(at) = on.map(|(_, at)| at).or(tell) {
            self.report(lint::g1024::range(
                at,
                "connections have no status and no headers: `on` and `tell` are said of requests",
            ));
            return None;
        }
        let out = Limit { bound, cost, key, name, shadow, loc };
        self.l4_said_alike(&out);
        Some(out)
    }

    /// Limits of one name are one set of buckets, so they say the same.
    fn l4_said_alike(&mut self, limit: &Limit) {
        let Some(name) = &limit.name else { return };
        match self.shared_l4_limits.get(name) {
            Some(first) if first.bound != limit.bound || first.key != limit.key => {
                let first = first.loc;
                self.report(lint::g1023::unlike(limit.loc, name, first));
            }
            Some(_) => {}
            None => {
                self.shared_l4_limits.insert(name.clone(), limit.clone());
            }
        }
    }

    /// What stands before `per`, and what a connection costs of it.
    fn bound(&mut self, kind: Kind, words: &[Spanned<Word>], frame: &Frame, loc: Loc) -> Option<(Bound, u32)> {
        let Some((first, rest)) = words.split_first() else {
            self.report(lint::g1024::shape(loc, "limit", SHAPE));
            return None;
        };
        let Word::Value(expr) = &first.node else {
            self.report(lint::g1024::shape(loc, "limit", SHAPE));
            return None;
        };
        let at = self.at(&frame.env, first.span);
        let val = self.eval(&Spanned::new(expr.clone(), first.span), &frame.env, None);
        match (val, rest) {
            (Val::Rate { bytes: true, .. }, _) if kind == Kind::Udp => {
                self.report(lint::g1024::range(
                    at,
                    "datagrams cannot wait, so their bytes are not paced; bound flows: `limit 50/s per client.ip`",
                ));
                None
            }
            (Val::Rate { count, seconds, bytes: true }, []) => match count / seconds.max(1) {
                0 => {
                    self.report(lint::g1024::range(at, "a limit lets one byte a second pass, or more"));
                    None
                }
                each => Some((Bound::Bytes(each), 1)),
            },
            (Val::Rate { count, seconds, bytes: false }, rest) => {
                let count = self.counted(i64::try_from(count).unwrap_or(i64::MAX), at, "a rate")?;
                let second = u32::try_from(u64::from(count) / seconds.max(1)).unwrap_or(u32::MAX).max(1);
                let (mut burst, mut cost, mut rest) = (None, None, rest);
                while let Some((word, after)) = rest.split_first() {
                    let (what, said) = match word {
                        word if is_name(word, "burst") => ("`burst`", &mut burst),
                        word if is_name(word, "cost") => ("`cost`", &mut cost),
                        _ => {
                            self.report(lint::g1024::shape(loc, "limit", SHAPE));
                            return None;
                        }
                    };
                    let Some(value) = after.first().filter(|_| said.is_none()) else {
                        self.report(lint::g1024::shape(loc, "limit", SHAPE));
                        return None;
                    };
                    *said = Some((self.word_count(value, frame, what)?, self.at(&frame.env, value.span)));
                    rest = &after[1..];
                }
                let burst = burst.map_or(second, |(n, _)| n);
                if let Some((cost, at)) = cost.filter(|(cost, _)| *cost > burst) {
                    let rule = format!(
                        "a bucket holds {burst}: what costs {cost} would never pass; say a `burst` of {cost} or more"
                    );
                    self.report(lint::g1024::range(at, &rule));
                    return None;
                }
                let bound = Bound::Rate { count, per_ms: seconds.saturating_mul(1000), burst };
                Some((bound, cost.map_or(1, |(n, _)| n)))
            }
            (Val::Int(n), [word]) if is_name(word, "at-once") => {
                Some((Bound::AtOnce(self.counted(n, at, "`at-once`")?), 1))
            }
            (Val::Opaque(..), _) => None,
            _ => {
                self.report(lint::g1024::shape(loc, "limit", SHAPE));
                None
            }
        }
    }

    fn word_count(&mut self, word: &Spanned<Word>, frame: &Frame, what: &str) -> Option<u32> {
        let at = self.at(&frame.env, word.span);
        let Word::Value(expr) = &word.node else {
            self.report(lint::g1024::shape(at, what, "a number"));
            return None;
        };
        match self.eval(&Spanned::new(expr.clone(), word.span), &frame.env, None) {
            Val::Int(n) => self.counted(n, at, what),
            Val::Opaque(..) => None,
            other => {
                let found = other.ty().0.noun();
                self.report(lint::g1005::wrong(at, &format!("{what} takes"), &Ty::Int.noun(), &found));
                None
            }
        }
    }

    /// A count of 1 or more.
    pub(in crate::check) fn counted(&mut self, n: i64, at: Loc, what: &str) -> Option<u32> {
        match u32::try_from(n) {
            Ok(n) if n > 0 => Some(n),
            _ => {
                self.report(lint::g1024::range(at, &format!("{what} takes a number from 1 to {}", u32::MAX)));
                None
            }
        }
    }
}

fn is_name(word: &Spanned<Word>, name: &str) -> bool {
    matches!(&word.node, Word::Value(Expr::Name(n)) if Checker::name_text(n) == name)
}
