//! Automata over the bytes of one segment, and the walk over several of them at once.

use super::{Algebra, Dfa, Domain, Undecided};
use crate::tree::bytes::{segment_byte, unreserved};
use crate::tree::ir::{Class, Segment};
use crate::tree::regex::{self, RegexError};
use regex_automata::dfa::Automaton;
use regex_automata::util::primitives::StateID;
use regex_syntax::hir::{self, Hir, HirKind, Look, Repetition};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

/// Automata that a thread remembers at most.
const MOST_BUILT: usize = 4096;

type Built = Result<Arc<Dfa>, Undecided>;

thread_local! {
    static BUILT: RefCell<HashMap<(Domain, Segment), Built>> = RefCell::default();
}

impl Algebra {
    /// The automaton of a segment.
    pub(super) fn automaton(&self, segment: &Segment) -> Result<Arc<Dfa>, Undecided> {
        // Many sites have the same captures: what one site built, the next one finds.
        let key = (self.domain, segment.clone());
        if let Some(known) = BUILT.with_borrow(|built| built.get(&key).cloned()) {
            return known;
        }
        let made = hir_of(segment, self.domain).and_then(|hir| build(&hir));
        BUILT.with_borrow_mut(|built| {
            if built.len() >= MOST_BUILT {
                built.clear();
            }
            built.insert(key, made.clone());
        });
        made
    }

    /// Walks all texts of the domain, shortest and most readable first, one for each state that the
    /// automata can be in together; `visit` sees which of them accept and the text.
    pub(super) fn walk(
        &self,
        automata: &[Arc<Dfa>],
        needed: &[bool],
        mut visit: impl FnMut(&[bool], &dyn Fn() -> String) -> ControlFlow<()>,
    ) -> Result<(), Undecided> {
        let domain = domain_automata(self.domain);
        let all: Vec<&Dfa> = domain.iter().chain(automata).map(|dfa| &**dfa).collect();
        let bytes = representative_bytes(&all, self.domain);
        let start: Option<Box<[StateID]>> = all.iter().map(|dfa| regex::start_state(dfa)).collect();
        let start = start.ok_or(Undecided::LooksAround)?;
        // The texts of the domain must remain possible, as must all that are needed.
        let hopeless = |states: &[StateID]| {
            let dead = |at: usize| all[at].is_dead_state(states[at]) || all[at].is_quit_state(states[at]);
            dead(0) || (0..automata.len()).any(|at| needed[at] && dead(at + domain.len()))
        };
        let mut seen: HashMap<Box<[StateID]>, ()> = HashMap::new();
        let mut nodes: Vec<(Box<[StateID]>, usize, u8)> = vec![(start.clone(), usize::MAX, 0)];
        seen.insert(start, ());
        let mut accepts = vec![false; automata.len()];
        let mut next = 0;
        while next < nodes.len() {
            let states = nodes[next].0.clone();
            let ends = |at: usize| all[at].is_match_state(all[at].next_eoi_state(states[at]));
            if ends(0) && !(1..domain.len()).any(ends) {
                for (at, accept) in accepts.iter_mut().enumerate() {
                    *accept = ends(at + domain.len());
                }
                let text = || String::from_utf8_lossy(&regex::trail(&nodes, next)).into_owned();
                if visit(&accepts, &text).is_break() {
                    return Ok(());
                }
            }
            for &byte in &bytes {
                let after: Box<[StateID]> =
                    all.iter().zip(&states).map(|(dfa, &state)| dfa.next_state(state, byte)).collect();
                if hopeless(&after) || seen.contains_key(&after) {
                    continue;
                }
                if nodes.len() >= self.limit {
                    return Err(Undecided::TooLarge);
                }
                seen.insert(after.clone(), ());
                nodes.push((after, next, byte));
            }
            next += 1;
        }
        Ok(())
    }
}

/// One byte of every kind that the automata tell apart, those that read best first.
fn representative_bytes(all: &[&Dfa], domain: Domain) -> Vec<u8> {
    let readable = (b'x'..=b'x').chain(b'a'..=b'z').chain(b'7'..=b'7').chain(b'0'..=b'9').chain(b'A'..=b'Z');
    let rest = (0x21..=0x7e).filter(|b| *b != b'%' && *b != b'/').chain(*b"%");
    let mut kinds: HashMap<Vec<u8>, ()> = HashMap::new();
    readable
        .chain(rest)
        .filter(|byte| match domain {
            Domain::Path => true,
            Domain::Host => label_byte(*byte),
        })
        .filter(|byte| kinds.insert(all.iter().map(|dfa| dfa.byte_classes().get(*byte)).collect(), ()).is_none())
        .collect()
}

