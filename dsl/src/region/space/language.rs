//! The texts that pass a test, as automata.

use crate::region::automata::{self, Spelling, build, literal, repeat, translate, without_anchors};
use crate::region::{Dfa, Domain, Undecided};
use crate::tree::guard::column;
use crate::tree::ir::{Capture, Order, Segment, Test};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// The largest number that a test compares: `[0-9]{1,18}`.
pub(super) const MOST: i64 = 999_999_999_999_999_999;

/// The numbers that pass, both ends included; `None` where no number does.
pub(super) fn bounds(order: Order, n: i64) -> Option<(i64, i64)> {
    let (first, last) = match order {
        Order::Eq => (n, n),
        Order::Le => (0, n),
        Order::Ge => (n, MOST),
        Order::Lt => (0, n.checked_sub(1)?),
        Order::Gt => (n.checked_add(1)?, MOST),
    };
    let (first, last) = (first.max(0), last.min(MOST));
    (first <= last).then_some((first, last))
}

/// The texts that pass a test; `None` for tests of addresses, which have too many spellings.
pub(super) fn of_test(test: &Test) -> Option<Hir> {
    match test {
        Test::InNets(_) => None,
        Test::Number(order, n) => {
            Some(bounds(*order, *n).map_or_else(Hir::fail, |(first, last)| numbers(first as u64, last as u64)))
        }
        Test::Present | Test::OneOf(_) | Test::StartsWith(_) | Test::EndsWith(_) | Test::Has(_) | Test::Matches(_) => {
            Some(column::pattern(test))
        }
    }
}

/// Decimal numbers of at most 18 digits in a range, leading zeros allowed.
fn numbers(first: u64, last: u64) -> Hir {
    let zeros = |least, most: u32| repeat(automata::bytes(b'0'..=b'0'), least, Some(most));
    let mut all = Vec::new();
    if first == 0 {
        all.push(zeros(1, 18));
    }
    for digits in 1..=18u32 {
        let (low, high) = (10u64.pow(digits - 1), 10u64.pow(digits) - 1);
        let (low, high) = (low.max(first), high.min(last));
        if low <= high {
            all.push(Hir::concat(vec![zeros(0, 18 - digits), same_length(&low.to_string(), &high.to_string())]));
        }
    }
    Hir::alternation(all)
}

/// The numbers that ports have, as they are written.
fn ports() -> Hir {
    let all = [(0, 9), (10, 99), (100, 999), (1_000, 9_999), (10_000, u16::MAX)];
    Hir::alternation(all.iter().map(|(low, high)| same_length(&low.to_string(), &high.to_string())).collect())
}

