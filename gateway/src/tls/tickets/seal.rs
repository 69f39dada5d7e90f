//! Tickets as they go over the wire: the name of their key, a nonce, the sealed state (RFC 5077
//! section 4, with an AEAD in place of a cipher and a MAC).

use super::Boundary;
use super::ring::{LIFETIME, Ring, Secret};
use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;
use std::fmt;
use std::sync::Arc;

/// Bytes of a key's name.
const NAME: usize = 16;
/// What a ticket begins with.
const HEAD: usize = NAME + NONCE_LEN;
/// Sets these keys apart from others that might be derived of the same secret.
const SALT: &[u8] = b"sluice session tickets 1";

/// The tickets of one boundary.
pub(super) struct Within {
    ring: Arc<ArcSwap<Ring>>,
    boundary: Boundary,
    keys: ArcSwap<Keys>,
}

/// Keys that were derived of a ring.
struct Keys {
    /// Which ring; two are never at the same place, for this one holds it.
    of: Arc<Ring>,
    /// The one that seals first.
    each: Vec<Key>,
}

struct Key {
    /// Tells keys apart without trying them. It is derived too, so that the tickets of two boundaries
    /// have nothing in common.
    name: [u8; NAME],
    /// Random nonces may meet under a key that makes very many tickets, or when a machine goes on from
    /// a snapshot: this AEAD tells no more then than that two messages were the same (RFC 8452).
    sealing: LessSafeKey,
}

struct NameLen;

impl KeyType for NameLen {
    fn len(&self) -> usize {
        NAME
    }
}

impl Key {
    fn derived(secret: &Secret, boundary: &Boundary) -> Option<Self> {
        let secret = Salt::new(HKDF_SHA256, SALT).extract(secret.bytes());
        let mut name = [0; NAME];
        secret.expand(&[b"name", boundary], NameLen).ok()?.fill(&mut name).ok()?;
        let info = [b"key".as_slice(), boundary];
        let key = UnboundKey::from(secret.expand(&info, &AES_256_GCM_SIV).ok()?);
        Some(Self { name, sealing: LessSafeKey::new(key) })
    }

    fn seal(&self, state: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(HEAD + state.len() + AES_256_GCM_SIV.tag_len());
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(state);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.sealing.seal_in_place_separate_tag(nonce, Aad::from(self.name), &mut ticket[HEAD..]).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, nonce: [u8; NONCE_LEN], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut state = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let len = self.sealing.open_in_place(nonce, Aad::from(self.name), &mut state).ok()?.len();
        state.truncate(len);
        Some(state)
    }
}

impl Keys {
    fn derived(ring: Arc<Ring>, boundary: &Boundary) -> Self {
        let each = ring.secrets().iter().filter_map(|secret| Key::derived(secret, boundary)).collect();
        Self { of: ring, each }
    }
}

impl Within {
    pub(super) fn new(ring: Arc<ArcSwap<Ring>>, boundary: Boundary) -> Self {
        let keys = ArcSwap::from_pointee(Keys::derived(ring.load_full(), &boundary));
        Self { ring, boundary, keys }
    }

    /// The keys of today's secrets: derived anew when those turned, which takes microseconds.
    fn keys(&self) -> arc_swap::Guard<Arc<Keys>> {
        let keys = self.keys.load();
        let ring = self.ring.load();
        if Arc::ptr_eq(&keys.of, &ring) {
            return keys;
        }
        self.keys.store(Arc::new(Keys::derived(Arc::clone(&ring), &self.boundary)));
        self.keys.load()
    }
}

impl ProducesTickets for Within {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys().each.first()?.seal(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = cipher.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        self.keys().each.iter().find(|key| key.name == *name)?.open(*nonce, sealed)
    }
}

impl fmt::Debug for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within").finish_non_exhaustive()
    }
}
