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
    /// The digest of a key, which is handed to the hasher once for each half.
    #[must_use]
    pub fn digest_of(&self, key: impl Fn(&mut dyn Hasher)) -> Digest {
        // Two values of a keyed function (SipHash) of two different inputs.
        Digest([0_u8, 1].map(|half| {
            let mut hasher = self.0.build_hasher();
            half.hash(&mut hasher);
            key(&mut hasher);
            hasher.finish()
        }))
    }
}
