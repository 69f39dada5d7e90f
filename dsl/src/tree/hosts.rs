//! Who answers for a host: exact names first, then its parent domains' patterns, nearest first.
//!
//! Captures stand in the first label only, so that the patterns that match a host form a chain, and
//! the first hit is the most specific. Names live in 256 shards behind shared pointers: a changed copy
//! of an index shares all shards but those of the hosts that changed.

use super::hash::hash;
use super::ir::{HostHead, HostPattern, PathPattern, Segment};
use super::order::order;
use crate::region::{Algebra, Undecided};
use std::sync::Arc;

/// A map from host patterns.
#[derive(Debug, Clone)]
pub struct HostIndex<T> {
    shards: Arc<[Arc<Shard<T>>]>,
    seed: u64,
    /// How many domains with so many labels have patterns below them.
    depths: Box<[u32; DEPTHS]>,
    len: usize,
}

/// A name of 253 bytes has 127 labels at most.
const DEPTHS: usize = 128;
const SHARDS: usize = 256;

/// The names whose hash ends alike: an open table of entries, whose names are joined. What a look-up
/// costs is the lines of memory that it touches, so that entries stand in the table itself.
#[derive(Debug, Clone)]
struct Shard<T> {
    table: Vec<Entry<T>>,
    used: usize,
    names: String,
}

/// A place of the table; free when nothing stands behind it.
#[derive(Debug, Clone)]
struct Entry<T> {
    /// Half of the hash.
    tag: u32,
    /// Where its name begins, and its length.
    name: (u32, u32),
    exact: Option<T>,
    below: Option<Arc<Below<T>>>,
}

/// The patterns directly below a domain.
#[derive(Debug, Clone)]
struct Below<T> {
    /// `{x}.domain`, most specific first.
    labels: Vec<(Segment, T)>,
    /// `**.domain`
    many: Option<T>,
}

/// A claim that matches some hosts of another, neither lying inside the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap<'i, T> {
    /// The pattern that stands in the index.
    pub pattern: HostPattern,
    /// What it leads to.
    pub value: &'i T,
    /// A host that both match.
    pub witness: String,
}

