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
    /// A number below `end`, which is not 0.
    fn below(&self, end: u64) -> u64 {
        // xorshift64*: spread evenly, which is all that shares need.
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        let bits = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
        ((u128::from(bits) * u128::from(end)) >> 64) as u64
    }
}

/// Draws one of the candidates.
pub(super) fn draw(dice: &Dice, candidates: &Candidates<'_>) -> Option<usize> {
    let total: u64 = candidates.each().map(|(_, weight)| u64::from(weight)).sum();
    if total == 0 {
        return None;
    }
    let mut left = dice.below(total);
    for (index, weight) in candidates.each() {
        match left.checked_sub(u64::from(weight)) {
            Some(rest) => left = rest,
            None => return Some(index),
        }
    }
    // One of them went down between the two looks.
    None
}
