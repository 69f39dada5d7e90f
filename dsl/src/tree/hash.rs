//! A hash for short keys: eight bytes at a time, folded multiplication.
//!
//! Keys that clients choose meet it in the host index only, where it is seeded per process; a table
//! that they cannot fill has the probe lengths it was built with.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const OTHER: u64 = 0xa076_1d64_78bd_642f;

/// The hash of a text.
#[inline]
pub(crate) fn hash(seed: u64, text: &[u8]) -> u64 {
    let mut state = seed ^ (text.len() as u64).wrapping_mul(OTHER);
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), MULTIPLIER);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        state = fold(state ^ u64::from_le_bytes(word), MULTIPLIER);
    }
    fold(state ^ OTHER, MULTIPLIER ^ seed.rotate_left(32))
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    let halves = (wide as u64, (wide >> 64) as u64);
    halves.0 ^ halves.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_seeds_count() {
        let keys = ["", "a", "a\0", "aaaaaaaa", "aaaaaaaa\0", "aaaaaaaab"];
        for (i, a) in keys.iter().enumerate() {
            for b in &keys[i + 1..] {
                assert_ne!(hash(1, a.as_bytes()), hash(1, b.as_bytes()), "{a:?} {b:?}");
            }
            assert_ne!(hash(1, a.as_bytes()), hash(2, a.as_bytes()));
        }
    }

    #[test]
    fn low_bits_spread() {
        let mut seen = [0u32; 256];
        for n in 0..25_600 {
            let key = format!("tenant-{n}.example.com");
            seen[(hash(7, key.as_bytes()) & 255) as usize] += 1;
        }
        assert!(seen.iter().all(|n| (50..170).contains(n)), "{seen:?}");
    }
}
