//! Whose bucket: a key in 128 bits, under a secret of the process. Nobody who does not know it can make
//! two clients meet, and nobody can wait for it to happen.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub(super) [u64; 2]);

/// What digests are made with.
#[derive(Debug, Default)]
pub struct Secret(RandomState);

impl Secret {
    /// The digest of a key.
    #[must_use]
    pub fn digest_of(&self, key: impl FnOnce(&mut dyn Hasher)) -> Digest {
        let mut hasher = self.0.build_hasher();
        key(&mut hasher);
        // Two values of a keyed function (SipHash) of two different inputs, which begin with the same.
        Digest([0_u8, 1].map(|half| {
            let mut hasher = hasher.clone();
            half.hash(&mut hasher);
            hasher.finish()
        }))
    }
}
