//! Classes of a field: the values between which no test of a chain distinguishes.

use crate::tree::bytes::Bytes;
use crate::tree::eval;
use crate::tree::fault::{self, Fault};
use crate::tree::fields::{self, Read, Text};
use crate::tree::ir::{Cond, Field, Order, Test};
use crate::tree::regex;
use crate::tree::request::Request;
use regex_automata::dfa::{Automaton, dense};
use regex_automata::util::primitives::StateID;
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, Repetition};
use std::collections::HashMap;
use std::net::IpAddr;

/// Which tests are true, in the order of the column's tests.
pub(crate) type Signature = Box<[bool]>;

/// A class, by its place in [`Column::classes`].
pub(crate) type ClassId = u32;

/// What divides the values of a field.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// What is tested.
    pub(crate) field: Field,
    /// By what.
    pub(crate) tests: Vec<Test>,
    /// What each class means.
    pub(crate) classes: Vec<Signature>,
    reader: Reader,
}

/// How the class of a value is found.
#[derive(Clone, Debug)]
enum Reader {
    /// Equality with constants only: hash, text, class; sorted by hash.
    Switch { constants: Vec<(u64, Box<[u8]>, ClassId)>, other: ClassId },
    /// By the state at the end of the text, where any test matches; sorted.
    Automaton { dfa: Box<dense::DFA<Vec<u32>>>, ends: Vec<(StateID, ClassId)>, other: ClassId },
    /// Where ranges of addresses begin, of both families; and what is no address.
    Nets { v4: Vec<(u32, ClassId)>, v6: Vec<(u128, ClassId)>, other: ClassId },
    /// Where ranges of numbers begin; and what is no number.
    Numbers { starts: Vec<(i64, ClassId)>, other: ClassId },
}

/// The kinds of column that a field can have beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Texts.
    Text,
    /// Addresses.
    Nets,
    /// Numbers.
    Numbers,
    /// Not divided: the test is evaluated. Copies of a field that `has` looks at are not one value.
    Holds,
}

/// Which kind of column a test belongs to.
pub(crate) fn kind(field: &Field, test: &Test) -> Kind {
    match test {
        Test::Has(_) if fields::has_copies(field) => Kind::Holds,
        Test::Present | Test::OneOf(_) | Test::StartsWith(_) | Test::EndsWith(_) | Test::Has(_) | Test::Matches(_) => {
            Kind::Text
        }
        Test::InNets(_) => Kind::Nets,
        Test::Number(..) => Kind::Numbers,
    }
}

/// The class of a missing field.
pub(crate) const ABSENT: ClassId = 0;

impl Column {
    /// The column of some tests of one kind; `None` when its automaton would be too large.
    pub(crate) fn new(field: Field, kind: Kind, tests: Vec<Test>) -> Option<Self> {
        let mut classes = Classes::new(tests.len());
        let reader = match kind {
            Kind::Text if tests.iter().all(|t| matches!(t, Test::Present | Test::OneOf(_))) => {
                switch(&tests, &mut classes)
            }
            Kind::Text => automaton(&tests, &mut classes)?,
            Kind::Nets => nets(&tests, &mut classes),
            Kind::Numbers => numbers(&tests, &mut classes),
            Kind::Holds => return None,
        };
        Some(Self { field, tests, classes: classes.all, reader })
    }

    /// The class of a request. Values that conflict were refused before.
    #[inline]
    pub(crate) fn classify(&self, req: &impl Request) -> ClassId {
        match fields::read(&self.field, req) {
            Read::Missing | Read::Conflict => ABSENT,
            Read::One(text) => self.reader.class(&text),
        }
    }

