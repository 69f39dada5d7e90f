//! The automaton as one piece of memory: a state, its edges and their labels lie side by side, for what
//! a decision costs is the lines of memory that it touches.
//!
//! ```text
//! state: accept, sink, other, edges          4 × u32
//! edges: fingerprint, target, label          3 × u32 each; in a row up to 8, else an open table
//! labels: length (u16), bytes                one segment, or several joined where nothing branches
//! target: number << 2 | kind                 0 state (offset / 4), 1 path ends here or is unknown,
//!                                            2 path ends here or below, 3 test
//! ```

use super::subset::{Next, State, StateId, Subsets};
use crate::tree::fault::{self, Fault};
use crate::tree::hash::hash;
use crate::tree::ir::Segment;
use std::borrow::Cow;

/// What a path leads to, as given by the caller for each set of patterns.
pub(in crate::tree) type ChainRef = u32;

/// Chains are numbered below this, for two bits tell kinds of targets apart.
pub(in crate::tree) const MAX_CHAINS: u32 = 1 << 30;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::tree) struct Automaton {
    blob: Box<[u8]>,
    tests: Box<[Test]>,
}

/// Whether a capture matches, and what then.
#[derive(Clone, Debug)]
struct Test {
    segment: Segment,
    yes: u32,
    no: u32,
}

/// No target: the sink.
const NONE: u32 = u32::MAX;
const STATE: u32 = 0;
const ENDS: u32 = 1;
const BELOW: u32 = 2;
const TEST: u32 = 3;

/// As many edges are compared one by one.
const ROW: usize = 8;
const HEAD: usize = 16;
const EDGE: usize = 12;

impl Automaton {
    /// Lays the states out; `chains` says what each set of patterns leads to.
    pub(in crate::tree) fn new(subsets: &Subsets, chains: &[ChainRef]) -> Self {
        let mut writer = Writer {
            subsets,
            chains,
            offsets: vec![None; subsets.states.len()],
            order: Vec::new(),
            size: 0,
            tests: Vec::new(),
        };
        writer.place(0);
        let mut records = Vec::new();
        while records.len() < writer.order.len() {
            let (id, edges) = &mut writer.order[records.len()];
            let (id, edges) = (*id, std::mem::take(edges));
            let record = writer.record(id, edges);
            records.push((writer.offset(id), record));
        }
        writer.write(&records)
    }

    /// Bytes it takes.
    pub(in crate::tree) fn bytes(&self) -> usize {
        self.blob.len() + self.tests.len() * size_of::<Test>()
    }

    /// What a canonical path leads to.
    #[inline]
    pub(in crate::tree) fn walk(&self, path: &str) -> ChainRef {
        let path = path.as_bytes();
        let rest = path.strip_prefix(b"/").unwrap_or(path);
        self.walk_over::<false>(rest.strip_suffix(b"/").unwrap_or(rest))
    }

    /// What a path as it was sent leads to. Nothing but a splat takes an empty segment: behind the first one
    /// no segment is looked at.
    pub(in crate::tree) fn walk_raw(&self, path: &str) -> ChainRef {
        match path.find("//") {
            Some(empty) => self.walk_over::<true>(path[..empty].strip_prefix('/').unwrap_or_default().as_bytes()),
            None => self.walk(path),
        }
    }

    /// What segments lead to; with `MORE`, those that others follow which only a splat takes.
    #[inline]
    fn walk_over<const MORE: bool>(&self, mut rest: &[u8]) -> ChainRef {
        let mut state = 0;
        loop {
            if rest.is_empty() {
                return self.word(if MORE { state + 4 } else { state });
            }
            let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
            let (target, used) = match self.edge(state, rest, end) {
                Some(found) => found,
                None => (self.word(state + 8), end),
            };
            let mut target = target;
            while target & 3 == TEST && target != NONE {
                let test = &self.tests[(target >> 2) as usize];
                // Segments of a canonical path end at slashes, which are no part of a character.
                let matches = std::str::from_utf8(&rest[..end]).is_ok_and(|text| test.segment.matches(text));
                target = if matches { test.yes } else { test.no };
            }
            if target == NONE {
                return self.word(state + 4);
            }
            // Behind the segments and a slash.
            let after = rest.get(used + 1..).unwrap_or_default();
            match target & 3 {
                BELOW => return target >> 2,
                ENDS if after.is_empty() && !MORE => return target >> 2,
                ENDS => return self.word(state + 4),
                _ => {
                    state = (target as usize >> 2) * 4;
                    rest = after;
                }
            }
        }
    }

