//! Answers and failures of the last while, counted by all workers together without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// Pieces that a while is cut into: the oldest of them is forgotten at once.
const PIECES: u64 = 10;
/// A piece holds its number in the upper third, then how many, then how many of them failed.
const BITS: u32 = 21;
const MASK: u64 = (1 << BITS) - 1;

/// The last so many milliseconds.
#[derive(Debug)]
pub(super) struct Window {
    piece_ms: u64,
    pieces: [AtomicU64; PIECES as usize],
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) all: u64,
    pub(super) failed: u64,
}

impl Window {
    /// Over so many milliseconds.
    pub(super) fn new(lasts_ms: u64) -> Self {
        Self { piece_ms: (lasts_ms / PIECES).max(1), pieces: Default::default() }
    }

    /// Counts one.
    pub(super) fn add(&self, failed: bool, now: u64) {
        let number = self.number(now);
        let piece = &self.pieces[(number % PIECES) as usize];
        let counted = |packed: u64| {
            let (of, all, bad) = unpacked(packed);
            // Of another while, which is over.
            let (all, bad) = if of == number { (all, bad) } else { (0, 0) };
            // Full: the share is known well enough.
            (all < MASK).then_some(packed_of(number, all + 1, bad + u64::from(failed)))
        };
        let _ = piece.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    /// What the last while holds.
    pub(super) fn seen(&self, now: u64) -> Seen {
        let number = self.number(now);
        let mut seen = Seen::default();
        for piece in &self.pieces {
            let (of, all, failed) = unpacked(piece.load(Ordering::Relaxed));
            if number.wrapping_sub(of) & MASK < PIECES {
                seen.all += all;
                seen.failed += failed;
            }
        }
        seen
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.pieces.iter().for_each(|piece| piece.store(0, Ordering::Relaxed));
    }

    /// Of the piece that is written now. It is never 0, which empty pieces have, for long enough.
    fn number(&self, now: u64) -> u64 {
        (now / self.piece_ms + PIECES + 1) & MASK
    }
}

fn packed_of(number: u64, all: u64, failed: u64) -> u64 {
    (number << (2 * BITS)) | (all << BITS) | failed
}

fn unpacked(packed: u64) -> (u64, u64, u64) {
    (packed >> (2 * BITS), (packed >> BITS) & MASK, packed & MASK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let window = Window::new(10_000);
        assert_eq!(window.seen(0), Seen::default());
        (0..30).for_each(|n| window.add(n % 3 == 0, n * 100));
        assert_eq!(window.seen(3_000), Seen { all: 30, failed: 10 });
        assert_eq!(window.seen(9_999), Seen { all: 30, failed: 10 });
        assert_eq!(window.seen(10_500), Seen { all: 20, failed: 6 });
        assert_eq!(window.seen(13_000), Seen::default());
        window.add(true, 20_000);
        assert_eq!(window.seen(20_000), Seen { all: 1, failed: 1 });
        window.clear();
        assert_eq!(window.seen(20_000), Seen::default());
    }

    #[test]
    fn no_answer_is_lost_between_threads() {
        let window = Window::new(10_000);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let window = &window;
                scope.spawn(move || (0..10_000).for_each(|n| window.add(n % 4 == worker, 5)));
            }
        });
        assert_eq!(window.seen(5), Seen { all: 40_000, failed: 10_000 });
    }
}
