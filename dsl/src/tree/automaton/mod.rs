//! Paths: from the patterns of a site to an automaton over segments that never looks back.
//!
//! 1. [`trie`]: the patterns by their segments.
//! 2. [`subset`]: sets of trie nodes become states, so that a literal segment also stands for the
//!    captures beside it, and a splat passed on the way is remembered.
//! 3. [`layout`]: the states as one piece of memory, and the walk over it.
//!
//! Where the sets would outgrow the patterns, [`sets`] walks them at run time instead: exact, and slower.

pub(super) mod layout;
pub(super) mod sets;
pub(super) mod subset;
pub(crate) mod trie;

/// A pattern, by its number among the site's distinct ones.
pub(crate) type PatternId = u32;