    /// The literal edge for the next segment, which ends at `end`, and the bytes that its label takes.
    #[inline]
    fn edge(&self, state: usize, rest: &[u8], end: usize) -> Option<(u32, usize)> {
        let count = self.word(state + 12) as usize;
        if count == 0 {
            return None;
        }
        let hash = hash(0, &rest[..end]);
        let edges = state + HEAD;
        if count <= ROW {
            return (0..count).find_map(|at| self.try_edge(edges + at * EDGE, hash, rest));
        }
        let mask = count - 1;
        let mut at = slot(hash) & mask;
        loop {
            let edge = edges + at * EDGE;
            if self.word(edge + 4) == NONE {
                return None;
            }
            if let Some(found) = self.try_edge(edge, hash, rest) {
                return Some(found);
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    fn try_edge(&self, edge: usize, hash: u64, rest: &[u8]) -> Option<(u32, usize)> {
        if self.word(edge) != fingerprint(hash) {
            return None;
        }
        let label = self.word(edge + 8) as usize;
        let len = usize::from(u16::from_le_bytes([self.blob[label], self.blob[label + 1]]));
        let text = &self.blob[label + 2..][..len];
        if fault::made(Fault::HalfEdges) && text.contains(&b'/') {
            return Some((self.word(edge + 4), len.min(rest.len())));
        }
        let fits = rest.starts_with(text) && rest.get(len).is_none_or(|b| *b == b'/');
        fits.then(|| (self.word(edge + 4), len))
    }

    #[inline]
    fn word(&self, at: usize) -> u32 {
        self.blob[at..].first_chunk().map_or(NONE, |bytes| u32::from_le_bytes(*bytes))
    }
}

/// A state that is written, with its edges joined.
struct Record<'s> {
    state: &'s State,
    other: u32,
    edges: Vec<(Cow<'s, str>, u32)>,
}

/// A label, and where it leads.
type Edge<'s> = (Cow<'s, str>, StateId);

struct Writer<'s> {
    subsets: &'s Subsets,
    chains: &'s [ChainRef],
    /// Where a state stands, once something leads to it.
    offsets: Vec<Option<usize>>,
    /// The states in the order in which they are written, with their edges joined.
    order: Vec<(StateId, Vec<Edge<'s>>)>,
    size: usize,
    tests: Vec<Test>,
}

impl<'s> Writer<'s> {
    fn state(&self, id: StateId) -> &'s State {
        &self.subsets.states[id as usize]
    }

    fn chain(&self, set: u32) -> ChainRef {
        self.chains[set as usize]
    }

    /// Where a state will stand; its size follows from its edges, which are known beforehand.
    fn place(&mut self, id: StateId) -> usize {
        if let Some(known) = self.offsets[id as usize] {
            return known;
        }
        let at = self.size;
        let state = self.state(id);
        let edges: Vec<_> = state.literals.iter().map(|(text, to)| self.joined(state, text, *to)).collect();
        let labels: usize = edges.iter().map(|(label, _)| 2 + label.len()).sum();
        self.size += (HEAD + slots(edges.len()) * EDGE + labels).next_multiple_of(4);
        self.offsets[id as usize] = Some(at);
        self.order.push((id, edges));
        at
    }

    fn offset(&self, id: StateId) -> usize {
        self.offsets[id as usize].unwrap_or_default()
    }

    /// An edge prolonged for as long as nothing else can happen on the way: no other edge, no capture,
    /// and whoever stops between gets what the sink gives.
    fn joined(&self, from: &'s State, text: &'s str, to: StateId) -> Edge<'s> {
        let (mut label, mut to) = (Cow::Borrowed(text), to);
        let sink = self.chain(from.sink);
        if from.other != Next::Sink {
            return (label, to);
        }
        loop {
            let next = self.state(to);
            let [(text, on)] = &*next.literals else { break };
            let silent = self.chain(next.accept) == sink && self.chain(next.sink) == sink && next.other == Next::Sink;
            if !silent || label.len() + text.len() + 1 > usize::from(u16::MAX) {
                break;
            }
            let label = label.to_mut();
            label.push('/');
            label.push_str(text);
            to = *on;
        }
        (label, to)
    }

