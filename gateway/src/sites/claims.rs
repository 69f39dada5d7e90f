//! Who answers for a host, when several files would.
//!
//! Incumbency, not order: where two files claim a host, the one that holds it keeps it; where none
//! holds it, none of them gets it, so that what serves never depends on which was read first. A
//! file loads whole or not at all, so one lost host refuses the file, which falls back on the
//! version that served before, and that version may in turn defend hosts of its own.

use dsl::syntax::span::FileId;
use dsl::tree::ir::HostPattern;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// A host pattern, spelt in one way; [`DEFAULT`] for the site that says `default`.
pub type Key = Arc<str>;

/// What the site that says `default` claims beside its hosts.
pub const DEFAULT: &str = "default";

/// Spells a host pattern. Captures' names do not matter, so they are left out.
pub fn key(pattern: &HostPattern) -> Key {
    pattern.to_string().into()
}

/// Who holds what, and who was refused for what.
#[derive(Debug, Default)]
pub struct Claims {
    holders: HashMap<Key, FileId>,
    held: HashMap<FileId, Vec<Key>>,
    /// Files that lost these keys, and would serve without having lost them.
    lost: HashMap<Key, BTreeSet<FileId>>,
    refused: HashMap<FileId, Vec<Key>>,
}

/// A version that would serve.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The file.
    pub file: FileId,
    /// What it claims, each once.
    pub keys: Vec<Key>,
}

/// What was decided about a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Files whose new version serves.
    pub accepted: BTreeSet<FileId>,
    /// Files whose new version does not: the keys it lost, each with a file that stands against it.
    pub refused: BTreeMap<FileId, Vec<(Key, FileId)>>,
}

impl Claims {
    /// Who holds a key.
    pub fn holder(&self, key: &str) -> Option<FileId> {
        self.holders.get(key).copied()
    }

    /// What a file holds.
    pub fn held(&self, file: FileId) -> &[Key] {
        self.held.get(&file).map_or(&[], Vec::as_slice)
    }

    /// Makes a file the holder of keys that nobody holds: what a stored version held before a restart.
    /// Says what it got.
    pub fn adopt(&mut self, file: FileId, keys: &[Key]) -> Vec<Key> {
        let free: Vec<Key> = keys.iter().filter(|k| !self.holders.contains_key(*k)).cloned().collect();
        self.hold(file, free.clone());
        free
    }

    /// Takes everything from a file: it was deleted, or nothing of it may serve.
    pub fn release(&mut self, file: FileId) {
        self.forgive(file);
        for key in self.held.remove(&file).unwrap_or_default() {
            self.holders.remove(&key);
        }
    }

    /// Forgets that a file was refused for its claims: it is refused for another reason now.
    pub fn forgive(&mut self, file: FileId) {
        for key in self.refused.remove(&file).unwrap_or_default() {
            if let Some(files) = self.lost.get_mut(&key) {
                files.remove(&file);
                if files.is_empty() {
                    self.lost.remove(&key);
                }
            }
        }
    }

