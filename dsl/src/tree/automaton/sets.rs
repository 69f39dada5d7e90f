//! The trie itself, walked as a set of nodes: for sites whose patterns cross so much that the states
//! of an automaton would outgrow them. Exact, polynomial, and it allocates.

use super::PatternId;
use super::trie::{NodeId, Trie};
use crate::tree::pattern;

impl Trie {
    /// The patterns that match a canonical path, sorted.
    pub(crate) fn matching(&self, path: &str) -> Vec<PatternId> {
        let mut found: Vec<PatternId> = Vec::new();
        let mut nodes: Vec<NodeId> = vec![0];
        for text in pattern::segments(path) {
            found.extend(nodes.iter().filter_map(|id| self.node(*id).splat));
            let mut next = Vec::new();
            for node in nodes.iter().map(|id| self.node(*id)) {
                next.extend(node.literals.iter().filter(|(lit, _)| **lit == *text).map(|(_, child)| *child));
                next.extend(node.captures.iter().filter(|(s, _)| s.matches(text)).map(|(_, child)| *child));
            }
            nodes = next;
        }
        let ends = nodes.iter().map(|id| self.node(*id));
        found.extend(ends.flat_map(|node| [node.exact, node.splat]).flatten());
        found.sort_unstable();
        found
    }
}
