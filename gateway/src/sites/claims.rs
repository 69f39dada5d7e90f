//! Who answers for a host or gets a port, when several files would.
//!
//! Incumbency, not order: where two files claim a host, the one that holds it keeps it; where none
//! holds it, none of them gets it, so that what serves never depends on which was read first. A
//! file loads whole or not at all, so one lost host refuses the file, which falls back on the
//! version that served before, and that version may in turn defend hosts of its own.
//!
//! Patterns may nest, for the most specific one answers. Two that share some hosts though neither
//! holds the other (`pr-{n}.x.com`, `{n}-eu.x.com`) conflict like equal ones. So do listeners that
//! overlap: a bare port is every address (LANGUAGE rule 29). Where nobody holds a port yet, the
//! gateway's own listener gets it: without it nothing would start.

use crate::l4::ListenKey;
use dsl::region::Algebra;
use dsl::syntax::span::FileId;
use dsl::tree::ir::{HostHead, HostPattern, Segment};
use dsl::tree::l4::Transport;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// A host pattern, spelt in one way; [`DEFAULT`] for the site that says `default`; a listener, such as
/// `tcp :5432`.
pub type Key = Arc<str>;

/// What the site that says `default` claims beside its hosts.
pub const DEFAULT: &str = "default";

/// Spells a host pattern. Captures' names do not matter, so they are left out.
pub fn key(pattern: &HostPattern) -> Key {
    pattern.to_string().into()
}

/// Something that a file claims.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Hosts.
    Host(HostPattern),
    /// To be the site that says `default`.
    Default,
    /// A listener.
    Port(ListenKey),
}

impl What {
    /// How it is told from other claims.
    pub fn key(&self) -> Key {
        match self {
            Self::Host(pattern) => key(pattern),
            Self::Default => DEFAULT.into(),
            Self::Port(port) => port.to_string().into(),
        }
    }

    /// What only its like can cross: the domain that a pattern with captures is below, a port.
    fn near(&self) -> Option<String> {
        match self {
            Self::Host(pattern) => captures(pattern).then(|| pattern.parent.to_string()),
            Self::Default => None,
            Self::Port(port) => Some(ListenKey { ip: None, ..*port }.to_string()),
        }
    }

    /// Whether it conflicts with something that is spelt otherwise.
    fn cross(&self, key: &Key, other: &Self) -> Option<Crossing> {
        match (self, other) {
            (Self::Host(pattern), Self::Host(at)) => cross(pattern, key, at),
            (Self::Port(port), Self::Port(at)) => {
                port.overlaps(at).then(|| Crossing { key: Arc::clone(key), witness: None })
            }
            _ => None,
        }
    }
}

/// The listener that a key of an earlier process speaks of.
fn port(key: &str) -> Option<ListenKey> {
    let (word, at) = key.split_once(' ')?;
    let transport = match word {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        _ => return None,
    };
    Some(match at.strip_prefix(':') {
        Some(port) => ListenKey { transport, ip: None, port: port.parse().ok()? },
        None => {
            let at: SocketAddr = at.parse().ok()?;
            ListenKey { transport, ip: Some(at.ip()), port: at.port() }
        }
    })
}

/// Who holds what, and who was refused for what.
#[derive(Debug, Default)]
pub struct Claims {
    holders: HashMap<Key, FileId>,
    held: HashMap<FileId, Vec<Key>>,
    /// What is held and could be crossed, by [`What::near`].
    near: HashMap<String, Vec<(Key, What)>>,
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
    pub keys: Vec<(Key, What)>,
    /// The gateway's own file: it gets what nobody holds.
    pub first: bool,
}

impl Candidate {
    fn claims(&self, key: &str) -> bool {
        self.keys.iter().any(|(k, _)| **k == *key)
    }
}

/// Something that a file claims and does not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What.
    pub key: Key,
    /// A file that stands against it.
    pub other: FileId,
    /// What that file claims, where it is not the same.
    pub crossing: Option<Crossing>,
}

/// A pattern that shares some hosts with another, neither holding the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The other pattern.
    pub key: Key,
    /// A host that both match; `None` when that cannot be decided.
    pub witness: Option<String>,
}

/// What was decided about a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Files whose new version serves.
    pub accepted: BTreeSet<FileId>,
    /// Files whose new version does not, and why.
    pub refused: BTreeMap<FileId, Vec<Lost>>,
}

