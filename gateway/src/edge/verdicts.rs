//! Tokens that were verified, so that the same token costs a digest the next time.
//!
//! What is kept is known by a keyed digest of the whole token, of the call and of what the call compares with: no
//! token is in it. It counts only for the keys that it was verified with, and as long as the token itself says. Each
//! worker has its own: nobody waits for anybody, and a token is verified once by each.

use super::jwt::Holds;
use aws_lc_rs::hmac;
use dsl::tree::ir::CallIdx;
use std::collections::HashMap;
use std::mem;

/// Bytes of claims, about, that half of it holds.
const HALF: usize = 2 << 20;
/// What is counted for a token beside its claims.
const EACH: usize = 128;

/// What a token is known by.
pub(super) type Digest = [u8; 32];

/// The tokens of a worker: those that were asked for of late, and those before them.
pub struct Verdicts {
    key: Option<hmac::Key>,
    young: HashMap<Digest, Verdict>,
    old: HashMap<Digest, Verdict>,
    /// Of the young ones.
    bytes: usize,
}

#[derive(Clone)]
struct Verdict {
    /// Of the keys.
    version: u64,
    holds: Holds,
}

/// What a token is asked about.
pub(super) struct Asked<'a> {
    /// The site, as it was loaded.
    pub(super) site: u64,
    pub(super) call: CallIdx,
    pub(super) issuer: Option<&'a str>,
    pub(super) audience: Option<&'a str>,
    pub(super) token: &'a str,
}

impl Default for Verdicts {
    fn default() -> Self {
        let mut bytes = [0; 32];
        // Without randomness nothing is kept.
        let key = aws_lc_rs::rand::fill(&mut bytes).ok().map(|()| hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        Self { key, young: HashMap::new(), old: HashMap::new(), bytes: 0 }
    }
}

impl Verdicts {
    /// What a question is known by.
    pub(super) fn digest(&self, asked: &Asked<'_>) -> Option<Digest> {
        let mut digest = hmac::Context::with_key(self.key.as_ref()?);
        digest.update(&asked.site.to_be_bytes());
        digest.update(&asked.call.0.to_be_bytes());
        for part in [asked.issuer, asked.audience, Some(asked.token)] {
            // None of them can be taken for a part of another.
            digest.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            digest.update(part.unwrap_or_default().as_bytes());
        }
        digest.sign().as_ref().try_into().ok()
    }

    /// The token that was verified with keys of this version.
    pub(super) fn get(&mut self, digest: &Digest, version: u64) -> Option<Holds> {
        let of = |verdict: &Verdict| (verdict.version == version).then(|| verdict.holds.clone());
        if let Some(verdict) = self.young.get(digest) {
            return of(verdict);
        }
        let holds = of(self.old.get(digest)?)?;
        self.keep(*digest, version, holds.clone());
        Some(holds)
    }

    /// Keeps a token that was verified.
    pub(super) fn keep(&mut self, digest: Digest, version: u64, holds: Holds) {
        self.bytes += EACH + holds.claims.iter().map(|(name, text)| 64 + name.len() + text.len()).sum::<usize>();
        self.young.insert(digest, Verdict { version, holds });
        if self.bytes > HALF {
            self.old = mem::take(&mut self.young);
            self.bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::jwt::Lasts;
    use super::*;
    use std::sync::Arc;

    fn asked(call: u32, token: &str) -> Asked<'_> {
        Asked { site: 1, call: CallIdx(call), issuer: None, audience: Some("api"), token }
    }

    fn holds(sub: &str) -> Holds {
        let claims = Arc::from([("sub".into(), sub.into())]);
        Holds { claims, lasts: Lasts { from: None, until: Some(9.0) } }
    }

    #[test]
    fn a_verdict_is_of_one_question_and_one_set_of_keys() {
        let mut verdicts = Verdicts::default();
        let digest = verdicts.digest(&asked(0, "a.b.c")).expect("randomness");
        verdicts.keep(digest, 7, holds("ann"));
        assert!(verdicts.get(&digest, 7).is_some());
        assert!(verdicts.get(&digest, 8).is_none(), "the keys changed");
        for other in [asked(1, "a.b.c"), asked(0, "a.b.d"), Asked { audience: None, ..asked(0, "a.b.c") }] {
            let other = verdicts.digest(&other).expect("randomness");
            assert!(verdicts.get(&other, 7).is_none());
        }
        let again = Verdicts::default().digest(&asked(0, "a.b.c"));
        assert_ne!(again, Some(digest), "each worker has a key of its own");
    }

    #[test]
    fn however_many_tokens_come_memory_is_bounded_and_what_is_used_stays() {
        let mut verdicts = Verdicts::default();
        let used = verdicts.digest(&asked(0, "used")).expect("randomness");
        verdicts.keep(used, 1, holds("ann"));
        for n in 0..60_000 {
            let digest = verdicts.digest(&asked(0, &n.to_string())).expect("randomness");
            verdicts.keep(digest, 1, holds(&"x".repeat(64)));
            assert!(verdicts.get(&used, 1).is_some(), "after {n}");
        }
        let most = HALF / EACH;
        assert!(verdicts.young.len() + verdicts.old.len() <= 2 * most, "{}", verdicts.young.len());
        assert!(verdicts.bytes <= HALF);
    }
}