/// Numbers between two of the same length, written with as many digits.
fn same_length(low: &str, high: &str) -> Hir {
    let digit = |from: u8, to: u8| automata::bytes(from..=to);
    let any = |n: usize| repeat(digit(b'0', b'9'), n as u32, Some(n as u32));
    let (Some((&l, low)), Some((&h, high))) = (low.as_bytes().split_first(), high.as_bytes().split_first()) else {
        return Hir::empty();
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (low, high) = (text(low), text(high));
    let (nines, zeros) = ("9".repeat(low.len()), "0".repeat(low.len()));
    if l == h {
        return Hir::concat(vec![digit(l, l), same_length(&low, &high)]);
    }
    let mut all = Vec::new();
    if low == zeros && high == nines {
        return Hir::concat(vec![digit(l, h), any(low.len())]);
    }
    all.push(Hir::concat(vec![digit(l, l), same_length(&low, &nines)]));
    if l + 1 < h {
        all.push(Hir::concat(vec![digit(l + 1, h - 1), any(low.len())]));
    }
    all.push(Hir::concat(vec![digit(h, h), same_length(&zeros, &high)]));
    Hir::alternation(all)
}

fn anything() -> Hir {
    repeat(automata::bytes(0..=255), 0, None)
}

/// Bytes of a path but its slashes.
fn no_slash(least: u32, most: Option<u32>) -> Hir {
    repeat(automata::bytes((0..=255).filter(|b| *b != b'/')), least, most)
}

/// Automata that were built on this thread: many sites ask the same.
#[derive(Default)]
struct Known {
    all: HashMap<String, Result<Arc<Dfa>, Undecided>>,
}

/// Automata that are remembered at most.
const MOST_KNOWN: usize = 2048;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// What is known by a name, built where it is not.
fn known(name: String, make: impl FnOnce() -> Result<Arc<Dfa>, Undecided>) -> Result<Arc<Dfa>, Undecided> {
    if let Some(found) = KNOWN.with_borrow(|known| known.all.get(&name).cloned()) {
        return found;
    }
    let made = make();
    KNOWN.with_borrow_mut(|known| {
        if known.all.len() >= MOST_KNOWN {
            known.all.clear();
        }
        known.all.insert(name, made.clone());
    });
    made
}

/// The segments that a pattern's segment matches.
pub(super) fn of_segment(segment: &Segment) -> Result<Arc<Dfa>, Undecided> {
    known(format!("segment {segment:?}"), || build(&automata::hir_of(segment, Domain::Path)?))
}

/// The canonical paths of which `request.path` passes a test.
pub(super) fn of_path(test: &Test) -> Result<Arc<Dfa>, Undecided> {
    of_text(test)
}

/// The canonical paths of which a capture passes a test: one of a segment or of the rest.
///
/// Between its neighbours a capture never begins or ends inside an escape, which the patterns it
/// stands in see to.
pub(super) fn of_capture(capture: &Capture, test: &Test) -> Result<Arc<Dfa>, Undecided> {
    known(format!("{capture:?} {test:?}"), || build_capture(capture, test))
}

fn build_capture(capture: &Capture, test: &Test) -> Result<Arc<Dfa>, Undecided> {
    let hir = without_anchors(&of_test(test).ok_or(Undecided::TooLarge)?);
    match capture {
        Capture::Segment { index, prefix, suffix } => {
            let value = translate(&hir, Spelling::Segment)?;
            let some = automata::non_empty(&value);
            let cut = Hir::concat(vec![no_slash(*prefix, Some(*prefix)), some, no_slash(*suffix, Some(*suffix))]);
            let before = Hir::concat(vec![literal("/"), no_slash(1, None)]);
            build(&Hir::concat(vec![
                repeat(before, *index, Some(*index)),
                literal("/"),
                cut,
                Hir::alternation(vec![Hir::empty(), Hir::concat(vec![literal("/"), anything()])]),
            ]))
        }
        Capture::Splat { from } => {
            let value = translate(&hir, Spelling::Path)?;
            let step = || Hir::concat(vec![no_slash(0, None), literal("/")]);
            let mut all = vec![Hir::concat(vec![literal("/"), repeat(step(), *from, Some(*from)), value])];
            if *from > 0 && passes_empty(test) {
                let fewer = repeat(step(), 0, Some(*from - 1));
                all.push(Hir::concat(vec![literal("/"), fewer, no_slash(0, None)]));
            }
            build(&Hir::alternation(all))
        }
        Capture::Host { .. } => Err(Undecided::TooLarge),
    }
}

/// Whether an empty text passes.
fn passes_empty(test: &Test) -> bool {
    crate::tree::eval::test_text(&crate::tree::fields::Text::Bytes(crate::tree::bytes::Bytes::raw(b"")), test)
}

/// The hosts that pass a test, whole or in the first label.
pub(super) fn of_host(capture: Option<(u32, u32)>, test: &Test) -> Result<Arc<Dfa>, Undecided> {
    known(format!("host {capture:?} {test:?}"), || build_host(capture, test))
}

fn build_host(capture: Option<(u32, u32)>, test: &Test) -> Result<Arc<Dfa>, Undecided> {
    let hir = of_test(test).ok_or(Undecided::TooLarge)?;
    let Some((prefix, suffix)) = capture else { return build(&hir) };
    let label = |n: u32| repeat(automata::bytes((0..=255).filter(|b| *b != b'.')), n, Some(n));
    let value = automata::non_empty(&translate(&without_anchors(&hir), Spelling::Plain)?);
    build(&Hir::concat(vec![
        label(prefix),
        value,
        label(suffix),
        Hir::alternation(vec![Hir::empty(), Hir::concat(vec![literal("."), anything()])]),
    ]))
}

/// A text of a header, cookie, query field or the like.
pub(super) fn of_text(test: &Test) -> Result<Arc<Dfa>, Undecided> {
    known(format!("text {test:?}"), || build(&of_test(test).ok_or(Undecided::TooLarge)?))
}

/// Which texts a field can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Texts {
    /// RFC 9110 section 5.5, without the spaces at its ends that no recipient sees.
    Header,
    /// The same, up to a `;`.
    Cookie,
    /// Any bytes: they are escaped.
    Query,
    /// RFC 9110 section 5.6.2.
    Token,
    /// Labels and dots.
    Host,
    /// The number of a port.
    Port,
}

