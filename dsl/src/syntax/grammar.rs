//! The parser that pest derives from `grammar.pest`.

// The derive makes public items without documentation; the grammar file documents them.
#![allow(missing_docs)]

use std::num::NonZeroUsize;
use std::sync::Once;

/// Matches one item or statement of logical lines; gives tokens, not a tree (see `build`).
#[derive(pest_derive::Parser)]
#[grammar = "syntax/grammar.pest"]
pub(crate) struct Grammar;

pub(crate) type Pair<'a> = pest::iterators::Pair<'a, Rule>;
pub(crate) type Pairs<'a> = pest::iterators::Pairs<'a, Rule>;
pub(crate) type Failure = pest::error::Error<Rule>;

/// Rule entries that one parse may make. The grammar is linear (a test counts); this is the
/// backstop for a mistake in it. A site of 100 000 routes needs about a tenth.
const CALLS: NonZeroUsize = NonZeroUsize::new(1_000_000_000).expect("is not zero");

/// Runs one entry rule over all of `text`.
pub(crate) fn run(rule: Rule, text: &str) -> Result<Pairs<'_>, Box<Failure>> {
    // pest keeps the limit in a static of its own: set once, never changed.
    static LIMIT: Once = Once::new();
    LIMIT.call_once(|| pest::set_call_limit(Some(CALLS)));
    <Grammar as pest::Parser<Rule>>::parse(rule, text).map_err(Box::new)
}
