//! `sticky cookie "route" [key secret.sticky] [for 12h]`: a visitor stays on an endpoint.

use super::words::{Said, begins, name};
use crate::check::ty::Ty;
use crate::check::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Expr, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::Sticky;
use std::sync::Arc;

/// How it is written.
const SHAPE: &str = "a cookie, as in `sticky cookie \"route\"`; behind it `key secret.NAME` and `for 12h`";

impl<'a> Checker<'a> {
    /// `sticky cookie "route" key secret.sticky for 12h`
    pub(super) fn sticky(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<Sticky> {
        let (true, Some(Spanned { node: Word::Value(Expr::Text(text)), span })) =
            (begins(words, &["cookie"]), words.get(1))
        else {
            self.report(lint::g1024::shape(at, "sticky", SHAPE));
            return None;
        };
        let cookie = self.constant(&Spanned::new(text.clone(), *span), Ty::Text, env)?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if cookie.is_empty() || cookie.len() > 64 || !cookie.bytes().all(token) {
            let rule = "a cookie's name has letters, digits, `-` and `_`, 64 at most";
            self.report(lint::g1024::range(self.at(env, *span), rule));
            return None;
        }
        let mut out = Sticky { cookie, secret: None, for_ms: None };
        let mut said = Said::default();
        let mut rest = &words[2..];
        while let Some((word, after)) = rest.split_first() {
            let loc = self.at(env, word.span);
            let text = name(&word.node).unwrap_or_default();
            match text.as_str() {
                "key" => out.secret = Some(self.secret_behind("key", loc, after, env)?),
                "for" => out.for_ms = Some(self.duration_behind("for", loc, after, env)?),
                "" => {
                    self.report(lint::g1024::shape(loc, "sticky", SHAPE));
                    return None;
                }
                other => {
                    let near = nearest(other, ["key", "for"]);
                    self.report(lint::g1001::setting(loc, other, "sticky", near));
                    return None;
                }
            }
            if !self.first_time(&mut said, &text, loc) {
                return None;
            }
            rest = &after[1..];
        }
        Some(out)
    }

    /// The name of a secret: `secret.sticky`. A key in quotes would be a secret in a file.
    fn secret_behind(&mut self, word: &str, loc: Loc, after: &[Spanned<Word>], env: &Env) -> Option<Arc<str>> {
        match after.first().map(|w| (secret(&w.node), w.span)) {
            Some((Some(name), _)) => Some(name),
            found => {
                let at = found.map_or(loc, |(_, span)| self.at(env, span));
                self.report(lint::g1024::shape(at, word, "the name of a secret, as in `key secret.sticky`"));
                None
            }
        }
    }
}

/// The name behind `secret.`.
pub(in crate::check) fn secret(word: &Word) -> Option<Arc<str>> {
    match word {
        Word::Value(Expr::Name(name)) => match name.parts.as_slice() {
            [head, name] if head.node == "secret" => Some(name.node.as_str().into()),
            _ => None,
        },
        _ => None,
    }
}
