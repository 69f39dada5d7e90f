//! The words of a line, one after the other.

use crate::check::Checker;
use crate::lint;
use crate::syntax::ast::{Expr, Name, Template, TemplatePart, Word};
use crate::syntax::span::{Loc, Spanned};
use std::sync::Arc;

/// What is left of a line.
pub(super) struct Words<'w> {
    rest: &'w [Spanned<Word>],
    /// The whole line.
    pub(super) line: Loc,
}

impl<'w> Words<'w> {
    pub(super) fn new(words: &'w [Spanned<Word>], line: Loc) -> Self {
        Self { rest: words, line }
    }

    pub(super) fn peek(&self) -> Option<&'w Spanned<Word>> {
        self.rest.first()
    }

    /// The word after the next one.
    pub(super) fn after(&self) -> Option<&'w Spanned<Word>> {
        self.rest.get(1)
    }

    pub(super) fn next(&mut self) -> Option<&'w Spanned<Word>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next word where it is a name of one part.
    pub(super) fn peek_word(&self) -> Option<&'w str> {
        Self::one(&self.peek()?.node)
    }

    /// A name of one part.
    pub(super) fn one(word: &'w Word) -> Option<&'w str> {
        match word {
            Word::Value(Expr::Name(Name { parts })) if parts.len() == 1 => Some(&parts[0].node),
            _ => None,
        }
    }

    /// Takes this very word.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.peek_word() == Some(word);
        if found {
            self.next();
        }
        found
    }

    /// Takes the word where `read` can make something of it.
    pub(super) fn take<T>(&mut self, read: impl FnOnce(&'w Word) -> Option<T>) -> Option<T> {
        let made = read(&self.peek()?.node)?;
        self.next();
        Some(made)
    }

    /// A name, as written.
    pub(super) fn name(&mut self) -> Option<Spanned<Name>> {
        let span = self.peek()?.span;
        let name = self.take(|word| match word {
            Word::Value(Expr::Name(name)) => Some(name.clone()),
            _ => None,
        })?;
        Some(Spanned::new(name, span))
    }

    /// A whole number.
    pub(super) fn number(&mut self) -> Option<Spanned<i64>> {
        let span = self.peek()?.span;
        let number = self.take(|word| match word {
            Word::Value(Expr::Number(text)) => text.parse().ok(),
            _ => None,
        })?;
        Some(Spanned::new(number, span))
    }

    pub(super) fn duration(&mut self) -> Option<u64> {
        self.take(|word| match word {
            Word::Value(Expr::Duration(ms)) => Some(*ms),
            _ => None,
        })
    }
}

/// What a template is where a test takes text.
pub(super) enum Plain {
    Text(String),
    /// A test is written out.
    Holes,
}

pub(super) fn plain(template: &Template) -> Plain {
    let mut text = String::new();
    for part in &template.parts {
        match part {
            TemplatePart::Text(part) => text.push_str(part),
            TemplatePart::Hole(_) => return Plain::Holes,
        }
    }
    Plain::Text(text)
}

impl Checker<'_> {
    /// The next word where it is one of these templates: a text, a path, a URL.
    pub(super) fn template_word(
        &mut self,
        words: &mut Words<'_>,
        takes: fn(&Expr) -> Option<&Template>,
    ) -> Option<Spanned<Arc<str>>> {
        let span = words.peek()?.span;
        let found = words.take(|word| match word {
            Word::Value(expr) => takes(expr).map(plain),
            _ => None,
        })?;
        match found {
            Plain::Text(text) => Some(Spanned::new(text.into(), span)),
            Plain::Holes => {
                self.report(lint::g1027::written_out(self.loc(0, span)));
                Some(Spanned::new("".into(), span))
            }
        }
    }

    /// `"text"`
    pub(super) fn text_word(&mut self, words: &mut Words<'_>) -> Option<Spanned<Arc<str>>> {
        self.template_word(words, |expr| match expr {
            Expr::Text(t) => Some(t),
            _ => None,
        })
    }

    /// `/path`, `"/path"`
    pub(super) fn path_word(&mut self, words: &mut Words<'_>) -> Option<Spanned<Arc<str>>> {
        self.template_word(words, |expr| match expr {
            Expr::Text(t) | Expr::Path(t) => Some(t),
            _ => None,
        })
    }

    /// `https://host/path`, `/path`, either in quotes
    pub(super) fn url_word(&mut self, words: &mut Words<'_>) -> Option<Spanned<Arc<str>>> {
        self.template_word(words, |expr| match expr {
            Expr::Text(t) | Expr::Path(t) | Expr::Url(t) => Some(t),
            _ => None,
        })
    }

    /// A status.
    pub(super) fn status_word(&mut self, words: &mut Words<'_>) -> Option<u16> {
        let number = words.number()?;
        match u16::try_from(number.node) {
            Ok(status) if (100..=599).contains(&status) => Some(status),
            _ => {
                let loc = self.loc(0, number.span);
                self.report(lint::g1011::status(loc, number.node, "a status is 100 to 599"));
                Some(0)
            }
        }
    }
}