    /// A short text of a class, if it has one that can be sent.
    pub(crate) fn example(&self, class: ClassId, allowed: &dyn Fn(u8) -> bool) -> Option<String> {
        match &self.reader {
            Reader::Switch { constants, other } if class == *other => {
                let fresh = ["x", "y", "other", "x1", "x2", "x3", "0"].iter().map(ToString::to_string);
                let mut fresh = fresh.chain((4..).map(|n| format!("x{n}")));
                fresh.find(|text| constants.iter().all(|(_, taken, _)| **taken != *text.as_bytes()))
            }
            Reader::Switch { constants, .. } => {
                let texts = constants.iter().filter(|(_, _, c)| *c == class).map(|(_, text, _)| text);
                texts.filter_map(|text| std::str::from_utf8(text).ok()).min_by_key(|t| t.len()).map(str::to_owned)
            }
            Reader::Automaton { dfa, ends, other } => {
                let class_at = |state| ends.binary_search_by_key(&state, |(s, _)| *s).map_or(*other, |at| ends[at].1);
                let mut found = None;
                explore(dfa, allowed, |end, text| {
                    found = (class_at(end) == class).then(|| String::from_utf8(text()).ok()).flatten();
                    found.is_some()
                });
                found
            }
            Reader::Nets { v4, v6, other } => {
                let v4 = v4.iter().filter(|(_, c)| *c == class).map(|(start, _)| IpAddr::from(start.to_be_bytes()));
                let v6 = v6.iter().filter(|(_, c)| *c == class).map(|(start, _)| IpAddr::from(start.to_be_bytes()));
                let ip = v4.chain(v6).next().map(|ip| ip.to_string());
                ip.or_else(|| (class == *other).then(|| "x".into()))
            }
            Reader::Numbers { starts, other } => {
                let start = starts.iter().find(|(_, c)| *c == class);
                start.map(|(start, _)| start.to_string()).or_else(|| (class == *other).then(|| "x".into()))
            }
        }
    }
}

impl Reader {
    fn class(&self, text: &Text<'_>) -> ClassId {
        match self {
            Self::Switch { constants, other } => text.with(|bytes| {
                let hash = fnv(bytes);
                let from = constants.partition_point(|(h, _, _)| *h < hash);
                let same = constants[from..].iter().take_while(|(h, _, _)| *h == hash);
                same.into_iter().find(|(_, constant, _)| bytes.is(constant)).map_or(*other, |(_, _, class)| *class)
            }),
            Self::Automaton { dfa, ends, other } => text.with(|bytes| {
                let end = regex::run(dfa, bytes).filter(|end| dfa.is_match_state(*end));
                let at = end.and_then(|end| ends.binary_search_by_key(&end, |(state, _)| *state).ok());
                at.map_or(*other, |at| ends[at].1)
            }),
            Self::Nets { v4, v6, other } => match text.ip() {
                Some(IpAddr::V4(ip)) => at_or_before(v4, u32::from(ip)).unwrap_or(*other),
                Some(IpAddr::V6(ip)) => at_or_before(v6, u128::from(ip)).unwrap_or(*other),
                None => *other,
            },
            Self::Numbers { starts, other } => text.number().and_then(|n| at_or_before(starts, n)).unwrap_or(*other),
        }
    }
}

/// The class of the range that a value lies in.
fn at_or_before<N: Ord + Copy>(starts: &[(N, ClassId)], value: N) -> Option<ClassId> {
    let at = starts.partition_point(|(start, _)| *start <= value).checked_sub(1)?;
    Some(starts[at].1)
}

/// Numbers signatures; that of the missing value is there from the beginning.
struct Classes {
    all: Vec<Signature>,
    known: HashMap<Signature, ClassId>,
}

impl Classes {
    fn new(tests: usize) -> Self {
        let mut classes = Self { all: Vec::new(), known: HashMap::new() };
        // A class of its own even where a present value can fail all tests likewise.
        classes.all.push(vec![fault::made(Fault::MissingIsTrue); tests].into());
        classes
    }

    fn id(&mut self, signature: Signature) -> ClassId {
        let next = ClassId::try_from(self.all.len()).expect("classes are bounded by the automaton's states");
        *self.known.entry(signature).or_insert_with_key(|signature| {
            self.all.push(signature.clone());
            next
        })
    }
}