impl Claims {
    /// Who holds a key.
    pub fn holder(&self, key: &str) -> Option<FileId> {
        self.holders.get(key).copied()
    }

    /// How many things are held or remembered.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        assert!(self.near.values().map(Vec::len).sum::<usize>() <= self.holders.len());
        self.holders.len() + self.lost.len() + self.refused.len()
    }

    /// What a file holds.
    pub fn held(&self, file: FileId) -> &[Key] {
        self.held.get(&file).map_or(&[], Vec::as_slice)
    }

    /// Makes a file the holder of keys that nobody holds: what a stored version held before a restart.
    /// Says what it got.
    pub fn adopt(&mut self, file: FileId, keys: &[Key]) -> Vec<Key> {
        let free: Vec<Key> = keys.iter().filter(|k| !self.holders.contains_key(*k)).cloned().collect();
        let what = |key: &Key| port(key).map_or(What::Default, What::Port);
        self.hold(file, free.iter().map(|key| (Arc::clone(key), what(key))).collect());
        free
    }

    /// Takes everything from a file: it was deleted, or nothing of it may serve.
    pub fn release(&mut self, file: FileId) {
        self.forgive(file);
        for key in self.held.remove(&file).unwrap_or_default() {
            self.drop_key(&key);
        }
    }

    fn drop_key(&mut self, key: &Key) {
        self.holders.remove(key);
        let near = match port(key) {
            Some(port) => What::Port(port).near(),
            None => key.split_once('.').map(|(_, parent)| parent.to_owned()),
        };
        let Some(near) = near else { return };
        if let Some(others) = self.near.get_mut(&near) {
            others.retain(|(k, _)| k != key);
            if others.is_empty() {
                self.near.remove(&near);
            }
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
            // It may try again when what stands against it is given up; and who comes later is told that
            // it is not alone.
            let against = |lost: &Lost| lost.crossing.as_ref().map(|c| Arc::clone(&c.key));
            let keys: BTreeSet<Key> =
                lost.iter().flat_map(|l| against(l).into_iter().chain([Arc::clone(&l.key)])).collect();
            let keys: Vec<Key> = keys.into_iter().collect();
            for key in &keys {
                self.lost.entry(Arc::clone(key)).or_default().insert(*file);
            }
            self.refused.insert(*file, keys);
        }
        for c in candidates.iter().filter(|c| verdict.accepted.contains(&c.file)) {
            for key in self.held.remove(&c.file).unwrap_or_default() {
                if self.holders.get(&key) == Some(&c.file) {
                    self.drop_key(&key);
                }
            }
        }
        for c in candidates.iter().filter(|c| verdict.accepted.contains(&c.file)) {
            self.hold(c.file, c.keys.clone());
        }
        verdict
    }

    fn hold(&mut self, file: FileId, keys: Vec<(Key, What)>) {
        for (key, what) in keys {
            if let Some(near) = what.near() {
                let others = self.near.entry(near).or_default();
                if others.iter().all(|(k, _)| *k != key) {
                    others.push((Arc::clone(&key), what));
                }
            }
            self.holders.insert(Arc::clone(&key), file);
            self.held.entry(file).or_default().push(key);
        }
    }

    fn losers_to_holders(&self, candidates: &[Candidate], accepted: &BTreeSet<FileId>) -> Vec<(FileId, Vec<Lost>)> {
        let new: HashMap<FileId, &Candidate> = candidates.iter().map(|c| (c.file, c)).collect();
        // A holder whose accepted version does not claim the key any more gives it up.
        let keeps = |holder: FileId, key: &Key| !accepted.contains(&holder) || new[&holder].claims(key);
        losers(candidates, accepted, |c, key, what| {
            let other = |holder: &FileId| *holder != c.file;
            if let Some(holder) = self.holder(key).filter(other) {
                return keeps(holder, key).then(|| Lost { key: Arc::clone(key), other: holder, crossing: None });
            }
            self.near.get(&what.near()?)?.iter().find_map(|(held, at)| {
                let holder = self.holder(held).filter(other).filter(|h| keeps(*h, held))?;
                let crossing = what.cross(held, at)?;
                Some(Lost { key: Arc::clone(key), other: holder, crossing: Some(crossing) })
            })
        })
    }

    fn losers_to_peers(
        &self,
        candidates: &[Candidate],
        candidate: &HashSet<FileId>,
        accepted: &BTreeSet<FileId>,
    ) -> Vec<(FileId, Vec<Lost>)> {
        let mut claimants: HashMap<&Key, Vec<FileId>> = HashMap::new();
        let mut near: HashMap<String, Vec<(FileId, &Key, &What)>> = HashMap::new();
        for c in candidates.iter().filter(|c| accepted.contains(&c.file)) {
            for (key, what) in &c.keys {
                claimants.entry(key).or_default().push(c.file);
                if let Some(at) = what.near() {
                    near.entry(at).or_default().push((c.file, key, what));
                }
            }
        }
        losers(candidates, accepted, |c, key, what| {
            if self.holder(key) == Some(c.file) || c.first {
                return None;
            }
            let peer = claimants[key].iter().find(|f| **f != c.file);
            // Files of earlier batches that lost this very key stand against a newcomer
            // as if they had come with it.
            let earlier = || self.lost.get(key)?.iter().find(|f| **f != c.file && !candidate.contains(f));
            if let Some(other) = peer.or_else(earlier) {
                return Some(Lost { key: Arc::clone(key), other: *other, crossing: None });
            }
            near.get(&what.near()?)?.iter().filter(|(file, ..)| *file != c.file).find_map(|(file, other, at)| {
                let crossing = what.cross(other, at)?;
                Some(Lost { key: Arc::clone(key), other: *file, crossing: Some(crossing) })
            })
        })
    }
}

