//! The paths of a site, divided by its patterns and by the tests of paths and captures.
//!
//! The patterns are walked as sets of trie nodes, a segment at a time; tests, which may look at the
//! whole path, run beside them as automata over its bytes. A class is what a path comes to: the
//! patterns that match it, and the tests that it passes.

use super::classes::{accepts, fresh_texts};
use super::language;
use super::product::{Product, Quick};
use crate::region::segment::finite;
use crate::region::{Dfa, Undecided};
use crate::tree::automaton::trie::{NodeId, Trie};
use crate::tree::ir::{Capture, Field, PathPattern, Segment, Test};
use regex_automata::dfa::Automaton;
use regex_automata::util::primitives::StateID;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// A class of paths.
#[derive(Clone, Debug)]
pub(super) struct PathClass {
    /// The patterns that match, by their numbers: a set of [`Paths::sets`].
    set: u32,
    /// The tests that are true, a bit each.
    pub(super) tests: u64,
    /// The state that an example ends in, and whether a slash follows.
    end: (u32, bool),
}

/// The paths that a space tells apart.
#[derive(Debug)]
pub(super) struct Paths {
    patterns: Vec<PathPattern>,
    numbers: HashMap<PathPattern, u32>,
    trie: Trie,
    tests: Vec<(Field, Test, Arc<Dfa>)>,
    sets: Vec<Box<[u32]>>,
    pub(super) classes: Vec<PathClass>,
    by_key: HashMap<(u32, u64), u32>,
    set_ids: HashMap<Box<[u32]>, u32>,
    /// Where each state came from, and by which segment.
    steps: Vec<(u32, Arc<str>)>,
}

/// Tests of paths that are decided; those beyond are opaque.
pub(super) const MOST_TESTS: usize = 48;

/// Which bytes the sites let through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Letters {
    pub(super) slash: bool,
    pub(super) semicolon: bool,
}

impl Paths {
    /// The automaton of a test.
    pub(super) fn test(field: &Field, test: &Test) -> Result<Arc<Dfa>, Undecided> {
        match field {
            Field::Capture(capture) => language::of_capture(capture, test),
            _ => language::of_path(test),
        }
    }

    /// Divides all paths.
    pub(super) fn new(
        patterns: Vec<PathPattern>,
        tests: Vec<(Field, Test, Arc<Dfa>)>,
        letters: Letters,
        limit: usize,
    ) -> Result<Self, Undecided> {
        let numbers = (0..).zip(&patterns).map(|(n, p)| (p.clone(), n)).collect();
        let trie = Trie::new(&patterns.iter().collect::<Vec<_>>());
        let paths = Self {
            numbers,
            trie: Trie::new(&[]),
            tests,
            sets: Vec::new(),
            classes: Vec::new(),
            by_key: HashMap::new(),
            set_ids: HashMap::new(),
            steps: Vec::new(),
            patterns,
        };
        let mut walk = Walk {
            paths,
            trie: &trie,
            domain: language::segments(letters.slash, letters.semicolon),
            limit: limit.saturating_add(trie.nodes.len().saturating_mul(8)),
            states: HashMap::default(),
            keys: Vec::new(),
            combinations: HashMap::new(),
            settled: HashMap::default(),
        };
        walk.run()?;
        let mut paths = walk.paths;
        paths.trie = trie;
        Ok(paths)
    }

    /// The number of a pattern.
    pub(super) fn number(&self, pattern: &PathPattern) -> Option<u32> {
        self.numbers.get(pattern).copied()
    }

    /// The number of a test.
    pub(super) fn test_number(&self, field: &Field, test: &Test) -> Option<usize> {
        self.tests.iter().position(|(f, t, _)| f == field && t == test)
    }

    /// The patterns that match the paths of a class, sorted.
    pub(super) fn matching(&self, class: u32) -> &[u32] {
        &self.sets[self.classes[class as usize].set as usize]
    }

    /// The classes of the paths that a pattern matches.
    pub(super) fn of_pattern(&self, pattern: u32) -> Vec<u32> {
        let holds: Vec<bool> = self.sets.iter().map(|set| set.binary_search(&pattern).is_ok()).collect();
        self.classes_where(|class| holds[class.set as usize])
    }

