//! Sets of trie nodes as states: one literal edge or a few tests per segment, nothing to come back to.

use super::PatternId;
use super::trie::{NodeId, Trie};
use crate::region::segment::{affixes_differ, finite};
use crate::tree::fault::{self, Fault};
use crate::tree::ir::{Class, Segment};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A state, by its number; 0 is where every path begins.
pub(in crate::tree) type StateId = u32;

/// What is known after some segments.
#[derive(Clone, Debug)]
pub(in crate::tree) struct State {
    /// The patterns of a path that ends here.
    pub(in crate::tree) accept: SetId,
    /// The patterns of a path that goes on in a way that no edge knows.
    pub(in crate::tree) sink: SetId,
    /// By literal segment.
    pub(in crate::tree) literals: Vec<(Arc<str>, StateId)>,
    /// For the other segments.
    pub(in crate::tree) other: Next,
}

/// Where a segment leads that no literal edge knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tree) enum Next {
    /// Nowhere: to the sink.
    Sink,
    /// On.
    State(StateId),
    /// It depends on whether this capture matches.
    Test(Box<(Segment, Next, Next)>),
}

/// A set of patterns, by its number in [`Subsets::sets`].
pub(in crate::tree) type SetId = u32;

/// See the module.
#[derive(Debug)]
pub(in crate::tree) struct Subsets {
    pub(in crate::tree) states: Vec<State>,
    /// Sorted.
    pub(in crate::tree) sets: Vec<Box<[PatternId]>>,
}

/// There would be too many states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tree) struct TooMany;

/// Captures that one state tests, one inside the other.
const MAX_TESTS: usize = 256;
/// Outcomes of the tests of one state.
const MAX_OUTCOMES: usize = 256;

/// Trie nodes, sorted, and the splats passed on the way to them.
type Key = (Box<[NodeId]>, SetId);

struct Builder<'t> {
    trie: &'t Trie,
    known: HashMap<Key, StateId>,
    keys: Vec<Key>,
    set_ids: HashMap<Box<[PatternId]>, SetId>,
    sets: Vec<Box<[PatternId]>>,
    limit: usize,
}

impl Subsets {
    /// The states of a trie, unless they outgrow it by far.
    pub(in crate::tree) fn new(trie: &Trie) -> Result<Self, TooMany> {
        Self::within(trie, 8 * trie.nodes.len() + 1024)
    }

    pub(in crate::tree) fn within(trie: &Trie, limit: usize) -> Result<Self, TooMany> {
        let mut builder = Builder {
            trie,
            known: HashMap::with_capacity(trie.nodes.len()),
            keys: Vec::with_capacity(trie.nodes.len()),
            set_ids: HashMap::new(),
            sets: Vec::new(),
            limit,
        };
        let none = builder.set(Vec::new());
        builder.state(vec![0], none)?;
        let mut states = Vec::with_capacity(trie.nodes.len());
        while states.len() < builder.keys.len() {
            let state = builder.expand(states.len())?;
            states.push(state);
        }
        Ok(Self { states, sets: builder.sets })
    }
}