pub(super) fn label_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

/// What every text of the domain is, and then what none is.
fn domain_automata(domain: Domain) -> &'static [Arc<Dfa>] {
    static PATH: OnceLock<Vec<Arc<Dfa>>> = OnceLock::new();
    static HOST: OnceLock<Vec<Arc<Dfa>>> = OnceLock::new();
    let built = |all: &[Hir]| all.iter().map(|hir| build(hir).expect("these automata have a few states")).collect();
    match domain {
        Domain::Path => PATH.get_or_init(|| {
            // Canonical segments hold no escapes of these, and none of them is a dot segment.
            let texts = encoded((0..=255).filter(|b| !matches!(b, 0 | b'\\')));
            built(&[repeat(texts, 1, None), Hir::alternation(vec![literal("."), literal("..")])])
        }),
        Domain::Host => HOST.get_or_init(|| built(&[repeat(bytes((0..=255).filter(|b| label_byte(*b))), 1, None)])),
    }
}

pub(super) fn build(hir: &Hir) -> Result<Arc<Dfa>, Undecided> {
    match regex::automaton(std::slice::from_ref(hir)) {
        Ok(dfa) => Ok(Arc::new(dfa)),
        Err(RegexError::TooLarge | RegexError::Syntax { .. }) => Err(Undecided::TooLarge),
        Err(RegexError::Unsupported(_)) => Err(Undecided::LooksAround),
    }
}

pub(super) fn hir_of(segment: &Segment, domain: Domain) -> Result<Hir, Undecided> {
    match segment {
        Segment::Lit(text) => Ok(literal(text)),
        Segment::Capture { prefix, class, suffix } => {
            Ok(Hir::concat(vec![literal(prefix), hir_of_class(class, domain)?, literal(suffix)]))
        }
    }
}

fn hir_of_class(class: &Class, domain: Domain) -> Result<Hir, Undecided> {
    let digits = || bytes(b'0'..=b'9');
    let hex = |n| repeat(bytes((b'0'..=b'9').chain(b'a'..=b'f').chain(b'A'..=b'F')), n, Some(n));
    Ok(match class {
        Class::Any => match domain {
            Domain::Path => repeat(encoded(0..=255), 1, None),
            Domain::Host => repeat(bytes(0..=255), 1, None),
        },
        Class::Set(all) => Hir::alternation(all.iter().map(|one| literal(one)).collect()),
        Class::Int => {
            Hir::alternation(vec![literal("0"), Hir::concat(vec![bytes(b'1'..=b'9'), repeat(digits(), 0, Some(17))])])
        }
        Class::Uuid => Hir::concat(vec![
            hex(8),
            literal("-"),
            hex(4),
            literal("-"),
            hex(4),
            literal("-"),
            hex(4),
            literal("-"),
            hex(12),
        ]),
        Class::Regex(regex) => non_empty(&translate(&without_anchors(regex.hir()), domain.into())?),
    })
}

/// The texts of an expression but the empty one: a capture takes one byte or more.
pub(super) fn non_empty(hir: &Hir) -> Hir {
    if !nullable(hir) {
        return hir.clone();
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Literal(_) | HirKind::Class(_) => Hir::fail(),
        HirKind::Alternation(all) => Hir::alternation(all.iter().map(non_empty).collect()),
        HirKind::Capture(capture) => non_empty(&capture.sub),
        HirKind::Repetition(r) if r.max == Some(0) => Hir::fail(),
        HirKind::Repetition(r) => repeat(non_empty(&r.sub), 1, r.max),
        // The first part that takes something, those before it being empty.
        HirKind::Concat(all) => {
            let first = |at: usize| {
                let rest = all[at + 1..].iter().cloned();
                Hir::concat(std::iter::once(non_empty(&all[at])).chain(rest).collect())
            };
            let empty_before = all.iter().take_while(|part| nullable(part)).count();
            Hir::alternation((0..=empty_before.min(all.len() - 1)).map(first).collect())
        }
    }
}

/// Whether the empty text is one of an expression. What the library knows of lengths does not tell: an
/// alternative that matches nothing leaves it without an answer.
fn nullable(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(text) => text.0.is_empty(),
        HirKind::Class(_) => false,
        HirKind::Repetition(r) => r.min == 0 || nullable(&r.sub),
        HirKind::Capture(capture) => nullable(&capture.sub),
        HirKind::Concat(all) => all.iter().all(nullable),
        HirKind::Alternation(all) => all.iter().any(nullable),
    }
}