fn switch(tests: &[Test], classes: &mut Classes) -> Reader {
    let signature = |text: Option<&str>| -> Signature {
        let is = |test: &Test| match test {
            Test::Present => true,
            Test::OneOf(all) => text.is_some_and(|text| all.iter().any(|one| **one == *text)),
            Test::StartsWith(_)
            | Test::EndsWith(_)
            | Test::Has(_)
            | Test::Matches(_)
            | Test::InNets(_)
            | Test::Number(..) => false,
        };
        tests.iter().map(is).collect()
    };
    let mut texts: Vec<&str> = tests
        .iter()
        .filter_map(|test| match test {
            Test::OneOf(all) => Some(all.iter().map(|one| &**one)),
            Test::Present
            | Test::StartsWith(_)
            | Test::EndsWith(_)
            | Test::Has(_)
            | Test::Matches(_)
            | Test::InNets(_)
            | Test::Number(..) => None,
        })
        .flatten()
        .collect();
    texts.sort_unstable();
    texts.dedup();
    let other = classes.id(signature(None));
    let mut constants: Vec<(u64, Box<[u8]>, ClassId)> = texts
        .into_iter()
        .map(|text| (fnv(Bytes::raw(text.as_bytes())), text.as_bytes().into(), classes.id(signature(Some(text)))))
        .collect();
    constants.sort_unstable();
    Reader::Switch { constants, other }
}

/// FNV-1a: texts come byte by byte, decoded on the way, and are short.
fn fnv(bytes: Bytes<'_>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn automaton(tests: &[Test], classes: &mut Classes) -> Option<Reader> {
    let patterns: Vec<Hir> = tests.iter().map(pattern).collect();
    let dfa = regex::automaton(&patterns).ok()?;
    let other = classes.id(vec![false; tests.len()].into());
    let mut ends = Vec::new();
    explore(&dfa, &|_| true, |end, _| {
        if dfa.is_match_state(end) {
            let mut signature = vec![false; tests.len()];
            (0..dfa.match_len(end)).for_each(|at| signature[dfa.match_pattern(end, at).as_usize()] = true);
            ends.push((end, classes.id(signature.into())));
        }
        false
    });
    ends.sort_unstable();
    ends.dedup();
    Some(Reader::Automaton { dfa: Box::new(dfa), ends, other })
}

/// The texts that pass a test.
pub(crate) fn pattern(test: &Test) -> Hir {
    let anything = || {
        let byte = Hir::class(Class::Bytes(ClassBytes::new([ClassBytesRange::new(0, 255)])));
        Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub: Box::new(byte) })
    };
    let literal = |text: &str| Hir::literal(text.as_bytes());
    match test {
        Test::Present => anything(),
        Test::OneOf(all) => Hir::alternation(all.iter().map(|one| literal(one)).collect()),
        Test::StartsWith(text) => Hir::concat(vec![literal(text), anything()]),
        Test::EndsWith(text) => Hir::concat(vec![anything(), literal(text)]),
        Test::Has(text) => Hir::concat(vec![anything(), literal(text), anything()]),
        Test::Matches(regex) => regex.hir().clone(),
        // Of other kinds.
        Test::InNets(_) | Test::Number(..) => Hir::fail(),
    }
}

/// Visits the state behind each text, shortest texts first, one text for each state.
fn explore(
    dfa: &dense::DFA<Vec<u32>>,
    allowed: &dyn Fn(u8) -> bool,
    mut stop: impl FnMut(StateID, &dyn Fn() -> Vec<u8>) -> bool,
) {
    let Some(start) = regex::start_state(dfa) else { return };
    let readable = (b'x'..=b'z').chain(b'a'..=b'w').chain(b'7'..=b'9').chain(b'0'..=b'6').chain(b'A'..=b'Z');
    let mut kinds = [false; 256];
    let bytes: Vec<u8> = readable
        .chain(0x20..=0x7e)
        .chain(0..=0x1f)
        .chain(0x7f..=0xff)
        .filter(|byte| allowed(*byte))
        .filter(|byte| !std::mem::replace(&mut kinds[usize::from(dfa.byte_classes().get(*byte))], true))
        .collect();
    let mut nodes = vec![(start, usize::MAX, 0)];
    let mut seen = std::collections::HashSet::from([start]);
    let mut at = 0;
    while at < nodes.len() {
        let state = nodes[at].0;
        let text = || regex::trail(&nodes, at);
        if stop(dfa.next_eoi_state(state), &text) {
            return;
        }
        for &byte in &bytes {
            let next = dfa.next_state(state, byte);
            if seen.insert(next) {
                nodes.push((next, at, byte));
            }
        }
        at += 1;
    }
}

