//! Whose bucket a connection or flow counts in.

use crate::limit::{Digest, Secret};
use crate::upstream::client_group;
use dsl::tree::l4::{Facts, Key, KeyPart};
use std::hash::{Hash, Hasher};

/// The digest of a connection's key.
pub(super) fn digest(secret: &Secret, key: &Key, facts: &Facts<'_>) -> Digest {
    secret.digest_of(|mut hasher| {
        for part in &key.0 {
            part.hash(&mut hasher);
            hash_part(*part, facts, &mut hasher);
        }
    })
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
