//! Whose an API key is (`api-key(…)`).
//!
//! A key is looked up by its SHA-256: whatever the time of a look-up tells, it tells of a hash that nobody can choose.

use super::since_epoch;
use dsl::tree::api_keys::Owned;
use dsl::tree::calls::Outcome;
use dsl::tree::hash_hex;
use dsl::tree::rows::Rows;
use std::sync::Arc;

/// Bytes that a key may have: nobody hashes a novel.
const MOST_BYTES: usize = 512;

/// Whose a key is: claims `owner` and `scope`, the latter once for each.
pub(super) fn owner(key: &str, keys: &Rows) -> Outcome {
    if key.len() > MOST_BYTES {
        return Outcome::No;
    }
    let row = keys.find(hash_hex(key).as_bytes());
    let Some(Owned { owner, scopes, until }) = row.and_then(|row| Owned::of(keys.value(row))) else {
        return Outcome::No;
    };
    if until.is_some_and(|until| i64::try_from(since_epoch().as_secs()).map_or(true, |now| now >= until)) {
        return Outcome::No;
    }
    let scopes = scopes.split(' ').filter(|scope| !scope.is_empty()).map(|scope| ("scope".into(), scope.into()));
    Outcome::Yes(std::iter::once((Arc::from("owner"), Arc::from(owner))).chain(scopes).collect())
}