impl Builder<'_> {
    fn expand(&mut self, at: usize) -> Result<State, TooMany> {
        let (nodes, sink) = self.keys[at].clone();
        let trie = self.trie;
        let nodes: Vec<_> = nodes.iter().map(|id| trie.node(*id)).collect();
        let mut accept = self.sets[sink as usize].to_vec();
        accept.extend(nodes.iter().filter_map(|node| node.exact));
        let accept = self.set(accept);

        // Fixed texts get edges; what else can match is tested.
        let mut texts: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut open: Vec<(&Segment, NodeId)> = Vec::new();
        let mut listed: Vec<(&Segment, NodeId)> = Vec::new();
        for node in &nodes {
            for (segment, child) in &node.captures {
                match finite(segment) {
                    Some(all) => {
                        texts.extend(all.into_iter().map(Arc::from));
                        listed.push((segment, *child));
                    }
                    None => open.push((segment, *child)),
                }
            }
        }
        let mut literals = Vec::new();
        if let [node] = &*nodes
            && node.captures.is_empty()
        {
            for (text, child) in &node.literals {
                literals.push((text.clone(), self.state(vec![*child], sink)?));
            }
        } else {
            let mut by_text: HashMap<&str, Vec<NodeId>> = HashMap::new();
            for node in &nodes {
                for (text, child) in &node.literals {
                    by_text.entry(text).or_default().push(*child);
                    texts.insert(text.clone());
                }
            }
            for text in &texts {
                let mut next = by_text.remove(&**text).unwrap_or_default();
                if next.is_empty() || !fault::made(Fault::DropInherited) {
                    let captures = open.iter().chain(&listed).filter(|(segment, _)| segment.matches(text));
                    next.extend(captures.map(|(_, child)| *child));
                }
                literals.push((text.clone(), self.state(next, sink)?));
            }
        }
        let (always, mut tested): (Vec<_>, Vec<_>) = open.into_iter().partition(|(s, _)| **s == Segment::any());
        if tested.len() > MAX_TESTS {
            return Err(TooMany);
        }
        tested.sort_by_key(|(segment, _)| segment.rank());
        let mut outcomes = 0;
        let next = always.into_iter().map(|(_, child)| child).collect();
        let other = self.tests(&tested, &mut Vec::new(), next, sink, &mut outcomes)?;
        Ok(State { accept, sink, literals, other })
    }

    /// The tests of captures, one after the other; those that a match has ruled out are left out.
    fn tests<'s>(
        &mut self,
        tested: &[(&'s Segment, NodeId)],
        matched: &mut Vec<&'s Segment>,
        next: Vec<NodeId>,
        sink: SetId,
        outcomes: &mut usize,
    ) -> Result<Next, TooMany> {
        let Some(((segment, _), _)) = tested.split_first() else {
            *outcomes += 1;
            if *outcomes > MAX_OUTCOMES {
                return Err(TooMany);
            }
            return Ok(if next.is_empty() { Next::Sink } else { Next::State(self.state(next, sink)?) });
        };
        // The same capture can stand at several of the nodes.
        let (same, rest): (Vec<_>, Vec<_>) = tested.iter().partition(|(other, _)| other == segment);
        if matched.iter().any(|other| apart(other, segment)) {
            return self.tests(&rest, matched, next, sink, outcomes);
        }
        let mut with = next.clone();
        with.extend(same.iter().map(|(_, child)| *child));
        matched.push(segment);
        let yes = self.tests(&rest, matched, with, sink, outcomes)?;
        matched.pop();
        let no = self.tests(&rest, matched, next, sink, outcomes)?;
        let tested = match segment {
            Segment::Capture { prefix, class, .. } if fault::made(Fault::IgnoreSuffix) => {
                Segment::Capture { prefix: prefix.clone(), class: class.clone(), suffix: "".into() }
            }
            segment => (*segment).clone(),
        };
        Ok(if yes == no { yes } else { Next::Test(Box::new((tested, yes, no))) })
    }

    fn state(&mut self, mut nodes: Vec<NodeId>, splats: SetId) -> Result<StateId, TooMany> {
        nodes.sort_unstable();
        nodes.dedup();
        let trie = self.trie;
        let mut passed = nodes.iter().filter_map(|id| trie.node(*id).splat).peekable();
        let splats = if passed.peek().is_some() {
            let mut all =
                if fault::made(Fault::ForgetSplats) { Vec::new() } else { self.sets[splats as usize].to_vec() };
            all.extend(passed);
            self.set(all)
        } else {
            splats
        };
        let key = (nodes.into_boxed_slice(), splats);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        if self.keys.len() >= self.limit {
            return Err(TooMany);
        }
        let id = StateId::try_from(self.keys.len()).expect("the limit is a multiple of the patterns");
        self.known.insert(key.clone(), id);
        self.keys.push(key);
        Ok(id)
    }

    fn set(&mut self, mut patterns: Vec<PatternId>) -> SetId {
        patterns.sort_unstable();
        patterns.dedup();
        let patterns = patterns.into_boxed_slice();
        if let Some(known) = self.set_ids.get(&patterns) {
            return *known;
        }
        let id = SetId::try_from(self.sets.len()).expect("no more than states");
        self.set_ids.insert(patterns.clone(), id);
        self.sets.push(patterns);
        id
    }
}

/// Whether it is plain that no text matches both. Said too rarely, there are tests that never hold.
fn apart(a: &Segment, b: &Segment) -> bool {
    let bare = |segment: &Segment| match segment {
        Segment::Capture { prefix, class, suffix } if prefix.is_empty() && suffix.is_empty() => Some(class.clone()),
        Segment::Capture { .. } | Segment::Lit(_) => None,
    };
    affixes_differ(a, b)
        || matches!((bare(a), bare(b)), (Some(Class::Int), Some(Class::Uuid)) | (Some(Class::Uuid), Some(Class::Int)))
}
