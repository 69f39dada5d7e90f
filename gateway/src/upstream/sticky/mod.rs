//! `sticky cookie "route" [key secret.sticky] [for 12h]`: a visitor stays on the endpoint that answered
//! first, by a cookie that says which, encrypted.
//!
//! A cookie is, in base64url, a nonce of 96 bits and, sealed by AES-256-GCM-SIV (RFC 8452: nonces that are
//! drawn may even meet), until when it holds and a hash of the endpoint's address. It is bound to the
//! pool's name and its own. Its key is made by HKDF-SHA256 (RFC 5869) of the secret that is named, or of
//! one that the gateway keeps in its data directory; so cookies outlive restarts, and with a secret
//! they hold on every node that has it.
//!
//! INVARIANT: what cannot be opened is no cookie: it decides nothing, and is told to nobody.

mod key;

pub(super) use key::OwnKey;

use super::{EndpointHandle, Members};
use crate::base64url::{decode_exactly, encode};
use crate::secrets::Secrets;
use arc_swap::ArcSwapOption;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;
use dsl::tree::ir;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Until when, and who: eight bytes each.
const CONTENT: usize = 16;
const TAG: usize = 16;
const SEALED: usize = NONCE_LEN + CONTENT + TAG;
/// Changes with what a cookie holds and how.
const VERSION: &[u8] = b"sluice sticky cookie 1";

/// How a pool keeps visitors where they are.
pub struct Sticky {
    said: ir::Sticky,
    /// What cookies are bound to.
    bound: Box<[u8]>,
    source: Source,
    key: ArcSwapOption<Key>,
}

enum Source {
    Own(Arc<OwnKey>),
    Secret(Arc<str>, Arc<Secrets>),
}

struct Key {
    /// Of the secrets that it was made from.
    version: u64,
    /// `None` where there is no secret: there are no cookies then.
    sealing: Option<LessSafeKey>,
}

/// An endpoint, as cookies name it: the same over restarts and on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whom(u64);

impl Whom {
    /// An endpoint.
    #[must_use]
    pub fn of(endpoint: &EndpointHandle) -> Self {
        Self(endpoint.identity())
    }

    /// Its place in a pool, where it belongs to it.
    pub(super) fn find(self, members: &Members) -> Option<usize> {
        members.each().iter().position(|member| member.endpoint.identity() == self.0)
    }
}

impl Sticky {
    pub(super) fn new(pool: &ir::Pool, own: &Arc<OwnKey>, secrets: &Arc<Secrets>) -> Option<Arc<Self>> {
        let said = pool.sticky.clone()?;
        let bound = [VERSION, pool.name.as_bytes(), said.cookie.as_bytes()].join(&0);
        let source = match &said.secret {
            Some(name) => Source::Secret(Arc::clone(name), Arc::clone(secrets)),
            None => Source::Own(Arc::clone(own)),
        };
        let sticky = Self { said, bound: bound.into(), source, key: ArcSwapOption::empty() };
        // Workers find it made.
        sticky.key();
        Some(Arc::new(sticky))
    }

    /// The cookie's name.
    #[must_use]
    pub fn cookie(&self) -> &str {
        &self.said.cookie
    }

    /// How long browsers keep it, in seconds; for as long as they run without it.
    #[must_use]
    pub fn max_age(&self) -> Option<u64> {
        self.said.for_ms.map(|ms| ms.div_ceil(1_000))
    }

    /// Whom a cookie names; `None` where it is not of this pool, was changed, or is over.
    #[must_use]
    pub fn open(&self, value: &[u8], now: SystemTime) -> Option<Whom> {
        let mut sealed: [u8; SEALED] = decode_exactly(value)?;
        let (nonce, content) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let key = self.key();
        let content = key.sealing.as_ref()?.open_in_place(nonce, Aad::from(&*self.bound), content).ok()?;
        let (until, whom) = content.split_first_chunk::<8>()?;
        let until = u64::from_be_bytes(*until);
        let whom = u64::from_be_bytes(whom.try_into().ok()?);
        (until == 0 || seconds(now) < until).then_some(Whom(whom))
    }

    /// A cookie that names somebody; `None` where there is no key.
    #[must_use]
    pub fn seal(&self, whom: Whom, now: SystemTime) -> Option<String> {
        let until = self.max_age().map_or(0, |lasts| seconds(now).saturating_add(lasts));
        let mut sealed = [0; SEALED];
        let (nonce, rest) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let (content, tag) = rest.split_first_chunk_mut::<CONTENT>()?;
        rand::fill(nonce).ok()?;
        content[..8].copy_from_slice(&until.to_be_bytes());
        content[8..].copy_from_slice(&whom.0.to_be_bytes());
        let key = self.key();
        let bound = Aad::from(&*self.bound);
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let made = key.sealing.as_ref()?.seal_in_place_separate_tag(nonce, bound, content).ok()?;
        tag.copy_from_slice(made.as_ref());
        Some(encode(&sealed))
    }

    /// The key; made anew when there are other secrets.
    fn key(&self) -> Arc<Key> {
        let version = match &self.source {
            Source::Own(_) => 0,
            Source::Secret(_, secrets) => secrets.version(),
        };
        if let Some(key) = &*self.key.load()
            && key.version == version
        {
            return Arc::clone(key);
        }
        let sealing = match &self.source {
            Source::Own(own) => derived(own.bytes()),
            Source::Secret(name, secrets) => secrets.get(name).and_then(|secret| derived(secret.bytes())),
        };
        let key = Arc::new(Key { version, sealing });
        self.key.store(Some(Arc::clone(&key)));
        key
    }
}

fn derived(secret: &[u8]) -> Option<LessSafeKey> {
    let made = Salt::new(HKDF_SHA256, VERSION).extract(secret);
    let made = made.expand(&[b"AES-256-GCM-SIV"], &AES_256_GCM_SIV).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(made)))
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl fmt::Debug for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sticky").field("cookie", &self.said.cookie).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