/// The accepted candidates that lose a key, by `lose`.
fn losers(
    candidates: &[Candidate],
    accepted: &BTreeSet<FileId>,
    mut lose: impl FnMut(&Candidate, &Key, &What) -> Option<Lost>,
) -> Vec<(FileId, Vec<Lost>)> {
    let mut losers = Vec::new();
    for c in candidates.iter().filter(|c| accepted.contains(&c.file)) {
        let lost: Vec<Lost> = c.keys.iter().filter_map(|(key, what)| lose(c, key, what)).collect();
        if !lost.is_empty() {
            losers.push((c.file, lost));
        }
    }
    losers
}

/// Only captures of one label, below the same domain, can share hosts without nesting.
fn captures(pattern: &HostPattern) -> bool {
    matches!(pattern.head, HostHead::Label(Segment::Capture { .. }))
}

/// Whether two patterns share hosts though neither holds the other, or hold the same in two spellings.
fn cross(pattern: &HostPattern, other: &Key, at: &HostPattern) -> Option<Crossing> {
    let mut algebra = Algebra::hosts();
    let inside = algebra.host_inside(pattern, at);
    let around = algebra.host_inside(at, pattern);
    match (inside, around) {
        (Ok(true), Ok(false)) | (Ok(false), Ok(true)) => None,
        (Ok(_), Ok(_)) => match algebra.host_overlap(pattern, at) {
            Ok(None) => None,
            Ok(Some(witness)) => Some(Crossing { key: Arc::clone(other), witness: Some(witness) }),
            Err(_) => Some(Crossing { key: Arc::clone(other), witness: None }),
        },
        (Err(_), _) | (_, Err(_)) => Some(Crossing { key: Arc::clone(other), witness: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FileId = FileId(1);
    const B: FileId = FileId(2);
    const C: FileId = FileId(3);

    fn claim(file: FileId, keys: &[&str]) -> Candidate {
        let what = |key: &str| port(key).map_or(What::Default, What::Port);
        Candidate { file, keys: keys.iter().map(|k| (Arc::from(*k), what(k))).collect(), first: false }
    }

    fn lost(key: &str, other: FileId) -> Lost {
        Lost { key: key.into(), other, crossing: None }
    }

    fn accepted(verdict: &Verdict) -> Vec<FileId> {
        verdict.accepted.iter().copied().collect()
    }

    #[test]
    fn the_incumbent_keeps_its_host() {
        let mut claims = Claims::default();
        claims.decide(&[claim(A, &["h"])]);
        let verdict = claims.decide(&[claim(B, &["h", "i"])]);
        assert_eq!(verdict.refused[&B], [lost("h", A)]);
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
        assert_eq!(verdict.refused[&B], [lost("a", A)]);
        assert_eq!(claims.held(A), [Key::from("a")]);
    }

    #[test]
    fn who_is_out_anyway_takes_nobody_along() {
        let mut claims = Claims::default();
        claims.decide(&[claim(C, &["c"])]);
        let verdict = claims.decide(&[claim(A, &["c", "h"]), claim(B, &["h"])]);
        assert_eq!(accepted(&verdict), [B]);
    }

    fn captured(file: FileId, prefix: &str, suffix: &str) -> Candidate {
        use dsl::tree::ir::Class;
        let label = Segment::Capture { prefix: prefix.into(), class: Class::Any, suffix: suffix.into() };
        let pattern = HostPattern { head: HostHead::Label(label), parent: "x.com".into() };
        Candidate { file, keys: vec![(key(&pattern), What::Host(pattern))], first: false }
    }

    #[test]
    fn patterns_that_cross_conflict_and_patterns_that_nest_do_not() {
        let mut claims = Claims::default();
        assert_eq!(accepted(&claims.decide(&[captured(A, "pr-", ""), captured(B, "", "")])), [A, B]);
        let verdict = claims.decide(&[captured(C, "", "-eu")]);
        let lost = &verdict.refused[&C][0];
        assert_eq!(lost.other, A);
        let witness = lost.crossing.as_ref().and_then(|c| c.witness.clone()).unwrap();
        assert!(witness.starts_with("pr-") && witness.ends_with("-eu.x.com"), "{witness}");
        let held = claims.held(A).to_vec();
        claims.release(A);
        assert_eq!(claims.waiting(&held), [C].into());
        assert_eq!(accepted(&claims.decide(&[captured(C, "", "-eu")])), [C]);
    }

    #[test]
    fn patterns_that_cross_on_a_first_start_are_both_refused() {
        let mut claims = Claims::default();
        assert!(claims.decide(&[captured(A, "pr-", ""), captured(B, "", "-eu")]).accepted.is_empty());
    }

    #[test]
    fn listeners_that_overlap_conflict_and_others_do_not() {
        let mut claims = Claims::default();
        claims.decide(&[claim(A, &["tcp :53", "udp 10.0.0.1:53", "tcp :0"])]);
        let verdict = claims.decide(&[claim(B, &["tcp 127.0.0.1:53"])]);
        let crossing = Crossing { key: "tcp :53".into(), witness: None };
        assert_eq!(verdict.refused[&B], [Lost { key: "tcp 127.0.0.1:53".into(), other: A, crossing: Some(crossing) }]);
        let verdict = claims.decide(&[claim(C, &["udp 10.0.0.2:53", "udp [::1]:53", "tcp :54"])]);
        assert_eq!(accepted(&verdict), [C]);
        let held = claims.held(A).to_vec();
        claims.release(A);
        assert_eq!(claims.waiting(&held), [B].into());
        assert_eq!(accepted(&claims.decide(&[claim(B, &["tcp 127.0.0.1:53"])])), [B]);
    }

    #[test]
    fn listeners_of_an_earlier_process_are_held() {
        let mut claims = Claims::default();
        claims.adopt(A, &["udp [::1]:53".into(), "h".into()]);
        assert!(claims.decide(&[claim(B, &["udp :53"])]).accepted.is_empty());
        claims.release(A);
        assert!(claims.near.is_empty());
    }

    #[test]
    fn the_gateway_gets_a_port_that_nobody_holds_and_loses_one_that_somebody_does() {
        let first = |keys: &[&str]| Candidate { first: true, ..claim(A, keys) };
        let mut claims = Claims::default();
        let verdict = claims.decide(&[first(&["tcp :443"]), claim(B, &["tcp 10.0.0.1:443"])]);
        assert_eq!(accepted(&verdict), [A]);
        claims.decide(&[claim(C, &["tcp :5432"])]);
        assert_eq!(claims.decide(&[first(&["tcp :443", "tcp :5432"])]).refused[&A], [lost("tcp :5432", C)]);
    }

    #[test]
    fn who_crossed_each_other_wait_for_each_other() {
        let mut claims = Claims::default();
        let verdict = claims.decide(&[claim(A, &["tcp :1"]), claim(B, &["tcp 10.0.0.1:1"])]);
        assert!(verdict.accepted.is_empty());
        assert!(claims.decide(&[claim(B, &["tcp 10.0.0.1:1"])]).accepted.is_empty(), "touching one changes nothing");
        let freed = claims.refused_for(A).to_vec();
        claims.release(A);
        assert_eq!(claims.waiting(&freed), [B].into());
        assert_eq!(accepted(&claims.decide(&[claim(B, &["tcp 10.0.0.1:1"])])), [B]);
    }
}
