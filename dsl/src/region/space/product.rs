//! All texts that some automata tell apart: a walk over several of them at once, shortest texts first.

use crate::region::{Dfa, Undecided};
use crate::tree::regex;
use regex_automata::dfa::Automaton;
use regex_automata::util::primitives::StateID;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::ControlFlow;

/// What is walked.
pub(super) struct Product<'a> {
    /// Which texts there are.
    pub(super) domain: &'a Dfa,
    /// The automata, each in the state in which the texts begin.
    pub(super) parts: Vec<(&'a Dfa, StateID)>,
    /// Texts that do not count: somebody looks at each of them alone.
    pub(super) listed: &'a HashSet<Vec<u8>>,
    /// Combinations of states that may be looked at.
    pub(super) limit: usize,
}

/// A text that comes to a key, and the states behind it, before its end is told: more may follow.
pub(super) struct Found<K> {
    pub(super) key: K,
    pub(super) states: Box<[StateID]>,
    pub(super) text: Vec<u8>,
}

impl Product<'_> {
    /// One text for each key that the states behind some text come to: a short and readable one.
    ///
    /// # Errors
    /// There are more combinations of states than the limit.
    pub(super) fn texts<K: Eq + Hash + Clone>(
        &self,
        key: impl Fn(&[StateID]) -> K,
    ) -> Result<Vec<Found<K>>, Undecided> {
        let mut out: Vec<Found<K>> = Vec::new();
        let mut known: HashSet<K> = HashSet::new();
        // Keys that only listed texts were seen to come to.
        let mut open: HashSet<K> = HashSet::new();
        self.walk(None, |states, text| {
            let key = key(states);
            if known.contains(&key) {
                return ControlFlow::Continue(());
            }
            let text = text();
            if self.listed.contains(&text) {
                open.insert(key);
            } else {
                open.remove(&key);
                known.insert(key.clone());
                out.push(Found { key, states: states.into(), text });
            }
            ControlFlow::Continue(())
        })?;
        if !open.is_empty() {
            let listed = Listed::new(self.listed);
            self.walk(Some(&listed), |states, text| {
                let key = key(states);
                if open.contains(&key) {
                    let text = text();
                    if !self.listed.contains(&text) {
                        open.remove(&key);
                        out.push(Found { key, states: states.into(), text });
                    }
                }
                if open.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        Ok(out)
    }

    /// Visits each combination of states once, by the shortest text that leads to it; with the listed
    /// texts as another automaton, where one is given.
    fn walk(
        &self,
        listed: Option<&Listed>,
        mut visit: impl FnMut(&[StateID], &dyn Fn() -> Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Undecided> {
        let bytes = self.bytes(listed);
        let start = regex::start_state(self.domain).ok_or(Undecided::LooksAround)?;
        let first: Key = (self.parts.iter().map(|(_, at)| *at).collect(), start, 0);
        let mut seen: HashSet<Key, Quick> = HashSet::default();
        seen.insert(first.clone());
        let mut nodes: Vec<(Key, usize, u8)> = vec![(first, usize::MAX, 0)];
        let mut next = 0;
        while next < nodes.len() {
            let (states, domain, place) = nodes[next].0.clone();
            if self.domain.is_match_state(self.domain.next_eoi_state(domain)) {
                let text = || regex::trail(&nodes, next);
                if visit(&states, &text).is_break() {
                    return Ok(());
                }
            }
            for &byte in &bytes {
                let domain = self.domain.next_state(domain, byte);
                if self.domain.is_dead_state(domain) || self.domain.is_quit_state(domain) {
                    continue;
                }
                let states = self.parts.iter().zip(&states).map(|((dfa, _), at)| dfa.next_state(*at, byte)).collect();
                let after: Key = (states, domain, listed.map_or(0, |listed| listed.after(place, byte)));
                if seen.contains(&after) {
                    continue;
                }
                if nodes.len() >= self.limit {
                    return Err(Undecided::TooLarge);
                }
                seen.insert(after.clone());
                nodes.push((after, next, byte));
            }
            next += 1;
        }
        Ok(())
    }

    /// One byte of every kind that the automata tell apart, those that read best first.
    fn bytes(&self, listed: Option<&Listed>) -> Vec<u8> {
        let readable = (b'x'..=b'z').chain(b'a'..=b'w').chain(b'7'..=b'9').chain(b'0'..=b'6').chain(b'A'..=b'Z');
        let rest = (0x21..=0x7e).filter(|b| *b != b'%').chain(*b"% ").chain(0..=0x1f).chain(0x7f..=0xff);
        // One automaton after the other divides the kinds further.
        let mut kinds = [0u32; 256];
        let mut seen: Vec<&Dfa> = Vec::new();
        for dfa in self.parts.iter().map(|(dfa, _)| *dfa).chain([self.domain]) {
            if seen.iter().any(|known| std::ptr::eq(*known, dfa)) {
                continue;
            }
            seen.push(dfa);
            let mut finer: HashMap<(u32, u8), u32, Quick> = HashMap::default();
            let (classes, mut fresh) = (dfa.byte_classes(), 0);
            let mut last = None;
            for byte in 0..=255u8 {
                let own = (kinds[usize::from(byte)], classes.get(byte));
                let kind = match last {
                    Some((before, kind)) if before == own => kind,
                    _ => *finer.entry(own).or_insert_with(|| {
                        fresh += 1;
                        fresh
                    }),
                };
                last = Some((own, kind));
                kinds[usize::from(byte)] = kind;
            }
        }
        if let Some(listed) = listed {
            for byte in (0..=255u8).filter(|byte| listed.bytes[usize::from(*byte)]) {
                kinds[usize::from(byte)] = u32::MAX - u32::from(byte);
            }
        }
        let mut taken: HashSet<u32, Quick> = HashSet::default();
        readable.chain(rest).filter(|byte| taken.insert(kinds[usize::from(*byte)])).collect()
    }
}

/// States of the automata, of the domain, and a place among the listed texts.
type Key = (Box<[StateID]>, StateID, u32);

/// A hash for numbers that nobody outside chooses.
#[derive(Clone, Copy, Default)]
pub(super) struct Quick;

impl BuildHasher for Quick {
    type Hasher = QuickHasher;

    fn build_hasher(&self) -> QuickHasher {
        QuickHasher(0)
    }
}

/// See [`Quick`].
pub(super) struct QuickHasher(u64);

impl QuickHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u32(&mut self, n: u32) {
        self.add(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        self.add(n);
    }

    fn write_usize(&mut self, n: usize) {
        self.add(n as u64);
    }
}

/// Listed texts by their bytes.
struct Listed {
    after: HashMap<(u32, u8), u32, Quick>,
    /// The bytes that stand in them.
    bytes: [bool; 256],
}

impl Listed {
    /// Where no listed text goes on.
    const NOWHERE: u32 = u32::MAX;

    fn new(all: &HashSet<Vec<u8>>) -> Self {
        let mut listed = Self { after: HashMap::default(), bytes: [false; 256] };
        let mut next = 1;
        for text in all {
            let mut at = 0;
            for byte in text {
                listed.bytes[usize::from(*byte)] = true;
                at = *listed.after.entry((at, *byte)).or_insert_with(|| {
                    next += 1;
                    next - 1
                });
            }
        }
        listed
    }

    fn after(&self, at: u32, byte: u8) -> u32 {
        self.after.get(&(at, byte)).copied().unwrap_or(Self::NOWHERE)
    }
}
