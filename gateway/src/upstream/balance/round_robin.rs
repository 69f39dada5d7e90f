//! `balance round-robin`: smooth weighted round-robin, per worker. An endpoint of weight 5 among two
//! of weight 1 gets five connections of seven, and not five in a row.

use super::Candidates;

/// Whose turn it is among the candidates that `of` holds for.
pub(super) fn next(owed: &mut [i64], candidates: &Candidates<'_>, of: impl Fn(usize) -> bool) -> Option<usize> {
    let mut best: Option<usize> = None;
    let mut total = 0;
    for (index, weight) in candidates.each().filter(|(index, _)| of(*index)) {
        // At most a hundred times a weight of 32 bits.
        let weight = weight as i64;
        total += weight;
        owed[index] += weight;
        if best.is_none_or(|b| owed[index] > owed[b]) {
            best = Some(index);
        }
    }
    if let Some(best) = best {
        owed[best] -= total;
    }
    best
}
