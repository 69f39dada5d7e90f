//! The words that a pool's settings are made of: what stands behind one, and its range.

use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{Expr, Word};
use crate::syntax::span::{Loc, Spanned};

/// Words that were said, with their places.
#[derive(Default)]
pub(super) struct Said(Vec<(String, Loc)>);

impl Said {
    /// Where a word was said.
    pub(super) fn place(&self, word: &str) -> Option<Loc> {
        self.0.iter().find(|(w, _)| w == word).map(|(_, loc)| *loc)
    }
}

impl<'a> Checker<'a> {
    /// Whether a word of a setting is said for the first time; reported when it is not.
    pub(super) fn first_time(&mut self, said: &mut Said, word: &str, loc: Loc) -> bool {
        if let Some((_, first)) = said.0.iter().find(|(w, _)| w == word) {
            let first = *first;
            self.report(lint::g1023::twice(loc, word, first));
            return false;
        }
        said.0.push((word.to_owned(), loc));
        true
    }

    /// The value behind a word.
    pub(super) fn value_behind(
        &mut self,
        word: &str,
        loc: Loc,
        after: &[Spanned<Word>],
        env: &Env,
    ) -> Option<(Val, Loc)> {
        match after.first() {
            Some(Spanned { node: Word::Value(expr), span }) => {
                Some((self.eval(&Spanned::new(expr.clone(), *span), env, None), self.at(env, *span)))
            }
            _ => {
                self.report(lint::g1024::shape(loc, word, "a value behind it"));
                None
            }
        }
    }

    /// A duration of more than nothing, milliseconds.
    pub(in crate::check) fn duration_behind(
        &mut self,
        word: &str,
        loc: Loc,
        after: &[Spanned<Word>],
        env: &Env,
    ) -> Option<u64> {
        let (val, at) = self.value_behind(word, loc, after, env)?;
        self.deadline(word, val, at)
    }

    /// A number from 1 on.
    pub(super) fn number_behind(
        &mut self,
        word: &str,
        loc: Loc,
        after: &[Spanned<Word>],
        env: &Env,
        max: i64,
    ) -> Option<i64> {
        let (val, at) = self.value_behind(word, loc, after, env)?;
        self.number_in(&format!("`{word}`"), val, at, max)
    }

    /// The number from 1 on that a value is; `what` takes it.
    pub(super) fn number_in(&mut self, what: &str, val: Val, at: Loc, max: i64) -> Option<i64> {
        match val {
            Val::Int(n) if (1..=max).contains(&n) => Some(n),
            Val::Opaque(..) => None,
            _ => {
                self.report(lint::g1024::range(at, &format!("{what} takes a number from 1 to {max}")));
                None
            }
        }
    }

    /// A whole percentage, `least` to 100.
    pub(super) fn percent_behind(
        &mut self,
        word: &str,
        loc: Loc,
        after: &[Spanned<Word>],
        env: &Env,
        least: u8,
    ) -> Option<u8> {
        let (val, at) = self.value_behind(word, loc, after, env)?;
        self.percent_in(&format!("`{word}`"), val, at, least)
    }

    /// The whole percentage that a value is; `what` takes it.
    pub(super) fn percent_in(&mut self, what: &str, val: Val, at: Loc, least: u8) -> Option<u8> {
        match val {
            Val::Percent(points) if points % 100 == 0 && points >= u32::from(least) * 100 => {
                u8::try_from(points / 100).ok()
            }
            Val::Opaque(..) => None,
            _ => {
                let rule = format!("{what} takes a whole percentage from {least}% to 100%");
                self.report(lint::g1024::range(at, &rule));
                None
            }
        }
    }

    /// A size of at most `max` bytes.
    pub(in crate::check) fn size_behind(
        &mut self,
        word: &str,
        loc: Loc,
        after: &[Spanned<Word>],
        env: &Env,
        max: u64,
    ) -> Option<u64> {
        match self.value_behind(word, loc, after, env)? {
            (Val::Size(bytes), _) if bytes <= max => Some(bytes),
            (Val::Size(_), at) => {
                let rule = format!("`{word}` takes at most {}MB: it is kept in memory", max >> 20);
                self.report(lint::g1024::range(at, &rule));
                None
            }
            (Val::Opaque(..), _) => None,
            (other, at) => {
                let what = format!("`{word}` takes");
                self.report(lint::g1005::wrong(at, &what, &Ty::Size.noun(), &other.ty().0.noun()));
                None
            }
        }
    }
}

/// A word that is a bare name.
pub(in crate::check) fn name(word: &Word) -> Option<String> {
    match word {
        Word::Value(Expr::Name(name)) => Some(Checker::name_text(name)),
        _ => None,
    }
}

/// Whether the words begin with these bare names.
pub(super) fn begins(words: &[Spanned<Word>], with: &[&str]) -> bool {
    words.len() >= with.len() && with.iter().zip(words).all(|(w, word)| name(&word.node).as_deref() == Some(*w))
}
