//! The values of a field, divided by its tests into classes: within a class all of them agree, and
//! each class that is listed has a value that a request can carry.

use super::language::{self, MOST, Texts, bounds};
use super::product::Product;
use crate::region::{Dfa, Undecided};
use crate::tree::bytes::Bytes;
use crate::tree::eval::test_text;
use crate::tree::fields::Text;
use crate::tree::ir::{IpNet, Test};
use crate::tree::regex;
use regex_automata::dfa::Automaton;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Values between which no test distinguishes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Class {
    /// Which tests are true, in their order.
    pub(super) signature: Box<[bool]>,
    /// One of the values.
    pub(super) example: Example,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Example {
    /// Nothing.
    Missing,
    /// This.
    One(Vec<u8>),
    /// Different values: what names the field refuses it.
    Several(Vec<Vec<u8>>),
}

/// Classes that one field may have; beyond, its tests are opaque.
pub(super) const MOST_CLASSES: usize = 4096;
/// Copies that `has` looks for; all their combinations are classes.
const MOST_COPIES: usize = 4;

/// What kind of text a field is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) texts: Texts,
    /// It can be missing.
    pub(super) optional: bool,
    /// It can arrive several times.
    pub(super) repeats: bool,
    /// Values that people know.
    pub(super) known: &'static [&'static str],
}

/// Classes of a text. Tests of addresses are none of them.
pub(super) fn of_text(tests: &[Test], form: Form, limit: usize) -> Result<Vec<Class>, Undecided> {
    let domain = language::texts(form.texts);
    let copy = |test: &Test| matches!(test, Test::Has(_)) && form.repeats;
    let passes = |text: &[u8], test: &Test| match test {
        Test::Has(wanted) if form.repeats => wanted.as_bytes() == text,
        test => test_text(&Text::Bytes(Bytes::raw(text)), test),
    };
    let signature = |text: &[u8]| -> Box<[bool]> { tests.iter().map(|test| passes(text, test)).collect() };
    let mut out = Vec::new();
    if form.optional {
        out.push(Class { signature: vec![false; tests.len()].into(), example: Example::Missing });
    }
    let mut listed: HashSet<Vec<u8>> = HashSet::new();
    let mut copies: Vec<&[u8]> = Vec::new();
    for test in tests {
        match test {
            Test::OneOf(all) => listed.extend(all.iter().map(|one| one.as_bytes().to_vec())),
            Test::Has(text) if form.repeats => {
                listed.insert(text.as_bytes().to_vec());
                if accepts(domain, text.as_bytes()) && !copies.contains(&text.as_bytes()) {
                    copies.push(text.as_bytes());
                }
            }
            Test::Present
            | Test::StartsWith(_)
            | Test::EndsWith(_)
            | Test::Has(_)
            | Test::Matches(_)
            | Test::InNets(_)
            | Test::Number(..) => {}
        }
    }
    if form.repeats {
        if copies.len() > MOST_COPIES {
            return Err(Undecided::TooLarge);
        }
        for chosen in 0..1usize << copies.len() {
            let mut all: Vec<Vec<u8>> =
                (0..copies.len()).filter(|at| chosen >> at & 1 == 1).map(|at| copies[at].to_vec()).collect();
            let holds = |test: &Test| copy(test) && all.iter().any(|one| passes(one, test));
            let signature = tests.iter().map(holds).collect();
            let mut fresh = fresh_texts();
            while all.len() < 2 {
                all.extend(fresh.next().filter(|text| !copies.contains(&&**text)));
            }
            out.push(Class { signature, example: Example::Several(all) });
        }
    }
    let mut known: HashMap<Box<[bool]>, usize> = HashMap::new();
    let mut add = |out: &mut Vec<Class>, text: Vec<u8>| {
        let signature = signature(&text);
        match known.get(&signature) {
            Some(at) => {
                // The shorter one reads better.
                if let Example::One(old) = &out[*at].example
                    && (text.len(), &text) < (old.len(), old)
                {
                    out[*at].example = Example::One(text);
                }
            }
            None => {
                known.insert(signature.clone(), out.len());
                out.push(Class { signature, example: Example::One(text) });
            }
        }
    };
    for text in listed.iter().filter(|text| accepts(domain, text)) {
        add(&mut out, text.clone());
    }
    let open: Vec<&Test> = tests
        .iter()
        .filter(|test| match test {
            Test::Present | Test::OneOf(_) => false,
            Test::Has(_) => !form.repeats,
            Test::StartsWith(_) | Test::EndsWith(_) | Test::Matches(_) | Test::InNets(_) | Test::Number(..) => true,
        })
        .collect();
    if open.is_empty() {
        let fresh = fresh_texts().find(|text| !listed.contains(text)).expect("there are more texts than tests");
        add(&mut out, fresh);
    } else {
        let automata = open.iter().map(|test| language::of_text(test)).collect::<Result<Vec<_>, _>>()?;
        let parts = starts(&automata)?;
        let product = Product { domain, parts, listed: &listed, limit };
        for found in product.texts(|states| ends(&automata, states))? {
            add(&mut out, found.text);
        }
    }
    for text in form.known.iter().filter(|text| accepts(domain, text.as_bytes())).rev() {
        let own = signature(text.as_bytes());
        let same = |class: &&mut Class| class.signature == own && matches!(class.example, Example::One(_));
        if let Some(class) = out.iter_mut().find(same) {
            class.example = Example::One(text.as_bytes().to_vec());
        }
    }
    out[..].sort_by(|a, b| rank(&a.example).cmp(&rank(&b.example)));
    if out.len() > MOST_CLASSES { Err(Undecided::TooLarge) } else { Ok(out) }
}

