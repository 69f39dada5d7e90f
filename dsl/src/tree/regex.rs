//! Regular expressions of the language: bytes, anchored at both ends, linear time.
//!
//! INVARIANT: there is no backtracking engine behind this. An expression is a deterministic
//! automaton of bounded size or it does not compile, so that its cost is its input's length.
//!
//! `.` is any byte, newline included: a value is tested as a whole, and a line break in it must not
//! step around a test. `\d`, `\w`, `\s` and `\b` are ASCII, as `(?u:…)` around them makes them Unicode.

use regex_automata::MatchKind;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::start;
use regex_syntax::hir::Hir;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A compiled expression. Equal when written equally.
#[derive(Clone)]
pub struct Regex {
    source: Arc<str>,
    hir: Arc<Hir>,
    dfa: Arc<dense::DFA<Vec<u32>>>,
    raw: bool,
}

/// Why an expression is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegexError {
    /// It is not well-formed: why, and the bytes of the expression that are meant.
    Syntax {
        /// In a few words.
        message: String,
        /// Which bytes.
        range: std::ops::Range<usize>,
    },
    /// Its automaton would be larger than the language allows.
    TooLarge,
    /// It asks for something that a deterministic automaton over bytes cannot answer.
    Unsupported(String),
}

/// Bytes of automaton that one expression, or all tests of one field together, may take.
const DFA_LIMIT: usize = 1 << 20;
/// Bytes of the intermediate automata.
const NFA_LIMIT: usize = 1 << 20;

impl Regex {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(source: &str) -> Result<Self, RegexError> {
        let hir = parse(source)?;
        let dfa = automaton(std::slice::from_ref(&hir))?;
        Ok(Self { source: source.into(), hir: Arc::new(hir), dfa: Arc::new(dfa), raw: false })
    }

    /// The same for a segment of a raw path, which is not decoded before it is matched.
    #[must_use]
    pub fn on_raw_paths(self) -> Self {
        Self { raw: true, ..self }
    }

    /// Whether it is asked of segments as they were sent.
    pub(crate) fn is_raw(&self) -> bool {
        self.raw
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the whole text matches.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.accepts(text.iter().copied())
    }

    /// Whether the whole text matches, byte by byte.
    pub(crate) fn accepts(&self, text: impl Iterator<Item = u8>) -> bool {
        run(&self.dfa, text).is_some_and(|at| self.dfa.is_match_state(at))
    }

    /// How many states its automaton has.
    pub fn states(&self) -> usize {
        let mut seen = std::collections::HashSet::new();
        let mut ahead: Vec<_> = start_state(&self.dfa).into_iter().collect();
        while let Some(at) = ahead.pop() {
            if seen.insert(at) {
                ahead.extend(
                    (0..=u8::MAX).map(|byte| self.dfa.next_state(at, byte)).filter(|next| !seen.contains(next)),
                );
            }
        }
        seen.len()
    }

    /// The expression's structure, for the algebra.
    pub(crate) fn hir(&self) -> &Hir {
        &self.hir
    }
}

/// The syntax of the language's expressions.
fn parse(source: &str) -> Result<Hir, RegexError> {
    regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .build()
        .parse(source)
        .map_err(|e| match e {
            regex_syntax::Error::Parse(e) => {
                RegexError::Syntax { message: e.kind().to_string(), range: e.span().start.offset..e.span().end.offset }
            }
            regex_syntax::Error::Translate(e) => {
                RegexError::Syntax { message: e.kind().to_string(), range: e.span().start.offset..e.span().end.offset }
            }
            other => RegexError::Syntax { message: other.to_string(), range: 0..source.len() },
        })
}

