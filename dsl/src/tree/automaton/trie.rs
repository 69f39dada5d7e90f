//! The patterns of a site by their segments.

use super::PatternId;
use crate::tree::ir::{PathPattern, Segment};
use std::collections::HashMap;
use std::sync::Arc;

/// A node, by its number; 0 is the root.
pub(crate) type NodeId = u32;

/// What follows after some segments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Literal segments.
    pub(crate) literals: Vec<(Arc<str>, NodeId)>,
    /// Captures.
    pub(crate) captures: Vec<(Segment, NodeId)>,
    /// The patterns that end here, without a splat and with one.
    pub(crate) exact: Option<PatternId>,
    pub(crate) splat: Option<PatternId>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Trie {
    pub(crate) nodes: Vec<Node>,
}

impl Trie {
    /// The trie of distinct patterns, numbered by their place.
    pub(crate) fn new(patterns: &[&PathPattern]) -> Self {
        let mut nodes = vec![Node::default()];
        let mut children: HashMap<(NodeId, &Segment), NodeId> = HashMap::with_capacity(patterns.len());
        for (id, pattern) in (0..).zip(patterns) {
            let mut at: NodeId = 0;
            for segment in &pattern.segments {
                at = *children.entry((at, segment)).or_insert_with(|| {
                    let child = NodeId::try_from(nodes.len()).expect("a site has less than 2^32 segments");
                    nodes.push(Node::default());
                    let parent = &mut nodes[at as usize];
                    match segment {
                        Segment::Lit(text) => parent.literals.push((text.clone(), child)),
                        Segment::Capture { .. } => parent.captures.push((segment.clone(), child)),
                    }
                    child
                });
            }
            let node = &mut nodes[at as usize];
            *(if pattern.splat { &mut node.splat } else { &mut node.exact }) = Some(id);
        }
        Self { nodes }
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }
}
