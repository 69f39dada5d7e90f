//! `balance least-requests`: of two endpoints that are drawn by weight, the one with fewer requests
//! under way for its weight. Counted over all workers and all pools that name the endpoint; who is
//! chosen is counted before anything waits, so that two who choose at once see each other.
//!
//! Why two and not the least of all: counts are a moment old when they are read, and everybody who
//! reads them would go to the same endpoint. Mitzenmacher, "The Power of Two Choices in Randomized
//! Load Balancing", 2001.

use super::Candidates;
use super::random::{Dice, two};

/// The better of two.
pub(super) fn fewer(dice: &Dice, candidates: &Candidates<'_>) -> Option<usize> {
    let ((first, weight), second) = two(dice, candidates)?;
    let Some((second, of)) = second else { return Some(first) };
    let members = candidates.members.each();
    let (a, b) = (members[first].endpoint.open(), members[second].endpoint.open());
    // Between equals the draw decides, which holds the weights.
    let other = u128::from(b) * u128::from(weight) < u128::from(a) * u128::from(of);
    Some(if other { second } else { first })
}