fn rank(example: &Example) -> (u8, usize, &[u8]) {
    match example {
        Example::Missing => (0, 0, &[]),
        Example::One(text) => (1, text.len(), text),
        Example::Several(all) => (2, all.len(), &[]),
    }
}

/// Texts that nobody named, until somebody did.
pub(super) fn fresh_texts() -> impl Iterator<Item = Vec<u8>> {
    ["x", "y"].iter().map(|text| text.as_bytes().to_vec()).chain((1..).map(|n| format!("x{n}").into_bytes()))
}

/// Each automaton and where it starts.
pub(super) fn starts(
    automata: &[Arc<Dfa>],
) -> Result<Vec<(&Dfa, regex_automata::util::primitives::StateID)>, Undecided> {
    let start = |dfa| regex::start_state(dfa).ok_or(Undecided::LooksAround);
    automata.iter().map(|dfa| Ok((&**dfa, start(dfa)?))).collect()
}

/// Which automata accept a text that ends here.
pub(super) fn ends(automata: &[Arc<Dfa>], states: &[regex_automata::util::primitives::StateID]) -> Box<[bool]> {
    automata.iter().zip(states).map(|(dfa, at)| dfa.is_match_state(dfa.next_eoi_state(*at))).collect()
}

/// Whether an automaton accepts a text.
pub(super) fn accepts(dfa: &Dfa, text: &[u8]) -> bool {
    regex::run(dfa, text.iter().copied()).is_some_and(|end| dfa.is_match_state(end))
}

/// Classes of a field that has one of a few values.
pub(super) fn of_words(tests: &[Test], optional: bool, words: &[&str]) -> Vec<Class> {
    let mut out = Vec::new();
    if optional {
        out.push(Class { signature: vec![false; tests.len()].into(), example: Example::Missing });
    }
    for word in words {
        let text = Text::Bytes(Bytes::raw(word.as_bytes()));
        let signature = tests.iter().map(|test| test_text(&text, test)).collect();
        push(&mut out, signature, word.as_bytes().to_vec());
    }
    out
}

/// Adds a value, unless its class is known.
fn push(out: &mut Vec<Class>, signature: Box<[bool]>, value: Vec<u8>) {
    let same = |class: &Class| class.signature == signature && matches!(class.example, Example::One(_));
    if !out.iter().any(same) {
        out.push(Class { signature, example: Example::One(value) });
    }
}

/// Classes of a port: any tests, for it has few values.
pub(super) fn of_ports(tests: &[Test], limit: usize) -> Vec<Class> {
    let spelled =
        |test: &&Test| matches!(test, Test::StartsWith(_) | Test::EndsWith(_) | Test::Has(_) | Test::Matches(_));
    if !tests.iter().any(|test| spelled(&test)) {
        return of_numbers(tests, false, u16::MAX.into());
    }
    // One port for each combination of tests that some port comes to; all of them where that is too much.
    let some = || -> Result<Vec<u64>, Undecided> {
        let tests = tests.iter().filter(|test| !matches!(test, Test::InNets(_)));
        let automata = tests.map(language::of_text).collect::<Result<Vec<_>, _>>()?;
        let (domain, listed) = (language::texts(Texts::Port), HashSet::new());
        let product = Product { domain, parts: starts(&automata)?, listed: &listed, limit };
        let found = product.texts(|states| ends(&automata, states))?;
        Ok(found.iter().filter_map(|found| std::str::from_utf8(&found.text).ok()?.parse().ok()).collect())
    };
    let mut out = Vec::new();
    for n in some().unwrap_or_else(|_| (0..=u64::from(u16::MAX)).collect()) {
        let signature = tests.iter().map(|test| test_text(&Text::Number(n), test)).collect();
        push(&mut out, signature, n.to_string().into_bytes());
    }
    out
}

