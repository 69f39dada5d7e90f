//! `limit N connections, N requests, N queued within D`: how much a pool is asked at once.

use super::words::{Said, begins, name};
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::Word;
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::PoolLimit;

/// How it is written.
const SHAPE: &str = "parts with commas between them: `1000 connections`, `500 requests`, `200 queued within 1s`";
/// The most that can be written.
const MOST: i64 = 1_000_000;

impl<'a> Checker<'a> {
    /// `limit 1000 connections, 500 requests, 200 queued within 1s`
    pub(super) fn pool_limit(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<PoolLimit> {
        let mut out = PoolLimit::default();
        let mut said = Said::default();
        let mut queued: Option<Loc> = None;
        for part in words.split(|w| w.node == Word::Comma) {
            let Some(first) = part.first() else {
                self.report(lint::g1024::shape(at, "limit", SHAPE));
                return None;
            };
            let loc = self.at(env, first.span);
            let (val, value_at) = self.value_behind("limit", loc, part, env)?;
            if matches!(val, Val::Rate { .. }) {
                self.report(lint::g1022::limit_of_clients(at));
                return None;
            }
            let rest = &part[1..];
            let n = u32::try_from(self.number_in("`limit` in a pool", val, value_at, MOST)?).ok()?;
            let word = rest.first().and_then(|w| name(&w.node)).unwrap_or_default();
            // `200 requests queued within 1s` says the same as `200 queued within 1s`.
            let waiting = match word.as_str() {
                "queued" => Some(&rest[1..]),
                "requests" if begins(rest, &["requests", "queued"]) => Some(&rest[2..]),
                _ => None,
            };
            match (word.as_str(), waiting) {
                (_, Some(rest)) => {
                    if !self.first_time(&mut said, "queued", loc) {
                        return None;
                    }
                    if !begins(rest, &["within"]) || rest.len() != 2 {
                        let shape = "how long they may wait at most, as in `200 queued within 1s`";
                        self.report(lint::g1024::shape(loc, "queued", shape));
                        return None;
                    }
                    let within = self.at(env, rest[0].span);
                    out.queue = Some((n, self.duration_behind("within", within, &rest[1..], env)?));
                    queued = Some(loc);
                }
                ("connections" | "requests", None) if rest.len() == 1 => {
                    if !self.first_time(&mut said, &word, loc) {
                        return None;
                    }
                    let bound = if word == "requests" { &mut out.requests } else { &mut out.connections };
                    *bound = Some(n);
                }
                _ => {
                    let near = nearest(&word, ["connections", "requests", "queued"]);
                    let shape = match near {
                        Some(near) if near != word => format!("{SHAPE}; did you mean `{near}`?"),
                        _ => SHAPE.to_owned(),
                    };
                    self.report(lint::g1024::shape(loc, "limit", &shape));
                    return None;
                }
            }
        }
        if let (Some(loc), None, None) = (queued, out.connections, out.requests) {
            self.report(lint::g1024::range(
                loc,
                "requests wait for `connections` or `requests` to end: say how many there may be",
            ));
            return None;
        }
        Some(out)
    }
}