    /// Files that were refused for a key of these: they may serve now.
    pub fn waiting<'k>(&self, keys: impl IntoIterator<Item = &'k Key>) -> BTreeSet<FileId> {
        keys.into_iter().filter_map(|key| self.lost.get(key)).flatten().copied().collect()
    }

    /// The keys that a file was refused for.
    pub fn refused_for(&self, file: FileId) -> &[Key] {
        self.refused.get(&file).map_or(&[], Vec::as_slice)
    }

    /// Decides which candidates serve, all of them at once, and remembers it.
    pub fn decide(&mut self, candidates: &[Candidate]) -> Verdict {
        let mut verdict = Verdict { accepted: candidates.iter().map(|c| c.file).collect(), refused: BTreeMap::new() };
        let candidate: HashSet<FileId> = candidates.iter().map(|c| c.file).collect();
        // Holders first: whoever loses to one is out, and falls back on what it held, which it
        // then defends. Each round refuses somebody or is the last.
        loop {
            let losers = self.losers_to_holders(candidates, &verdict.accepted);
            let losers = if losers.is_empty() {
                self.losers_to_peers(candidates, &candidate, &verdict.accepted)
            } else {
                losers
            };
            if losers.is_empty() {
                break;
            }
            for (file, lost) in losers {
                verdict.accepted.remove(&file);
                verdict.refused.insert(file, lost);
            }
        }
        for c in candidates {
            self.forgive(c.file);
        }
        for (file, lost) in &verdict.refused {
            let keys: Vec<Key> = lost.iter().map(|(key, _)| Arc::clone(key)).collect();
            for key in &keys {
                self.lost.entry(Arc::clone(key)).or_default().insert(*file);
            }
            self.refused.insert(*file, keys);
        }
        for c in candidates.iter().filter(|c| verdict.accepted.contains(&c.file)) {
            for key in self.held.remove(&c.file).unwrap_or_default() {
                if self.holders.get(&key) == Some(&c.file) {
                    self.holders.remove(&key);
                }
            }
        }
        for c in candidates.iter().filter(|c| verdict.accepted.contains(&c.file)) {
            self.hold(c.file, c.keys.clone());
        }
        verdict
    }

    fn hold(&mut self, file: FileId, keys: Vec<Key>) {
        for key in &keys {
            self.holders.insert(Arc::clone(key), file);
        }
        self.held.entry(file).or_default().extend(keys);
    }

    fn losers_to_holders(
        &self,
        candidates: &[Candidate],
        accepted: &BTreeSet<FileId>,
    ) -> Vec<(FileId, Vec<(Key, FileId)>)> {
        let new: HashMap<FileId, HashSet<&Key>> =
            candidates.iter().map(|c| (c.file, c.keys.iter().collect())).collect();
        let mut losers = Vec::new();
        for c in candidates.iter().filter(|c| accepted.contains(&c.file)) {
            let lost: Vec<_> = c
                .keys
                .iter()
                .filter_map(|key| {
                    let holder = self.holder(key)?;
                    // A holder whose accepted version does not claim the key any more gives it up.
                    let keeps = !accepted.contains(&holder) || new[&holder].contains(key);
                    (holder != c.file && keeps).then(|| (Arc::clone(key), holder))
                })
                .collect();
            if !lost.is_empty() {
                losers.push((c.file, lost));
            }
        }
        losers
    }

    fn losers_to_peers(
        &self,
        candidates: &[Candidate],
        candidate: &HashSet<FileId>,
        accepted: &BTreeSet<FileId>,
    ) -> Vec<(FileId, Vec<(Key, FileId)>)> {
        let mut claimants: HashMap<&Key, Vec<FileId>> = HashMap::new();
        for c in candidates.iter().filter(|c| accepted.contains(&c.file)) {
            for key in &c.keys {
                claimants.entry(key).or_default().push(c.file);
            }
        }
        let mut losers = Vec::new();
        for c in candidates.iter().filter(|c| accepted.contains(&c.file)) {
            let lost: Vec<_> = c
                .keys
                .iter()
                .filter(|key| self.holder(key) != Some(c.file))
                .filter_map(|key| {
                    let peer = claimants[key].iter().find(|f| **f != c.file);
                    // Files of earlier batches that lost this very key stand against a newcomer
                    // as if they had come with it.
                    let earlier = || self.lost.get(key)?.iter().find(|f| **f != c.file && !candidate.contains(f));
                    peer.or_else(earlier).map(|other| (Arc::clone(key), *other))
                })
                .collect();
            if !lost.is_empty() {
                losers.push((c.file, lost));
            }
        }
        losers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FileId = FileId(1);
    const B: FileId = FileId(2);
    const C: FileId = FileId(3);

    fn claim(file: FileId, keys: &[&str]) -> Candidate {
        Candidate { file, keys: keys.iter().map(|k| Arc::from(*k)).collect() }
    }

    fn accepted(verdict: &Verdict) -> Vec<FileId> {
        verdict.accepted.iter().copied().collect()
    }

    #[test]
    fn the_incumbent_keeps_its_host() {
        let mut claims = Claims::default();
        claims.decide(&[claim(A, &["h"])]);
        let verdict = claims.decide(&[claim(B, &["h", "i"])]);
        assert_eq!(verdict.refused[&B], [(Key::from("h"), A)]);
        assert_eq!((claims.holder("h"), claims.holder("i")), (Some(A), None));
        assert_eq!(accepted(&claims.decide(&[claim(A, &["h"])])), [A], "and may be edited");
    }

    #[test]
    fn on_a_first_start_neither_gets_it_in_any_order() {
        for order in [[A, B], [B, A]] {
            let mut claims = Claims::default();
            let verdict = claims.decide(&order.map(|f| claim(f, &["h"])));
            assert!(verdict.accepted.is_empty());
            assert_eq!(claims.holder("h"), None);
            assert!(claims.decide(&[claim(A, &["h"])]).accepted.is_empty(), "touching one does not make it the holder");
        }
    }

    #[test]
    fn who_waited_serves_once_the_host_is_free() {
        let mut claims = Claims::default();
        claims.decide(&[claim(A, &["h"]), claim(B, &["h"])]);
        claims.release(A);
        assert_eq!(claims.waiting([&Key::from("h")]), [B].into());
        assert_eq!(accepted(&claims.decide(&[claim(B, &["h"])])), [B]);
        assert!(claims.waiting([&Key::from("h")]).is_empty());
    }

    #[test]
    fn a_host_may_move_between_files_in_one_batch() {
        let mut claims = Claims::default();
        claims.decide(&[claim(A, &["h", "i"])]);
        let verdict = claims.decide(&[claim(A, &["i"]), claim(B, &["h"])]);
        assert_eq!(accepted(&verdict), [A, B]);
        assert_eq!((claims.holder("h"), claims.holder("i")), (Some(B), Some(A)));
    }

    #[test]
    fn a_refused_version_falls_back_and_defends_what_it_held() {
        let mut claims = Claims::default();
        claims.decide(&[claim(A, &["a"]), claim(C, &["c"])]);
        // A would leave `a` for `c`, which C holds; B would take `a`.
        let verdict = claims.decide(&[claim(A, &["c"]), claim(B, &["a"])]);
        assert!(verdict.accepted.is_empty());
        assert_eq!(verdict.refused[&B], [(Key::from("a"), A)]);
        assert_eq!(claims.held(A), [Key::from("a")]);
    }

    #[test]
    fn who_is_out_anyway_takes_nobody_along() {
        let mut claims = Claims::default();
        claims.decide(&[claim(C, &["c"])]);
        let verdict = claims.decide(&[claim(A, &["c", "h"]), claim(B, &["h"])]);
        assert_eq!(accepted(&verdict), [B]);
    }
}