impl<T: Clone> Default for HostIndex<T> {
    /// An index for checks and tests, where nobody chooses the hosts against it.
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl<T: Clone> HostIndex<T> {
    /// An empty index. Clients choose hosts, so the seed is drawn once per process by the caller:
    /// this crate draws no random number.
    pub fn seeded(seed: u64) -> Self {
        let empty = Arc::new(Shard { table: Vec::new(), used: 0, names: String::new() });
        Self { shards: vec![empty; SHARDS].into(), seed, depths: Box::new([0; DEPTHS]), len: 0 }
    }

    /// How many patterns it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What answers for a canonical host.
    pub fn get(&self, host: &str) -> Option<&T> {
        if let Some(Entry { exact: Some(value), .. }) = self.entry(host) {
            return Some(value);
        }
        let mut parents = host.bytes().filter(|b| *b == b'.').count();
        let (mut rest, mut nearest) = (host, true);
        loop {
            let (label, parent) = rest.split_once('.').unwrap_or((rest, ""));
            // `parents` dots in the rest are as many labels in the parent.
            if self.depths.get(parents).is_some_and(|n| *n > 0)
                && let Some(below) = self.entry(parent).and_then(|entry| entry.below.as_deref())
            {
                let one = below.labels.iter().find(|(segment, _)| nearest && segment.matches(label));
                if let Some(value) = one.map(|(_, value)| value).or(below.many.as_ref()) {
                    return Some(value);
                }
            }
            if parent.is_empty() {
                return None;
            }
            (rest, nearest, parents) = (parent, false, parents - 1);
        }
    }

    /// What a pattern itself leads to.
    pub fn claim(&self, pattern: &HostPattern) -> Option<&T> {
        if let Some(host) = pattern.literal() {
            return self.entry(&host)?.exact.as_ref();
        }
        let below = self.entry(&pattern.parent)?.below.as_deref()?;
        match &pattern.head {
            HostHead::Label(label) => below.labels.iter().find(|(l, _)| l == label).map(|(_, value)| value),
            HostHead::Many => below.many.as_ref(),
        }
    }

    /// Adds a pattern; what it led to before.
    ///
    /// Patterns of one domain are ordered by inclusion. Where that is undecided they are ordered by
    /// kind, for the index must answer; [`HostIndex::overlapping`] says so, and who adds patterns asks it first.
    pub fn insert(&mut self, pattern: &HostPattern, value: T) -> Option<T> {
        let previous = match pattern.literal() {
            Some(host) => self.entry_mut(&host).exact.replace(value),
            None => {
                let entry = self.entry_mut(&pattern.parent);
                let fresh = entry.below.is_none();
                let below = Arc::make_mut(
                    entry.below.get_or_insert_with(|| Arc::new(Below { labels: Vec::new(), many: None })),
                );
                let previous = match &pattern.head {
                    HostHead::Many => below.many.replace(value),
                    HostHead::Label(label) => match below.labels.iter_mut().find(|(l, _)| l == label) {
                        Some((_, old)) => Some(std::mem::replace(old, value)),
                        None => {
                            below.labels.push((label.clone(), value));
                            sort(&mut below.labels);
                            None
                        }
                    },
                };
                self.depths[depth(&pattern.parent)] += u32::from(fresh);
                previous
            }
        };
        self.len += usize::from(previous.is_none());
        previous
    }

    /// Takes a pattern out; what it led to.
    pub fn remove(&mut self, pattern: &HostPattern) -> Option<T> {
        self.claim(pattern)?;
        let host = pattern.literal();
        let name = host.as_deref().unwrap_or(&pattern.parent);
        let entry = self.entry_mut(name);
        let (removed, emptied) = match (&host, &mut entry.below) {
            (Some(_), _) => (entry.exact.take(), false),
            (None, None) => (None, false),
            (None, Some(shared)) => {
                let below = Arc::make_mut(shared);
                let removed = match &pattern.head {
                    HostHead::Many => below.many.take(),
                    HostHead::Label(label) => {
                        below.labels.iter().position(|(l, _)| l == label).map(|at| below.labels.remove(at).1)
                    }
                };
                (removed, below.labels.is_empty() && below.many.is_none())
            }
        };
        if emptied {
            entry.below = None;
        }
        if entry.is_free() {
            self.forget(name);
        }
        if emptied {
            self.depths[depth(&pattern.parent)] -= 1;
        }
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// All patterns and what they lead to, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (HostPattern, &T)> {
        self.shards.iter().flat_map(|shard| {
            shard.table.iter().flat_map(move |entry| {
                let name = entry.name(&shard.names);
                let exact = entry.exact.iter().map(move |value| (HostPattern::of_literal(name), value));
                let below = entry.below.iter().flat_map(move |below| {
                    let pattern = move |head| HostPattern { head, parent: name.into() };
                    let labels = below.labels.iter().map(move |(l, v)| (pattern(HostHead::Label(l.clone())), v));
                    labels.chain(below.many.iter().map(move |v| (pattern(HostHead::Many), v)))
                });
                exact.chain(below)
            })
        })
    }

    /// A claim that overlaps with the pattern, neither lying inside the other: G2002.
    ///
    /// # Errors
    /// Whether one lies inside the other cannot be decided, and with which pattern.
    pub fn overlapping(&self, pattern: &HostPattern) -> Result<Option<Overlap<'_, T>>, (HostPattern, Undecided)> {
        // Only captures of one label beside each other can overlap without nesting.
        let HostHead::Label(label @ Segment::Capture { .. }) = &pattern.head else { return Ok(None) };
        let Some(below) = self.entry(&pattern.parent).and_then(|entry| entry.below.as_deref()) else { return Ok(None) };
        let mut algebra = Algebra::hosts();
        for (other, value) in &below.labels {
            let found = HostPattern { head: HostHead::Label(other.clone()), parent: pattern.parent.clone() };
            let nested = algebra
                .segment_inside(label, other)
                .and_then(|inside| Ok(inside || algebra.segment_inside(other, label)?));
            let witness = match nested {
                Ok(true) => continue,
                Ok(false) => algebra.host_overlap(pattern, &found),
                Err(why) => Err(why),
            };
            match witness {
                Ok(None) => {}
                Ok(Some(witness)) => return Ok(Some(Overlap { pattern: found, value, witness })),
                Err(why) => return Err((found, why)),
            }
        }
        Ok(None)
    }

    #[inline]
    fn entry(&self, name: &str) -> Option<&Entry<T>> {
        let hash = hash(self.seed, name.as_bytes());
        let shard = &self.shards[shard_of(hash)];
        shard.find(hash, name).map(|at| &shard.table[at])
    }

