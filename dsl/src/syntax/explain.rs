//! What the grammar did not expect, in words.

use super::build::{Offsets, Place};
use super::grammar::{Failure, Rule};
use super::span::{FileId, Loc, Span};
use crate::diagnostic::Diagnostic;
use pest::error::{ErrorVariant, InputLocation};

/// The text that did not parse.
pub(crate) struct Context<'a> {
    pub(crate) file: FileId,
    pub(crate) source: &'a str,
    pub(crate) text: &'a str,
    pub(crate) offsets: &'a Offsets,
    /// The block it stands in; `None` for an item.
    pub(crate) place: Option<Place>,
}

/// The word that was meant, when one is near enough.
pub(crate) fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let far = (word.len() / 3).max(1);
    let near = known.iter().map(|k| (strsim::damerau_levenshtein(word, k), *k));
    near.filter(|(distance, _)| *distance <= far).min_by_key(|(distance, _)| *distance).map(|(_, k)| k)
}

/// One error for a failure of the grammar.
pub(crate) fn explain(context: &Context<'_>, failure: &Failure) -> Diagnostic {
    let at = match failure.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let expected: &[Rule] = match &failure.variant {
        ErrorVariant::ParsingError { positives, .. } => positives,
        ErrorVariant::CustomError { .. } => &[],
    };
    let start = context.offsets.in_file(at);
    let loc = Loc { file: context.file, span: Span::new(start, start + 1) };
    let _ = expected;
    let found = context.source[start..].split_whitespace().next().unwrap_or("the end");
    Diagnostic::error(super::CODE, loc, format!("`{found}` is not expected here"))
}