    fn record(&mut self, id: StateId, edges: Vec<Edge<'s>>) -> Record<'s> {
        let state = self.state(id);
        let edges = edges.into_iter().map(|(label, to)| (label, self.target(state, to))).collect();
        let other = self.next(state, &state.other);
        Record { state, other, edges }
    }

    fn next(&mut self, from: &State, next: &'s Next) -> u32 {
        match next {
            Next::Sink => NONE,
            Next::State(to) => self.target(from, *to),
            Next::Test(test) => {
                let (segment, yes, no) = &**test;
                let (yes, no) = (self.next(from, yes), self.next(from, no));
                self.tests.push(Test { segment: segment.clone(), yes, no });
                number(self.tests.len() - 1) << 2 | TEST
            }
        }
    }

    /// States without edges are not written: what they say fits into the edge.
    fn target(&mut self, from: &State, to: StateId) -> u32 {
        let next = self.state(to);
        let (accept, sink) = (self.chain(next.accept), self.chain(next.sink));
        if next.literals.is_empty() && next.other == Next::Sink {
            if accept == sink {
                return accept << 2 | BELOW;
            }
            if sink == self.chain(from.sink) {
                return accept << 2 | ENDS;
            }
        }
        number(self.place(to) / 4) << 2 | STATE
    }

    fn write(self, records: &[(usize, Record<'_>)]) -> Automaton {
        let mut blob = vec![0; self.size];
        let mut put = |at: usize, word: u32| blob[at..at + 4].copy_from_slice(&word.to_le_bytes());
        let mut labels = Vec::new();
        for (at, record) in records {
            let at = *at;
            let count = slots(record.edges.len());
            for (n, word) in
                [self.chain(record.state.accept), self.chain(record.state.sink), record.other, number(count)]
                    .into_iter()
                    .enumerate()
            {
                put(at + n * 4, word);
            }
            let edges = at + HEAD;
            let mut label_at = edges + count * EDGE;
            let mut taken = vec![false; count];
            for n in 0..count {
                put(edges + n * EDGE + 4, NONE);
            }
            for (n, (label, target)) in record.edges.iter().enumerate() {
                let first = label.split('/').next().unwrap_or_default();
                let hash = hash(0, first.as_bytes());
                let mut place = n;
                if count > ROW {
                    place = slot(hash) & (count - 1);
                    while taken[place] {
                        place = (place + 1) & (count - 1);
                    }
                }
                taken[place] = true;
                let edge = edges + place * EDGE;
                put(edge, fingerprint(hash));
                put(edge + 4, *target);
                put(edge + 8, number(label_at));
                labels.push((label_at, &**label));
                label_at += 2 + label.len();
            }
        }
        for (at, label) in labels {
            let len = u16::try_from(label.len()).expect("a path pattern is shorter than 64 KiB");
            blob[at..at + 2].copy_from_slice(&len.to_le_bytes());
            blob[at + 2..][..label.len()].copy_from_slice(label.as_bytes());
        }
        Automaton { blob: blob.into(), tests: self.tests.into() }
    }
}

/// Edges in a row, or places of an open table.
fn slots(edges: usize) -> usize {
    if edges <= ROW { edges } else { (edges + edges / 3 + 1).next_power_of_two() }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).expect("an automaton is smaller than 4 GiB")
}

fn fingerprint(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn slot(hash: u64) -> usize {
    hash as usize
}
