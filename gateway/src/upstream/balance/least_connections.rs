//! `balance least-connections`: the endpoint with the fewest open connections for its weight, counted
//! over all workers and all pools that name it. All of the pool is looked at: two drawn at random, as
//! is common, are too few to find the one idle endpoint among five.

use super::{Candidates, round_robin};

/// Who has the fewest; among equals, whose turn it is.
pub(super) fn fewest(owed: &mut [i64], candidates: &Candidates<'_>) -> Option<usize> {
    let members = candidates.members.each();
    let mut best: Option<(usize, u64, u64)> = None;
    for (index, weight) in candidates.each() {
        let open = members[index].endpoint.open();
        if best.is_none_or(|(_, fewest, of)| less(open, weight, fewest, of)) {
            best = Some((index, open, weight));
        }
    }
    let (index, open, weight) = best?;
    let ties = |other: usize| !less(open, weight, members[other].endpoint.open(), candidates.weight(other));
    round_robin::next(owed, candidates, ties).or(Some(index))
}

/// Whether `a / weight` is less than `b / of`.
fn less(a: u64, weight: u64, b: u64, of: u64) -> bool {
    u128::from(a) * u128::from(of) < u128::from(b) * u128::from(weight)
}
