//! Whose bucket: a key in 128 bits, under a secret of the process. Nobody who does not know it can make
//! two clients meet, and nobody can wait for it to happen.

use crate::upstream::client_group;
use dsl::tree::l4::{Facts, Key, KeyPart};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Digest(pub(super) [u64; 2]);

/// What digests are made with.
#[derive(Debug, Default)]
pub(super) struct Secret(RandomState);

impl Secret {
    /// The digest of a connection's key.
    pub(super) fn digest(&self, key: &Key, facts: &Facts<'_>) -> Digest {
        // Two values of a keyed function (SipHash) of two different inputs.
        Digest([0_u8, 1].map(|half| {
            let mut hasher = self.0.build_hasher();
            half.hash(&mut hasher);
            for part in &key.0 {
                part.hash(&mut hasher);
                hash_part(*part, facts, &mut hasher);
            }
            hasher.finish()
        }))
    }
}

fn hash_part(part: KeyPart, facts: &Facts<'_>, hasher: &mut impl Hasher) {
    match part {
        KeyPart::ClientIp => client_group(facts.client.ip()).hash(hasher),
        KeyPart::ClientPort => facts.client.port().hash(hasher),
        KeyPart::Connection => {
            for at in [facts.client, facts.local] {
                (at.ip().to_canonical(), at.port()).hash(hasher);
            }
        }
        KeyPart::Sni => facts.sni.unwrap_or_default().hash(hasher),
    }
}