/// The texts that there are.
pub(super) fn texts(of: Texts) -> &'static Dfa {
    static ALL: OnceLock<[Dfa; 6]> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let words = |also: &'static dyn Fn(u8) -> bool| {
            let inner = move |b: u8| (b > b' ' && b != 0x7f) && also(b);
            let word = repeat(set(inner), 1, None);
            let more = Hir::concat(vec![repeat(set(|b| b == b' ' || b == b'\t'), 1, None), word.clone()]);
            Hir::alternation(vec![Hir::empty(), Hir::concat(vec![word, repeat(more, 0, None)])])
        };
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        [
            words(&|_| true),
            words(&|b| b != b';'),
            anything(),
            repeat(set(token), 1, None),
            repeat(set(|b| automata::label_byte(b) || b == b'.'), 1, None),
            ports(),
        ]
        .map(|hir| built(&hir))
    });
    &all[of as usize]
}

/// The canonical segments of a path; with `%2F` and `;` where a site lets them through.
pub(super) fn segments(slash: bool, semicolon: bool) -> &'static Dfa {
    static ALL: OnceLock<[Dfa; 4]> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        [(false, false), (false, true), (true, false), (true, true)].map(|(slash, semicolon)| {
            let there = |b: &u8| match b {
                0..0x20 | 0x7f | b'\\' => false,
                b'/' => slash,
                _ => true,
            };
            // An escaped semicolon is no semicolon.
            let plain = automata::encoded((0..=255).filter(|b| there(b) && *b != b';'));
            let escaped = literal("%3B");
            let raw = if semicolon { literal(";") } else { Hir::fail() };
            let byte = Hir::alternation(vec![plain, escaped, raw]);
            // Neither `.` nor `..`: something that is no dot, or a third one.
            let dot = || literal(".");
            let no_dot = automata::encoded((0..=255).filter(|b| there(b) && !matches!(b, b';' | b'.')));
            let raw = if semicolon { literal(";") } else { Hir::fail() };
            let no_dot = Hir::alternation(vec![no_dot, literal("%3B"), raw]);
            let rest = repeat(byte, 0, None);
            built(&Hir::alternation(vec![
                Hir::concat(vec![repeat(dot(), 0, Some(2)), no_dot, rest.clone()]),
                Hir::concat(vec![repeat(dot(), 3, Some(3)), rest]),
            ]))
        })
    });
    &all[usize::from(slash) * 2 + usize::from(semicolon)]
}

/// The canonical hosts.
pub(super) fn hosts() -> &'static Dfa {
    static ALL: OnceLock<Dfa> = OnceLock::new();
    ALL.get_or_init(|| {
        let label = || repeat(set(automata::label_byte), 1, None);
        built(&Hir::concat(vec![label(), repeat(Hir::concat(vec![literal("."), label()]), 0, None)]))
    })
}

fn set(holds: impl Fn(u8) -> bool) -> Hir {
    let ranges = (0..=255).filter(|b| holds(*b)).map(|b| ClassBytesRange::new(b, b));
    Hir::class(Class::Bytes(ClassBytes::new(ranges)))
}

fn built(hir: &Hir) -> Dfa {
    let dfa = build(hir).expect("these automata have a few states");
    Arc::unwrap_or_clone(dfa)
}