fn nets(tests: &[Test], classes: &mut Classes) -> Reader {
    let all = || {
        tests.iter().enumerate().flat_map(|(at, test)| match test {
            Test::InNets(nets) => nets.iter().map(|net| (at, net)).collect::<Vec<_>>(),
            Test::Present
            | Test::OneOf(_)
            | Test::StartsWith(_)
            | Test::EndsWith(_)
            | Test::Has(_)
            | Test::Matches(_)
            | Test::Number(..) => Vec::new(),
        })
    };
    let mut v4 = Vec::new();
    let mut v6 = Vec::new();
    for (test, net) in all() {
        match net {
            ipnet::IpNet::V4(net) => v4.push((u32::from(net.network()), u32::from(net.broadcast()), test)),
            ipnet::IpNet::V6(net) => v6.push((u128::from(net.network()), u128::from(net.broadcast()), test)),
        }
    }
    let other = classes.id(vec![false; tests.len()].into());
    let v4 = ranges(0, v4, |n| n.checked_add(1), tests.len(), classes);
    let v6 = ranges(0, v6, |n| n.checked_add(1), tests.len(), classes);
    Reader::Nets { v4, v6, other }
}

fn numbers(tests: &[Test], classes: &mut Classes) -> Reader {
    // What a number of a request can be: `[0-9]{1,18}`.
    const MOST: i64 = 999_999_999_999_999_999;
    let mut all = Vec::new();
    for (at, test) in tests.iter().enumerate() {
        let (first, last) = match test {
            Test::Number(Order::Eq, n) => (*n, *n),
            Test::Number(Order::Le, n) => (0, *n),
            Test::Number(Order::Ge, n) => (*n, MOST),
            Test::Number(Order::Lt, n) => (0, n.saturating_sub(1)),
            Test::Number(Order::Gt, n) => (n.saturating_add(1), MOST),
            Test::Present
            | Test::OneOf(_)
            | Test::StartsWith(_)
            | Test::EndsWith(_)
            | Test::Has(_)
            | Test::Matches(_)
            | Test::InNets(_) => continue,
        };
        let (first, last) = (first.max(0), last.min(MOST));
        if first <= last {
            all.push((first, last, at));
        }
    }
    let other = classes.id(vec![false; tests.len()].into());
    let starts = ranges(0, all, |n| (n < MOST).then(|| n + 1), tests.len(), classes);
    Reader::Numbers { starts, other }
}

/// Disjoint ranges, by where they begin, from ranges that overlap: bounds are included, with a test each.
fn ranges<N: Ord + Copy>(
    least: N,
    all: Vec<(N, N, usize)>,
    after: impl Fn(N) -> Option<N>,
    tests: usize,
    classes: &mut Classes,
) -> Vec<(N, ClassId)> {
    // How many ranges of each test begin, or no longer hold, at a point.
    let mut events: Vec<(N, usize, i32)> = Vec::with_capacity(all.len() * 2);
    for (first, last, test) in all {
        events.push((first, test, 1));
        events.extend(after(last).map(|end| (end, test, -1)));
    }
    events.sort_unstable();
    let mut open = vec![0; tests];
    let mut starts = Vec::new();
    let mut class = classes.id(vec![false; tests].into());
    starts.push((least, class));
    let mut at = 0;
    while at < events.len() {
        let point = events[at].0;
        while at < events.len() && events[at].0 == point {
            open[events[at].1] += events[at].2;
            at += 1;
        }
        let here = classes.id(open.iter().map(|n| *n > 0).collect());
        if here != class {
            class = here;
            if starts.last().is_some_and(|(start, _)| *start == point) {
                starts.pop();
            }
            starts.push((point, class));
        }
    }
    starts
}

/// A leaf that is evaluated instead of being divided into classes.
pub(crate) fn holds(leaf: &Cond, req: &impl Request) -> bool {
    eval::holds(leaf, req)
}