/// Classes of a number up to `most`, by tests of its value.
pub(super) fn of_numbers(tests: &[Test], optional: bool, most: u64) -> Vec<Class> {
    let mut out = of_words(tests, optional, &[]);
    let mut points = vec![0];
    for test in tests {
        match test {
            Test::Number(order, n) => {
                if let Some((first, last)) = bounds(*order, *n) {
                    points.extend([first as u64, last as u64 + 1]);
                }
            }
            Test::OneOf(all) => {
                let numbers = all.iter().filter_map(|one| one.parse::<u64>().ok());
                points.extend(numbers.flat_map(|n| [n, n.saturating_add(1)]));
            }
            Test::Present | Test::InNets(_) => {}
            // Of a size they are opaque; ports have their own way.
            Test::StartsWith(_) | Test::EndsWith(_) | Test::Has(_) | Test::Matches(_) => {}
        }
    }
    points.push(MOST as u64 + 1);
    points.retain(|n| *n <= most);
    points.sort_unstable();
    points.dedup();
    for n in points {
        let signature = tests.iter().map(|test| test_text(&Text::Number(n), test)).collect();
        push(&mut out, signature, n.to_string().into_bytes());
    }
    out
}

/// Classes of an address.
pub(super) fn of_addresses(tests: &[Test]) -> Vec<Class> {
    let mut v4: Vec<u32> = vec![0];
    let mut v6: Vec<u128> = vec![0];
    let mut net = |net: &IpNet| match net {
        IpNet::V4(net) => {
            v4.push(net.network().into());
            v4.extend(u32::from(net.broadcast()).checked_add(1));
        }
        IpNet::V6(net) => {
            v6.push(net.network().into());
            v6.extend(u128::from(net.broadcast()).checked_add(1));
        }
    };
    for test in tests {
        match test {
            Test::InNets(all) => all.iter().for_each(&mut net),
            Test::OneOf(all) => all.iter().filter_map(|one| one.parse::<IpAddr>().ok()).for_each(|ip| net(&ip.into())),
            Test::Present
            | Test::StartsWith(_)
            | Test::EndsWith(_)
            | Test::Has(_)
            | Test::Matches(_)
            | Test::Number(..) => {}
        }
    }
    let mut out = Vec::new();
    let signature = |ip: IpAddr| -> Box<[bool]> { tests.iter().map(|test| test_text(&Text::Ip(ip), test)).collect() };
    // The addresses of RFC 5737 and 3849 first.
    for ip in ["203.0.113.1", "198.51.100.1", "192.0.2.1", "2001:db8::1"] {
        let ip: IpAddr = ip.parse().expect("these are addresses");
        push(&mut out, signature(ip), ip.to_string().into_bytes());
    }
    v4.sort_unstable();
    v4.dedup();
    for start in v4 {
        push_address(
            &mut out,
            Ipv4Addr::from(start).into(),
            Ipv4Addr::from(start.saturating_add(1)).into(),
            &signature,
        );
    }
    // IPv4 addresses in the clothes of IPv6 arrive as IPv4.
    const MAPPED: std::ops::RangeInclusive<u128> = 0xffff_0000_0000..=0xffff_ffff_ffff;
    v6.push(MAPPED.end() + 1);
    v6.sort_unstable();
    v6.dedup();
    v6.retain(|start| !MAPPED.contains(start));
    for start in v6 {
        push_address(
            &mut out,
            Ipv6Addr::from(start).into(),
            Ipv6Addr::from(start.saturating_add(1)).into(),
            &signature,
        );
    }
    out
}

/// Adds an address, or the one after it where that is the same to all tests: it looks less like a network.
fn push_address(out: &mut Vec<Class>, start: IpAddr, after: IpAddr, signature: &impl Fn(IpAddr) -> Box<[bool]>) {
    let own = signature(start);
    let shown = if signature(after) == own { after } else { start };
    push(out, own, shown.to_string().into_bytes());
}
