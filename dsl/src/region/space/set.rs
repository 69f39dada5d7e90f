//! Sets of classes of one dimension.

/// A set of the numbers below a bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Set {
    words: Box<[u64]>,
    bound: u32,
}

impl Set {
    /// The numbers for which a condition holds.
    pub(super) fn of(bound: usize, holds: impl Fn(usize) -> bool) -> Self {
        let mut words = vec![0; bound.div_ceil(64)];
        (0..bound).filter(|n| holds(*n)).for_each(|n| words[n / 64] |= 1 << (n % 64));
        Self { words: words.into(), bound: u32::try_from(bound).expect("classes are bounded") }
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// Whether everything below its bound is.
    pub(super) fn is_full(&self) -> bool {
        self.words.iter().map(|w| w.count_ones()).sum::<u32>() == self.bound
    }

    /// Whether a number is in it.
    pub(super) fn contains(&self, n: usize) -> bool {
        self.words.get(n / 64).is_some_and(|w| w >> (n % 64) & 1 == 1)
    }

    /// What is in both.
    pub(super) fn and(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// What is in this one alone.
    pub(super) fn minus(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// What is not in it.
    pub(super) fn complement(&self) -> Self {
        Self::of(self.bound as usize, |n| !self.contains(n))
    }

    /// Its numbers, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.bound as usize).filter(|n| self.contains(*n))
    }

    fn zip(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        let words = self.words.iter().zip(&other.words).map(|(a, b)| f(*a, *b)).collect();
        Self { words, bound: self.bound }
    }
}
