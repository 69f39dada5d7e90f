//! Tokens of the grammar to the syntax tree.
//!
//! The grammar decides the shape; what a literal means, and whether it is in range, is decided
//! here, where the message can say what is wrong with it. Every finding is collected, so one pass
//! reports all of an item.

mod action;
mod expr;
mod item;
mod literal;
mod pattern;
mod stmt;
mod template;

use super::ast::Ident;
use super::grammar::{Pair, Pairs};
use super::span::{FileId, Loc, Span, Spanned};
use crate::diagnostic::{Diagnostic, Edit};

pub(crate) use stmt::Place;

/// Where the bytes of a piece of text stand in the file.
///
/// A statement that is parsed alone has the inside of its blocks cut out: each cut is a position in
/// the piece, and how many bytes are missing there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offsets {
    pub(crate) base: usize,
    /// Where the piece ends in the file. A brace that is missing there is put into the piece, and
    /// stands nowhere.
    pub(crate) end: usize,
    pub(crate) cuts: Vec<(usize, usize)>,
}

impl Offsets {
    pub(crate) fn in_file(&self, at: usize) -> usize {
        let missing: usize = self.cuts.iter().take_while(|(cut, _)| *cut <= at).map(|(_, n)| n).sum();
        (self.base + at + missing).min(self.end)
    }
}

/// Builds nodes and collects what is wrong with them.
pub(crate) struct Builder {
    pub(crate) file: FileId,
    pub(crate) offsets: Offsets,
    pub(crate) errors: Vec<Diagnostic>,
}

impl Builder {
    pub(crate) fn new(file: FileId, offsets: Offsets) -> Self {
        Self { file, offsets, errors: Vec::new() }
    }

    fn span(&self, pair: &Pair<'_>) -> Span {
        let span = pair.as_span();
        // A rule that ends with something optional has the blanks before it in its span.
        let blanks = span.as_str().bytes().rev().take_while(|b| matches!(b, b' ' | b'\t')).count();
        self.between(span.start(), span.end() - blanks)
    }

    fn between(&self, start: usize, end: usize) -> Span {
        if self.offsets.cuts.is_empty() {
            return Span::new(self.offsets.base + start, self.offsets.base + end);
        }
        Span::new(self.offsets.in_file(start), self.offsets.in_file(end))
    }

    fn spanned<T>(&self, node: T, pair: &Pair<'_>) -> Spanned<T> {
        Spanned::new(node, self.span(pair))
    }

    fn loc(&self, span: Span) -> Loc {
        Loc { file: self.file, span }
    }

    fn ident(&self, pair: &Pair<'_>) -> Ident {
        self.spanned(pair.as_str().to_owned(), pair)
    }

    /// A name that is declared here.
    fn declared(&mut self, pair: &Pair<'_>) -> Ident {
        let name = self.ident(pair);
        if super::words::OPERATORS.contains(&name.node.as_str()) {
            self.error(name.span, format!("`{}` is a word of the language and cannot be a name", name.node));
        }
        name
    }

    fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        let loc = self.loc(span);
        self.errors.push(Diagnostic::error(super::CODE, loc, message));
        self.errors.last_mut().expect("was pushed on the line above")
    }

    /// An error with the text that belongs in its place.
    fn error_instead(&mut self, span: Span, message: impl Into<String>, help: &str, instead: &str) {
        let loc = self.loc(span);
        let edit = Edit { loc, text: instead.to_owned(), safe: false };
        let error = Diagnostic::error(super::CODE, loc, message).help(help, instead, Some(edit));
        self.errors.push(error);
    }
}

/// The first token inside. The grammar says that there is one.
fn only<'a>(pair: Pair<'a>) -> Pair<'a> {
    pair.into_inner().next().expect("the grammar gives this rule a child")
}

/// The next token. The grammar says that there is one.
fn need<'a>(pairs: &mut Pairs<'a>) -> Pair<'a> {
    pairs.next().expect("the grammar gives this rule another child")
}
