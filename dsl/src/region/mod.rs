//! The algebra of request sets: which patterns lie inside which, which overlap, and a request that shows it.
//!
//! INVARIANT: nothing here guesses. Every answer is exact, or it is [`Undecided`]; and whatever is said
//! to exist comes with an example that the callers replay.

mod automata;
pub mod cond;
mod host;
mod path;
pub(crate) mod segment;
pub mod space;

use crate::tree::ir::Segment;
use regex_automata::dfa::dense;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A question about patterns that cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Undecided {
    /// The automata needed are larger than the limit.
    TooLarge,
    /// An expression in it looks around itself (`\b`, `^` inside): the algebra does not model that.
    LooksAround,
    /// A space was asked for something that it was not made for.
    NotAsked,
    /// A site says `paths raw`: only canonical paths are modelled.
    RawPaths,
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the expressions together need an automaton larger than the limit",
            Self::LooksAround => {
                "an expression with `\\b`, or with `^` or `$` inside it, cannot be compared with others"
            }
            Self::RawPaths => "a site with `paths raw` has paths that the analysis does not know",
            Self::NotAsked => "the analysis was not prepared for this question",
        })
    }
}

impl std::error::Error for Undecided {}

/// Where a segment stands: it decides which texts there are at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// A segment of a canonical path.
    Path,
    /// A label of a canonical host.
    Host,
}

/// Answers questions about patterns and remembers what they cost. One for all questions of a site.
#[derive(Clone, Debug)]
pub struct Algebra {
    domain: Domain,
    /// Shared, so that a copy costs nothing until it learns something new.
    inside: Pairs<bool>,
    overlaps: Pairs<Option<String>>,
    limit: usize,
}

/// Answers about two segments.
type Pairs<A> = Arc<HashMap<(Segment, Segment), Result<A, Undecided>>>;

type Dfa = dense::DFA<Vec<u32>>;

/// States that one question may look at.
const LIMIT: usize = 20_000;

impl Algebra {
    /// For paths.
    pub fn paths() -> Self {
        Self::new(Domain::Path)
    }

    /// For hosts.
    pub fn hosts() -> Self {
        Self::new(Domain::Host)
    }

    fn new(domain: Domain) -> Self {
        Self { domain, overlaps: Arc::default(), inside: Arc::default(), limit: LIMIT }
    }

    /// With another limit on the states that one question may look at.
    #[must_use]
    pub fn limit(mut self, states: usize) -> Self {
        self.limit = states;
        self
    }
}
