//! What the grammar did not expect, in words.
//!
//! pest says how far it came and which rules it tried there. `slips` knows the usual mistakes and
//! says what was meant; `expected` words what is left.

mod expected;
mod places;
mod slips;

use super::build::{Offsets, Place};
use super::grammar::{Failure, Rule};
use super::span::{FileId, Loc, Span};
use crate::diagnostic::{Diagnostic, Edit};
use pest::error::{ErrorVariant, InputLocation};
use std::ops::Range;

/// The text that did not parse.
pub(crate) struct Context<'a> {
    pub(crate) file: FileId,
    /// One item or one statement, the insides of its blocks cut out.
    pub(crate) text: &'a str,
    pub(crate) offsets: &'a Offsets,
    /// The block it stands in; `None` for an item.
    pub(crate) place: Option<Place>,
}

/// One error for a failure of the grammar.
pub(crate) fn explain(context: &Context<'_>, failure: &Failure) -> Diagnostic {
    let at = match failure.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let expected: &[Rule] = match &failure.variant {
        ErrorVariant::ParsingError { positives, .. } => positives,
        // The limit on calls or on the stack: neither is reached by text that a person wrote.
        ErrorVariant::CustomError { .. } => {
            return Failed::new(context, at, &[]).error(at..at, "this is too complex to be read");
        }
    };
    let failed = Failed::new(context, at, expected);
    slips::explain(&failed).or_else(|| places::explain(&failed)).unwrap_or_else(|| expected::explain(&failed))
}

/// The word that was meant, when one is near enough.
pub(crate) fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > 32 {
        return None;
    }
    let far = (word.len() / 3).max(1);
    let near = known.iter().map(|k| (strsim::damerau_levenshtein(word, k), *k));
    near.filter(|(distance, _)| *distance <= far).min_by_key(|(distance, _)| *distance).map(|(_, k)| k)
}

/// A place where the grammar stopped.
struct Failed<'a> {
    context: &'a Context<'a>,
    expected: &'a [Rule],
    text: &'a str,
    /// Where: the first byte of what was found, or the end of the text.
    at: usize,
    /// What stands before it, without the blanks between.
    before: &'a str,
    /// What was found, up to the end of the text.
    rest: &'a str,
    /// The first word of the text.
    head: &'a str,
    /// What was found, one token of it; empty at the end.
    found: &'a str,
}

impl<'a> Failed<'a> {
    fn new(context: &'a Context<'a>, at: usize, expected: &'a [Rule]) -> Self {
        let text = context.text;
        let blanks = text[at..].len() - text[at..].trim_start().len();
        let at = if text[at..].trim_start().is_empty() { text.trim_end().len() } else { at + blanks };
        let rest = text[at..].trim_end();
        Self {
            context,
            expected,
            text,
            at,
            before: text[..at].trim_end(),
            rest,
            head: first_word(text.trim_start()),
            found: token(rest),
        }
    }

    fn expects(&self, rule: Rule) -> bool {
        self.expected.contains(&rule)
    }

    /// Whether a value may stand here.
    fn expects_value(&self) -> bool {
        [Rule::value, Rule::term, Rule::expr, Rule::arg, Rule::operand].iter().any(|rule| self.expects(*rule))
    }

    /// Whether `->` or `{` may stand here.
    fn expects_body(&self) -> bool {
        self.expects(Rule::arrow) && self.expects(Rule::block)
    }

    fn found_range(&self) -> Range<usize> {
        self.at..self.at + self.found.len()
    }

    fn loc(&self, range: &Range<usize>) -> Loc {
        // Whole characters, whatever a message pointed at.
        let outwards = |mut at: usize, step: isize| {
            while !self.text.is_char_boundary(at) {
                at = at.saturating_add_signed(step);
            }
            at
        };
        let (from, to) = (outwards(range.start, -1), outwards(range.end.min(self.text.len()), 1));
        let start = self.context.offsets.in_file(from);
        // The last byte's place and one more: what follows it may be a cut. Both within the piece.
        let last = |to: usize| (self.context.offsets.in_file(to - 1) + 1).min(self.context.offsets.end);
        let end = if to <= from { start } else { last(to) };
        Loc { file: self.context.file, span: Span::new(start, end) }
    }

    fn error(&self, range: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(super::CODE, self.loc(&range), message)
    }

    fn edit(&self, range: Range<usize>, text: impl Into<String>, safe: bool) -> Option<Edit> {
        Some(Edit { loc: self.loc(&range), text: text.into(), safe })
    }

    /// An error at a range, with the text that is to stand there instead.
    fn instead(&self, range: Range<usize>, message: impl Into<String>, help: &str, text: &str) -> Diagnostic {
        let edit = self.edit(range.clone(), text, true);
        self.error(range, message).help(help, text, edit)
    }

    /// What was found, as it is named in a message.
    fn found_words(&self) -> String {
        match self.found {
            "" => "the end of the line".to_owned(),
            found => format!("`{found}`"),
        }
    }

    /// The text with a range replaced, blocks left out, to be pasted.
    fn with(&self, range: Range<usize>, text: &str) -> String {
        let whole = format!("{}{text}{}", &self.text[..range.start], &self.text[range.end..]);
        let line = whole.split('\n').next().unwrap_or_default().trim();
        line.strip_suffix("{}").map_or(line.to_owned(), |line| format!("{line}{{"))
    }
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// The first token of a text, as a person would cut it.
fn token(text: &str) -> &str {
    const OPERATORS: [&str; 13] = ["->", "=>", "==", "!=", "<=", ">=", "<>", "&&", "||", "=~", "!~", "::", ".."];
    if let Some(operator) = OPERATORS.iter().find(|op| text.starts_with(**op)) {
        return &text[..operator.len()];
    }
    let Some(first) = text.chars().next() else { return "" };
    let close = match first {
        '"' | '\'' => Some(first),
        '“' | '”' => Some('”'),
        '‘' | '’' => Some('’'),
        _ => None,
    };
    let rest = &text[first.len_utf8()..];
    if let Some(close) = close {
        let line = rest.split('\n').next().unwrap_or_default();
        let end = line.find(close).map_or(line.trim_end().len(), |n| n + close.len_utf8());
        return &text[..first.len_utf8() + end];
    }
    if !is_word(first) {
        return &text[..first.len_utf8()];
    }
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    // `b->c`: the hyphen belongs to the arrow.
    let end = if text[end..].starts_with('>') && text[..end].ends_with('-') { end - 1 } else { end };
    &text[..end.max(first.len_utf8())]
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | '%' | '*' | '@' | '~' | '+' | '?')
}
