//! Conditions: from the rows of a chain to a small shared graph.
//!
//! 1. [`column`]: the tests of one field divide its values into classes; within a class all of them
//!    agree. Absent is a class of its own.
//! 2. [`graph`]: rows over classes become a graph of nodes that each look at one column, equal parts
//!    shared across all chains of the site.

pub(crate) mod column;
pub(crate) mod graph;