    /// The entry of a name, made where there is none; the shard is copied if somebody else reads it.
    /// A new entry is filled before anything else is asked.
    fn entry_mut(&mut self, name: &str) -> &mut Entry<T> {
        let hash = hash(self.seed, name.as_bytes());
        let shard = self.shard_mut(hash);
        let at = shard.find(hash, name).unwrap_or_else(|| shard.add(hash, name));
        &mut shard.table[at]
    }

    /// Takes an entry out that has become free: those behind it close up.
    fn forget(&mut self, name: &str) {
        let seed = self.seed;
        self.shard_mut(hash(seed, name.as_bytes())).rebuild(seed);
    }

    fn shard_mut(&mut self, hash: u64) -> &mut Shard<T> {
        let seed = self.seed;
        let shard = Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[shard_of(hash)]);
        if (shard.used + 1) * 4 > shard.table.len() * 3 {
            shard.rebuild(seed);
        }
        shard
    }
}

impl<T> Shard<T> {
    #[inline]
    fn find(&self, hash: u64, name: &str) -> Option<usize> {
        let mask = self.table.len().checked_sub(1)?;
        let tag = tag_of(hash);
        let mut at = slot_of(hash) & mask;
        loop {
            let entry = &self.table[at];
            if entry.tag == tag && entry.name(&self.names) == name && !entry.is_free() {
                return Some(at);
            }
            if entry.is_free() {
                return None;
            }
            at = (at + 1) & mask;
        }
    }

    fn add(&mut self, hash: u64, name: &str) -> usize {
        let number = |n: usize| u32::try_from(n).expect("a shard holds less than 4 GiB of names");
        let place = (number(self.names.len()), number(name.len()));
        self.names.push_str(name);
        self.used += 1;
        self.place(Entry { tag: tag_of(hash), name: place, exact: None, below: None }, hash)
    }

    /// Room for as many again, and nothing free among the rest.
    fn rebuild(&mut self, seed: u64) {
        let old = std::mem::take(&mut self.table);
        let names = std::mem::take(&mut self.names);
        let kept: Vec<Entry<T>> = old.into_iter().filter(|entry| !entry.is_free()).collect();
        self.used = kept.len();
        let size = ((self.used + 1) * 2).next_power_of_two();
        self.table.resize_with(size, || Entry { tag: 0, name: (0, 0), exact: None, below: None });
        for mut entry in kept {
            let name = entry.name(&names);
            let start = u32::try_from(self.names.len()).expect("a shard's names are not longer than they were");
            let hash = hash(seed, name.as_bytes());
            self.names.push_str(name);
            entry.name.0 = start;
            self.place(entry, hash);
        }
    }

    fn place(&mut self, entry: Entry<T>, hash: u64) -> usize {
        let mask = self.table.len() - 1;
        let mut at = slot_of(hash) & mask;
        while !self.table[at].is_free() {
            at = (at + 1) & mask;
        }
        self.table[at] = entry;
        at
    }
}

impl<T> Entry<T> {
    #[inline]
    fn is_free(&self) -> bool {
        self.exact.is_none() && self.below.is_none()
    }

    #[inline]
    fn name<'n>(&self, names: &'n str) -> &'n str {
        &names[self.name.0 as usize..][..self.name.1 as usize]
    }
}

fn shard_of(hash: u64) -> usize {
    hash as usize % SHARDS
}

fn slot_of(hash: u64) -> usize {
    (hash >> 8) as usize
}

fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// How many labels a domain has.
fn depth(domain: &str) -> usize {
    let labels = if domain.is_empty() { 0 } else { 1 + domain.bytes().filter(|b| *b == b'.').count() };
    labels.min(DEPTHS - 1)
}

/// Most specific first, whatever the order in which they came.
fn sort<T>(labels: &mut Vec<(Segment, T)>) {
    labels.sort_by_cached_key(|(label, _)| (label.rank(), label.to_string()));
    let patterns: Vec<PathPattern> =
        labels.iter().map(|(label, _)| PathPattern { segments: vec![label.clone()], splat: false }).collect();
    let Ok(sorted) = order(&patterns.iter().collect::<Vec<_>>(), &mut Algebra::hosts()) else { return };
    let mut taken: Vec<Option<(Segment, T)>> = labels.drain(..).map(Some).collect();
    labels.extend(sorted.into_iter().filter_map(|at| taken[at].take()));
}

#[cfg(test)]
mod tests;
