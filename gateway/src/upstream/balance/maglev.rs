//! `balance maglev KEY`: a table in which each endpoint has as many slots as its weight says, nearly
//! exactly, and most slots keep their endpoint when another one comes or goes. Eisenbud et al., "Maglev:
//! A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4.
//!
//! The preferences of an endpoint come from its address and port, and addresses take their turns in alphabetical
//! order: the table is the same on every node, after every restart, and however the file orders them.

use crate::upstream::Members;
use dsl::tree::l4::key::xxh64;

/// Slots of a table: prime, as the paper has it.
pub(super) const SLOTS: usize = 65_537;
/// Slots where the pool has more endpoints than a hundredth of [`SLOTS`]: shares stay within about 1 %.
const MORE_SLOTS: usize = 655_373;
const FREE: u32 = u32::MAX;

/// For each slot its endpoint's place in the pool.
#[derive(Debug, Default)]
pub(super) struct Table(Box<[u32]>);

/// An endpoint that takes its turns.
struct Member {
    index: u32,
    name: String,
    weight: u64,
    /// How much it has had, in units of the greatest weight.
    had: u64,
    at: usize,
    skip: usize,
}

impl Table {
    /// The table of the endpoints that `of` holds for.
    pub(super) fn build(pool: &Members, of: impl Fn(usize) -> bool) -> Self {
        // By all that the pool names: what is down must not change the size, which moves everybody.
        let size = if pool.len() > SLOTS / 100 { MORE_SLOTS } else { SLOTS };
        Self::sized(pool, size, of)
    }

    /// With so many slots, a prime number.
    pub(super) fn sized(pool: &Members, size: usize, of: impl Fn(usize) -> bool) -> Self {
        let mut members: Vec<_> = (0..pool.len())
            .filter(|index| of(*index))
            .map(|index| {
                let (host, port) = pool.endpoint(index).spot();
                let name = format!("{host}:{port}");
                let (offset, skip) = (xxh64(name.as_bytes(), 0), xxh64(name.as_bytes(), 1));
                Member {
                    index: index as u32,
                    name,
                    weight: u64::from(pool.each()[index].weight),
                    had: 0,
                    at: (offset % size as u64) as usize,
                    skip: (skip % (size as u64 - 1)) as usize + 1,
                }
            })
            .collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let Some(greatest) = members.iter().map(|m| m.weight).max() else { return Self::default() };
        let mut slots = vec![FREE; size].into_boxed_slice();
        let mut left = size;
        let mut turn = 0;
        while left > 0 {
            turn += 1;
            for member in &mut members {
                // One of half the greatest weight takes every other turn. Everybody takes the first.
                if turn * member.weight < member.had {
                    continue;
                }
                member.had += greatest;
                while slots[member.at] != FREE {
                    member.at = (member.at + member.skip) % size;
                }
                slots[member.at] = member.index;
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        Self(slots)
    }

    /// Who has a hash, and then who has the slots after it: they are next where the first was tried or
    /// rests.
    pub(super) fn around(&self, hash: u64) -> impl Iterator<Item = usize> {
        let start = (hash % self.0.len().max(1) as u64) as usize;
        self.0[start..].iter().chain(&self.0[..start]).map(|index| *index as usize)
    }

    /// The slots, for those who measure.
    #[cfg(test)]
    pub(super) fn slots(&self) -> &[u32] {
        &self.0
    }
}