    /// The classes for which something holds.
    pub(super) fn classes_where(&self, holds: impl Fn(&PathClass) -> bool) -> Vec<u32> {
        (0..).zip(&self.classes).filter(|(_, class)| holds(class)).map(|(n, _)| n).collect()
    }

    /// A short path of a class.
    pub(super) fn example(&self, class: u32) -> String {
        let (mut state, slash) = self.classes[class as usize].end;
        let mut segments = Vec::new();
        while state != 0 {
            let (parent, text) = &self.steps[state as usize];
            segments.push(&**text);
            state = *parent;
        }
        segments.reverse();
        let path: String = segments.iter().map(|text| format!("/{text}")).collect();
        if slash || path.is_empty() { format!("{path}/") } else { path }
    }

    /// The class of a path; `None` for a path that no request has.
    pub(super) fn class_of(&self, path: &str) -> Option<u32> {
        let matching = self.trie.matching(path);
        let set = self.set_ids.get(&*matching)?;
        let tests = self.tests.iter().enumerate().filter(|(_, (_, _, dfa))| accepts(dfa, path.as_bytes()));
        let tests = tests.fold(0, |bits, (at, _)| bits | 1 << at);
        self.by_key.get(&(*set, tests)).copied()
    }

    /// The patterns it was made for.
    pub(super) fn patterns(&self) -> &[PathPattern] {
        &self.patterns
    }
}

/// Trie nodes, sorted, the set of splats passed, and the states of the tests behind the last segment.
type Key = (Box<[NodeId]>, u32, Box<[StateID]>);

/// A way on: the captures that match a segment of it, the states of the tests behind it, the segment.
type Way = (Box<[bool]>, Box<[StateID]>, Arc<str>);

/// Which captures of some match, and a text of theirs.
type Together = (Box<[bool]>, Arc<str>);

