//! How long a name waits after a failure, and everyone after trouble with the authority.

use super::budget::{DAY, MINUTE};
use std::hash::{DefaultHasher, Hash, Hasher};

/// After the first failure of a name, the second, … as Let's Encrypt asks of its clients.
const NAME: [u64; 4] = [MINUTE, 10 * MINUTE, 100 * MINUTE, DAY];
/// While the authority cannot be reached, or asks to be left alone without saying for how long. Nothing
/// counts there then, so it is looked at again soon.
const AUTHORITY: [u64; 5] = [5_000, 15_000, MINUTE, 5 * MINUTE, 10 * MINUTE];
/// Waits are longer by up to this part of them, so that names that failed together do not come back together.
const JITTER: u64 = 8;

/// How long a name waits after so many failures in a row (from 1), milliseconds.
#[must_use]
pub fn of_name(name: &str, failures: u32) -> u64 {
    wait(&NAME, name, failures)
}

/// How long a name waits that was refused for what it is: there is no use in trying soon. Milliseconds.
#[must_use]
pub fn of_refused(name: &str, failures: u32) -> u64 {
    wait(&NAME[NAME.len() - 1..], name, failures)
}

/// How long everyone waits after so many failures in a row (from 1) to reach the authority, milliseconds.
#[must_use]
pub fn of_authority(directory: &str, failures: u32) -> u64 {
    wait(&AUTHORITY, directory, failures)
}

fn wait(ladder: &[u64], of: &str, failures: u32) -> u64 {
    let step = (failures.max(1) as usize - 1).min(ladder.len() - 1);
    let wait = ladder[step];
    wait + part(&(of, failures), wait / JITTER)
}

/// Between 0 and `most`, always the same for the same thing.
pub(super) fn part(of: &impl Hash, most: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    // The product of two 64-bit numbers: its upper half is below `most`.
    ((u128::from(hasher.finish()) * u128::from(most)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_day_and_are_never_shorter_than_said() {
        for (failures, at_least) in [(1, MINUTE), (2, 10 * MINUTE), (3, 100 * MINUTE), (4, DAY), (40, DAY)] {
            let waits: Vec<u64> = (0..100).map(|n| of_name(&format!("{n}.sluice.dev"), failures)).collect();
            assert!(waits.iter().all(|wait| (at_least..at_least + at_least / JITTER).contains(wait)), "{waits:?}");
            let first = waits[0];
            assert!(waits.iter().any(|wait| wait.abs_diff(first) > at_least / 32), "they are spread");
        }
        assert_eq!(of_name("a", 1), of_name("a", 1));
        assert!(of_refused("a", 1) >= DAY);
        assert!(of_authority("ca", 1) < 6_000 && of_authority("ca", 99) < 12 * MINUTE);
    }
}