pub(super) fn literal(text: &str) -> Hir {
    Hir::literal(text.as_bytes())
}

pub(super) fn bytes(all: impl Iterator<Item = u8>) -> Hir {
    Hir::class(hir::Class::Bytes(hir::ClassBytes::new(all.map(|b| hir::ClassBytesRange::new(b, b)))))
}

pub(super) fn repeat(sub: Hir, min: u32, max: Option<u32>) -> Hir {
    Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(sub) })
}

/// The canonical spellings of one byte out of these: itself where it may stand in a segment, and its
/// escape unless it must not be escaped.
pub(super) fn encoded(all: impl Iterator<Item = u8>) -> Hir {
    let mut plain = Vec::new();
    let mut by_high: [Vec<u8>; 16] = Default::default();
    for byte in all {
        if segment_byte(byte) {
            plain.push(byte);
        }
        if !unreserved(byte) {
            by_high[usize::from(byte >> 4)].push(hex_digit(byte & 15));
        }
    }
    let escapes = by_high.into_iter().enumerate().filter(|(_, low)| !low.is_empty()).map(|(high, low)| {
        let high = hex_digit(high as u8);
        Hir::concat(vec![Hir::literal([b'%', high]), bytes(low.into_iter())])
    });
    Hir::alternation(std::iter::once(bytes(plain.into_iter())).chain(escapes).collect())
}

fn hex_digit(digit: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(digit & 15)]
}

/// Without a `^` before everything and a `$` after it: values are matched whole anyway.
pub(super) fn without_anchors(hir: &Hir) -> Hir {
    let is = |hir: &Hir, look| matches!(hir.kind(), HirKind::Look(l) if *l == look);
    match hir.kind() {
        HirKind::Concat(all) => {
            let mut all = &all[..];
            while let [first, rest @ ..] = all
                && is(first, Look::Start)
            {
                all = rest;
            }
            while let [rest @ .., last] = all
                && is(last, Look::End)
            {
                all = rest;
            }
            Hir::concat(all.to_vec())
        }
        HirKind::Capture(capture) => without_anchors(&capture.sub),
        HirKind::Look(Look::Start | Look::End) => Hir::empty(),
        HirKind::Empty
        | HirKind::Literal(_)
        | HirKind::Class(_)
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Alternation(_) => hir.clone(),
    }
}

/// How a byte of decoded text can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Spelling {
    /// As itself.
    Plain,
    /// In a segment of a path: itself where it may stand there, or its escape.
    Segment,
    /// In several segments: a slash as itself too.
    Path,
}

impl From<Domain> for Spelling {
    fn from(domain: Domain) -> Self {
        match domain {
            Domain::Path => Self::Segment,
            Domain::Host => Self::Plain,
        }
    }
}

/// An expression over decoded text as one over spellings.
pub(super) fn translate(hir: &Hir, spelling: Spelling) -> Result<Hir, Undecided> {
    let all = |all: &[Hir]| all.iter().map(|h| translate(h, spelling)).collect::<Result<Vec<_>, _>>();
    let spelled = |set: &mut dyn Iterator<Item = u8>| match spelling {
        Spelling::Plain => bytes(set),
        Spelling::Segment => encoded(set),
        Spelling::Path => {
            let set: Vec<u8> = set.collect();
            let slash = set.contains(&b'/').then(|| literal("/"));
            Hir::alternation(slash.into_iter().chain([encoded(set.into_iter())]).collect())
        }
    };
    Ok(match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(text) => Hir::concat(text.0.iter().map(|b| spelled(&mut std::iter::once(*b))).collect()),
        HirKind::Class(hir::Class::Bytes(class)) => {
            spelled(&mut class.ranges().iter().flat_map(|r| r.start()..=r.end()))
        }
        HirKind::Class(hir::Class::Unicode(class)) => {
            let sequences =
                class.ranges().iter().flat_map(|r| regex_syntax::utf8::Utf8Sequences::new(r.start(), r.end()));
            Hir::alternation(
                sequences
                    .map(|s| Hir::concat(s.as_slice().iter().map(|r| spelled(&mut (r.start..=r.end))).collect()))
                    .collect(),
            )
        }
        HirKind::Look(_) => return Err(Undecided::LooksAround),
        HirKind::Repetition(r) => repeat(translate(&r.sub, spelling)?, r.min, r.max),
        HirKind::Capture(capture) => translate(&capture.sub, spelling)?,
        HirKind::Concat(parts) => Hir::concat(all(parts)?),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)?),
    })
}