struct Walk<'a> {
    paths: Paths,
    trie: &'a Trie,
    domain: &'a Dfa,
    limit: usize,
    states: HashMap<Key, u32, Quick>,
    keys: Vec<Key>,
    /// Which of some captures match together, where no test looks at the segment.
    combinations: HashMap<Vec<Segment>, Arc<[Together]>>,
    /// States of tests that nothing more changes.
    settled: HashMap<(usize, StateID), bool, Quick>,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), Undecided> {
        let automata: Vec<_> = self.paths.tests.iter().map(|(_, _, dfa)| dfa.clone()).collect();
        let starts = super::classes::starts(&automata)?.into_iter().map(|(_, at)| at).collect();
        let none = self.set(Vec::new());
        self.state(vec![0], none, starts, 0, "")?;
        let mut at = 0;
        while at < self.keys.len() {
            self.accept(at);
            self.expand(at)?;
            at += 1;
        }
        Ok(())
    }

    /// The classes of paths that end in a state.
    fn accept(&mut self, at: usize) {
        let (nodes, splats, tests) = self.keys[at].clone();
        let exact: Vec<u32> = nodes.iter().filter_map(|id| self.trie.node(*id).exact).collect();
        let set = if exact.is_empty() {
            splats
        } else {
            let mut all = self.paths.sets[splats as usize].to_vec();
            all.extend(exact);
            self.set(all)
        };
        let end = u32::try_from(at).expect("states are bounded");
        let passed = |states: &[StateID], slash: bool| {
            self.paths.tests.iter().zip(states).enumerate().fold(0u64, |bits, (n, ((_, _, dfa), state))| {
                let state = if slash { dfa.next_state(*state, b'/') } else { *state };
                bits | u64::from(dfa.is_match_state(dfa.next_eoi_state(state))) << n
            })
        };
        // The root is `/` and nothing else.
        let spelled: Vec<(u64, bool)> = match at {
            0 => vec![(passed(&tests, true), true)],
            _ => vec![(passed(&tests, false), false), (passed(&tests, true), true)],
        };
        for (tests, slash) in spelled {
            let next = u32::try_from(self.paths.classes.len()).expect("states are bounded");
            if let std::collections::hash_map::Entry::Vacant(new) = self.paths.by_key.entry((set, tests)) {
                new.insert(next);
                self.paths.classes.push(PathClass { set, tests, end: (end, slash) });
            }
        }
    }

    fn expand(&mut self, at: usize) -> Result<(), Undecided> {
        let (ids, splats, tests) = self.keys[at].clone();
        let parent = u32::try_from(at).expect("states are bounded");
        let trie = self.trie;
        let nodes: Vec<_> = ids.iter().map(|id| trie.node(*id)).collect();
        let after: Box<[StateID]> =
            self.paths.tests.iter().zip(&tests).map(|((_, _, dfa), state)| dfa.next_state(*state, b'/')).collect();
        let awake: Vec<usize> = (0..after.len()).filter(|n| !self.is_settled(*n, after[*n])).collect();
        if nodes.is_empty() && awake.is_empty() {
            return Ok(()); // Whatever follows comes to the same.
        }
        let mut literals: HashMap<&str, Vec<NodeId>> = HashMap::new();
        let mut listed: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<(&Segment, NodeId)> = Vec::new();
        let mut fixed: Vec<(&Segment, NodeId)> = Vec::new();
        for node in &nodes {
            for (text, child) in &node.literals {
                literals.entry(text).or_default().push(*child);
            }
            for (segment, child) in &node.captures {
                match finite(segment) {
                    Some(texts) => {
                        listed.extend(texts);
                        fixed.push((segment, *child));
                    }
                    None => open.push((segment, *child)),
                }
            }
        }
        listed.extend(literals.keys().map(|text| (*text).to_owned()));
        for text in &listed {
            if !self.is_segment(text) {
                continue;
            }
            let captures = open.iter().chain(&fixed).filter(|(s, _)| s.matches(text)).map(|(_, child)| *child);
            let next = literals.get(&**text).into_iter().flatten().copied().chain(captures).collect();
            let states = self
                .paths
                .tests
                .iter()
                .zip(&after)
                .map(|((_, _, dfa), state)| text.bytes().fold(*state, |at, byte| dfa.next_state(at, byte)));
            let states = states.collect();
            self.state(next, splats, states, parent, text)?;
        }
        let captures: Vec<&Segment> = {
            let mut seen = HashSet::new();
            open.iter().map(|(segment, _)| *segment).filter(|segment| seen.insert(*segment)).collect()
        };
        for (matched, states, text) in self.others(&captures, &awake, &after, &listed)? {
            let holds = |segment: &Segment| captures.iter().position(|s| *s == segment).is_some_and(|n| matched[n]);
            let next = open.iter().filter(|(segment, _)| holds(segment)).map(|(_, child)| *child).collect();
            self.state(next, splats, states, parent, &text)?;
        }
        Ok(())
    }

    /// The ways on that no listed text takes.
    fn others(
        &mut self,
        captures: &[&Segment],
        awake: &[usize],
        after: &[StateID],
        listed: &BTreeSet<String>,
    ) -> Result<Vec<Way>, Undecided> {
        if awake.is_empty() {
            let plain = captures.iter().all(|segment| **segment == Segment::any());
            if plain {
                let fresh = fresh_texts().map(|text| String::from_utf8_lossy(&text).into_owned());
                let text = fresh.into_iter().find(|text| !listed.contains(text)).expect("there are more texts");
                return Ok(vec![(vec![true; captures.len()].into(), after.into(), text.into())]);
            }
            let key: Vec<Segment> = captures.iter().map(|segment| (*segment).clone()).collect();
            let known = match self.combinations.get(&key) {
                Some(known) => known.clone(),
                None => {
                    let all: Arc<[_]> = self
                        .product(captures, &[], after, &HashSet::new())?
                        .into_iter()
                        .map(|(matched, _, text)| (matched, text))
                        .collect();
                    self.combinations.insert(key, all.clone());
                    all
                }
            };
            if known.iter().all(|(_, text)| !listed.contains(&**text)) {
                return Ok(known.iter().map(|(m, text)| (m.clone(), after.into(), text.clone())).collect());
            }
        }
        let listed = listed.iter().map(|text| text.clone().into_bytes()).collect();
        self.product(captures, awake, after, &listed)
    }

    fn product(
        &mut self,
        captures: &[&Segment],
        awake: &[usize],
        after: &[StateID],
        listed: &HashSet<Vec<u8>>,
    ) -> Result<Vec<Way>, Undecided> {
        let automata = captures.iter().map(|segment| language::of_segment(segment)).collect::<Result<Vec<_>, _>>()?;
        let mut parts = super::classes::starts(&automata)?;
        parts.extend(awake.iter().map(|n| (&*self.paths.tests[*n].2, after[*n])));
        let product = Product { domain: self.domain, parts, listed, limit: self.limit };
        let count = captures.len();
        let key = |states: &[StateID]| {
            let rest: Box<[StateID]> = states[count..].into();
            (super::classes::ends(&automata, &states[..count]), rest)
        };
        let ways = product.texts(key)?.into_iter().map(|found| {
            let mut states: Box<[StateID]> = after.into();
            awake.iter().zip(&found.states[count..]).for_each(|(n, state)| states[*n] = *state);
            (found.key.0, states, String::from_utf8_lossy(&found.text).into())
        });
        Ok(ways.collect())
    }

    /// Whether the rest of a path changes nothing to a test.
    fn is_settled(&mut self, test: usize, state: StateID) -> bool {
        let dfa = &self.paths.tests[test].2;
        let stays = || (0..=255).all(|byte| dfa.next_state(state, byte) == state);
        *self.settled.entry((test, state)).or_insert_with(stays)
    }

    /// Whether a text is a segment of a canonical path.
    fn is_segment(&self, text: &str) -> bool {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~');
        text.bytes().next().is_some_and(plain) && text.bytes().all(|b| plain(b) || b == b'.')
            || accepts(self.domain, text.as_bytes())
    }

    fn state(
        &mut self,
        mut nodes: Vec<NodeId>,
        splats: u32,
        tests: Box<[StateID]>,
        parent: u32,
        text: &str,
    ) -> Result<(), Undecided> {
        nodes.sort_unstable();
        nodes.dedup();
        let passed: Vec<u32> = nodes.iter().filter_map(|id| self.trie.node(*id).splat).collect();
        let splats = if passed.is_empty() {
            splats
        } else {
            let mut all = self.paths.sets[splats as usize].to_vec();
            all.extend(passed);
            self.set(all)
        };
        let key = (nodes.into_boxed_slice(), splats, tests);
        if self.states.contains_key(&key) {
            return Ok(());
        }
        if self.keys.len() >= self.limit {
            return Err(Undecided::TooLarge);
        }
        let id = u32::try_from(self.keys.len()).expect("states are bounded");
        self.states.insert(key.clone(), id);
        self.keys.push(key);
        self.paths.steps.push((parent, text.into()));
        Ok(())
    }

    fn set(&mut self, mut patterns: Vec<u32>) -> u32 {
        patterns.sort_unstable();
        patterns.dedup();
        let patterns = patterns.into_boxed_slice();
        if let Some(known) = self.paths.set_ids.get(&patterns) {
            return *known;
        }
        let id = u32::try_from(self.paths.sets.len()).expect("states are bounded");
        self.paths.set_ids.insert(patterns.clone(), id);
        self.paths.sets.push(patterns);
        id
    }
}

/// Whether a capture can be read as a part of each path that a pattern matches: between texts of the
/// lengths that the pattern has there, or a whole segment.
pub(super) fn fits(capture: &Capture, of: &PathPattern) -> bool {
    match capture {
        Capture::Segment { prefix: 0, suffix: 0, .. } | Capture::Splat { .. } => true,
        Capture::Segment { index, prefix, suffix } => match of.segments.get(*index as usize) {
            Some(Segment::Capture { prefix: p, suffix: s, .. }) => {
                p.len() == *prefix as usize && s.len() == *suffix as usize
            }
            Some(Segment::Lit(text)) => !text.contains('%'),
            None => false,
        },
        Capture::Host { .. } => true,
    }
}
