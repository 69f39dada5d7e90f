//! `balance random`: drawn by weight, each connection anew. Workers and nodes that know nothing of each
//! other do not fall into step.

use super::Candidates;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// A worker's dice.
#[derive(Debug)]
pub(crate) struct Dice(Cell<u64>);

impl Default for Dice {
    fn default() -> Self {
        Self(Cell::new(RandomState::new().hash_one(0_u8) | 1))
    }
}

impl Dice {
    /// That fall alike in every run.
    #[cfg(test)]
    pub(super) fn of(seed: u64) -> Self {
        // Stirred, so that near seeds are far apart.
        Self(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    /// A number below `end`; `None` where there is none.
    pub(super) fn below(&self, end: u64) -> Option<u64> {
        // xorshift64*: spread evenly, which is all that shares need.
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        let bits = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
        (end > 0).then_some(((u128::from(bits) * u128::from(end)) >> 64) as u64)
    }
}

/// Draws one of the candidates.
pub(super) fn draw(dice: &Dice, candidates: &Candidates<'_>) -> Option<usize> {
    let total = candidates.each().map(|(_, weight)| weight).sum();
    at(candidates.each(), dice.below(total)?).map(|(index, _)| index)
}

/// A candidate's place and weight.
type Drawn = (usize, u64);

/// Draws two different candidates by weight; one, where there is no other.
pub(super) fn two(dice: &Dice, candidates: &Candidates<'_>) -> Option<(Drawn, Option<Drawn>)> {
    let total: u64 = candidates.each().map(|(_, weight)| weight).sum();
    let first = at(candidates.each(), dice.below(total)?)?;
    let others = || candidates.each().filter(|(index, _)| *index != first.0);
    let second = dice.below(total - first.1).and_then(|left| at(others(), left));
    Some((first, second))
}

/// Whose share a point falls into.
fn at(shares: impl Iterator<Item = Drawn>, mut left: u64) -> Option<Drawn> {
    for (index, weight) in shares {
        match left.checked_sub(weight) {
            Some(rest) => left = rest,
            None => return Some((index, weight)),
        }
    }
    // One of them went down between the two looks.
    None
}