/// One automaton for all expressions, by number: after the end of the text, the state tells which matched.
pub(crate) fn automaton(all: &[Hir]) -> Result<dense::DFA<Vec<u32>>, RegexError> {
    let nfa = thompson::Compiler::new()
        .configure(thompson::Config::new().utf8(false).nfa_size_limit(Some(NFA_LIMIT)).shrink(false))
        .build_many_from_hir(all)
        .map_err(|e| match e.size_limit() {
            Some(_) => RegexError::TooLarge,
            None => RegexError::Unsupported(e.to_string()),
        })?;
    dense::Builder::new()
        .configure(
            dense::Config::new()
                .match_kind(MatchKind::All)
                .start_kind(StartKind::Anchored)
                .dfa_size_limit(Some(DFA_LIMIT))
                .determinize_size_limit(Some(4 * DFA_LIMIT)),
        )
        .build_from_nfa(&nfa)
        .map_err(
            |e| if e.is_size_limit_exceeded() { RegexError::TooLarge } else { RegexError::Unsupported(e.to_string()) },
        )
}

/// The state after the whole text; `None` when no continuation of it can match.
pub(crate) fn run(
    dfa: &dense::DFA<Vec<u32>>,
    text: impl Iterator<Item = u8>,
) -> Option<regex_automata::util::primitives::StateID> {
    let mut at = start_state(dfa)?;
    for byte in text {
        at = dfa.next_state(at, byte);
        if dfa.is_special_state(at) && (dfa.is_dead_state(at) || dfa.is_quit_state(at)) {
            return None;
        }
    }
    Some(dfa.next_eoi_state(at))
}

/// Where a text begins.
pub(crate) fn start_state(dfa: &dense::DFA<Vec<u32>>) -> Option<regex_automata::util::primitives::StateID> {
    dfa.start_state(&start::Config::new().anchored(regex_automata::Anchored::Yes)).ok()
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.source)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Regex {}

impl Hash for Regex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { message, .. } => f.write_str(message),
            Self::TooLarge => f.write_str("the expression needs an automaton larger than the limit"),
            Self::Unsupported(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for RegexError {}

/// The text that a walk from state to state went through to one of its nodes: each has the node before it
/// (`usize::MAX` for the first) and the byte between.
pub(crate) fn trail<S>(nodes: &[(S, usize, u8)], at: usize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut node = &nodes[at];
    while node.1 != usize::MAX {
        text.push(node.2);
        node = &nodes[node.1];
    }
    text.reverse();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(source: &str, text: &str) -> bool {
        Regex::new(source).unwrap().is_match(text.as_bytes())
    }

    #[test]
    fn anchored_at_both_ends() {
        assert!(matches(r"[A-Z]{3}-\d+", "ABC-12"));
        assert!(!matches(r"[A-Z]{3}-\d+", "xABC-12"));
        assert!(!matches(r"[A-Z]{3}-\d+", "ABC-12x"));
        assert!(matches("a|ab", "ab"), "the longer branch counts though the shorter matched first");
        assert!(!matches("a|b", "ab"));
        assert!(matches("", "") && !matches("", "a"));
    }

    #[test]
    fn a_line_break_does_not_step_around_a_test() {
        assert!(matches(".*evil.*", "a\nevil\nb"));
        assert!(!matches("[a-z]+$", "ok\n"));
    }

    #[test]
    fn classes_are_ascii_and_bytes_are_any() {
        assert!(!matches(r"\d", "٣"));
        assert!(matches(r"(?u:\d)", "٣"));
        assert!(matches("é.", "éx"));
        assert!(Regex::new(r"a.c").unwrap().is_match(b"a\xffc"));
    }

    #[test]
    fn refusals_say_why() {
        let RegexError::Syntax { range, .. } = Regex::new("ab(c").unwrap_err() else { panic!() };
        assert_eq!(range, 2..3);
        assert_eq!(Regex::new(r"(?:a|b)*a(?:a|b){24}").unwrap_err(), RegexError::TooLarge);
        assert_eq!(Regex::new(r"(?:.{1000}){1000}").unwrap_err(), RegexError::TooLarge);
    }
}
