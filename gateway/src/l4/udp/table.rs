//! The flows of a worker's socket: found by their addresses, forgotten when they are quiet.
//!
//! Everything that is done for a datagram costs the same however many flows there are. A flow is in a
//! list of the wheel, which is looked at when its time has come and not before: a datagram only writes
//! the time into its flow. A flow that has shown no life is also in the list of the fresh ones, oldest
//! first: those give way when the table is full. A flow that the upstream has answered, or whose client
//! went on for a second, does not.

use super::classify::Hello;
use super::groups::Member;
use super::path::Path;
use crate::l4::Admitted;
use crate::upstream::InUse;
use dsl::tree::l4::Settings;
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// Nothing.
pub const NONE: u32 = u32::MAX;
/// Flows that a table holds.
pub const CAPACITY: usize = 131_072;
/// A fresh flow has so long before it gives way to another one: an upstream needs time to answer.
pub const FRESH_MS: u64 = 1_000;
/// How far apart two looks at the wheel are.
pub const TICK_MS: u64 = 100;
/// Lists of the wheel: what is due later than it reaches is looked at when it has gone round.
const LISTS: usize = 600;
/// Flows that are made room for at a time, so that growing moves nothing.
const CHUNK: usize = 1024;

/// A flow: datagrams between one address of a client and one endpoint.
pub struct Flow {
    /// Whose it is.
    pub path: Path,
    /// When it began.
    pub began: u64,
    /// When its last datagram came, from either side.
    pub seen: u64,
    /// When it has to end although it is not quiet; `u64::MAX` for never.
    pub until: u64,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// Datagrams from the client.
    pub datagrams_in: u64,
    /// Datagrams to the client.
    pub datagrams_out: u64,
    /// Its endpoint's count of it.
    #[allow(dead_code)] // for its drop
    in_use: InUse,
    /// What only some have.
    pub extra: Option<Box<Extra>>,
    /// The route, pool and endpoint.
    pub via: u32,
    /// The address of the endpoint.
    pub target: u32,
    /// Which socket reaches it.
    pub rank: u32,
    /// When the standing of its endpoint and route was last looked at.
    pub era: u32,
    /// Tells flows that had the same number apart.
    pub stamp: u32,
    /// Whether the endpoint refused a datagram of it.
    pub refused: bool,
    /// Whether `until` is the end of its drain.
    pub drains: bool,
    /// Whether it was answered or has gone on for a while.
    pub settled: bool,
    /// Whether it is found by its addresses.
    listed: bool,
    fresh: Links,
    due: Links,
    /// Which list of the wheel it is in.
    list: u16,
}

/// What only some flows have.
#[derive(Default)]
pub struct Extra {
    /// What its hello says.
    pub hello: Option<Box<Hello>>,
    /// Its share in its group.
    #[allow(dead_code)] // for its drop
    pub member: Option<Member>,
    /// What its limits hold for it.
    pub admitted: Admitted,
}

impl Flow {
    /// How long it may be quiet, milliseconds.
    #[must_use]
    pub fn idle_ms(&self, settings: &Settings) -> u64 {
        self.extra.as_deref().map_or(settings.idle_ms, |extra| extra.idle_ms(settings))
    }
}

impl Extra {
    /// How long its flow may be quiet, milliseconds.
    #[must_use]
    pub fn idle_ms(&self, settings: &Settings) -> u64 {
        let own = self.hello.as_deref().and_then(|hello| hello.idle_ms);
        own.map_or(settings.idle_ms, |own| own.min(settings.idle_ms))
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hello.is_none() && self.member.is_none() && self.admitted.is_empty()
    }
}

/// Neighbours in a list.
#[derive(Clone, Copy)]
struct Links {
    previous: u32,
    next: u32,
}

impl Links {
    const NONE: Self = Self { previous: NONE, next: NONE };
}

/// A list of flows.
#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

impl List {
    const EMPTY: Self = Self { first: NONE, last: NONE };
}

/// What a new flow consists of.
pub struct Begin {
    /// Whose it is.
    pub path: Path,
    /// Now.
    pub now: u64,
    /// When to look whether it is quiet.
    pub due: u64,
    /// When it has to end.
    pub until: u64,
    /// The route, pool and endpoint.
    pub via: u32,
    /// The address of the endpoint.
    pub target: u32,
    /// Which socket reaches it.
    pub rank: u32,
    /// The era.
    pub era: u32,
    /// Its endpoint's count of it.
    pub in_use: InUse,
    /// What only some have.
    pub extra: Option<Box<Extra>>,
}

/// The flows.
pub struct Table {
    chunks: Vec<Box<[Slot]>>,
    free: u32,
    len: usize,
    capacity: usize,
    stamp: u32,
    index: HashTable<u32>,
    hasher: RandomState,
    fresh: List,
    /// The first flow of each list.
    wheel: Box<[u32]>,
    /// Until when the wheel was looked at, in ticks.
    turned: u64,
}

enum Slot {
    Free(u32),
    Taken(Flow),
}

impl Table {
    /// An empty one, for so many flows.
    #[must_use]
    pub fn new(capacity: usize, now: u64) -> Self {
        Self {
            chunks: Vec::new(),
            free: NONE,
            len: 0,
            capacity,
            stamp: 0,
            index: HashTable::new(),
            hasher: RandomState::new(),
            fresh: List::EMPTY,
            wheel: vec![NONE; LISTS].into(),
            turned: now / TICK_MS,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no other one finds room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    /// The flow of a path.
    #[inline]
    #[must_use]
    pub fn find(&self, path: &Path) -> Option<u32> {
        let hash = self.hasher.hash_one(path);
        self.index.find(hash, |i| self.at(*i).path == *path).copied()
    }

    /// A flow. INVARIANT: it has not ended.
    #[inline]
    #[must_use]
    pub fn at(&self, flow: u32) -> &Flow {
        match &self.chunks[flow as usize / CHUNK][flow as usize % CHUNK] {
            Slot::Taken(flow) => flow,
            Slot::Free(_) => unreachable!("flow {flow} has ended"),
        }
    }

    /// A flow. INVARIANT: it has not ended.
    #[inline]
    #[must_use]
    pub fn at_mut(&mut self, flow: u32) -> &mut Flow {
        match &mut self.chunks[flow as usize / CHUNK][flow as usize % CHUNK] {
            Slot::Taken(flow) => flow,
            Slot::Free(_) => unreachable!("flow {flow} has ended"),
        }
    }

    /// A flow, if it has not ended.
    #[must_use]
    pub fn get(&self, flow: u32, stamp: u32) -> Option<&Flow> {
        match self.chunks.get(flow as usize / CHUNK)?.get(flow as usize % CHUNK)? {
            Slot::Taken(flow) if flow.stamp == stamp => Some(flow),
            Slot::Taken(_) | Slot::Free(_) => None,
        }
    }

    /// Begins a flow. It is found by its path unless another one is. INVARIANT: there is room.
    pub fn insert(&mut self, begin: Begin) -> u32 {
        let Begin { path, now, due, until, via, target, rank, era, in_use, extra } = begin;
        debug_assert!(!self.is_full());
        let hash = self.hasher.hash_one(path);
        let listed = self.index.find(hash, |i| self.at(*i).path == path).is_none();
        self.stamp = self.stamp.wrapping_add(1);
        let flow = Flow {
            path,
            began: now,
            seen: now,
            until,
            bytes_in: 0,
            bytes_out: 0,
            datagrams_in: 0,
            datagrams_out: 0,
            in_use,
            extra,
            via,
            target,
            rank,
            era,
            stamp: self.stamp,
            refused: false,
            drains: false,
            settled: false,
            listed,
            fresh: Links::NONE,
            due: Links::NONE,
            list: 0,
        };
        let index = self.place(flow);
        if listed {
            let Self { index: table, chunks, hasher, .. } = self;
            table.insert_unique(hash, index, |i| hasher.hash_one(path_of(chunks, *i)));
        }
        self.push_fresh(index);
        self.look_at(index, due);
        index
    }

    fn place(&mut self, flow: Flow) -> u32 {
        if self.free == NONE {
            let first = (self.chunks.len() * CHUNK) as u32;
            let slots = (first + 1..first + CHUNK as u32).chain([NONE]).map(Slot::Free).collect();
            self.chunks.push(slots);
            self.free = first;
        }
        let index = self.free;
        let slot = &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK];
        match std::mem::replace(slot, Slot::Taken(flow)) {
            Slot::Free(next) => self.free = next,
            Slot::Taken(_) => unreachable!("the free list holds free slots"),
        }
        self.len += 1;
        index
    }

    /// Ends a flow.
    pub fn remove(&mut self, flow: u32) -> Flow {
        if self.at(flow).listed {
            let hash = self.hasher.hash_one(self.at(flow).path);
            if let Ok(entry) = self.index.find_entry(hash, |i| *i == flow) {
                entry.remove();
            }
        }
        self.settle(flow);
        self.unlook(flow);
        let slot = &mut self.chunks[flow as usize / CHUNK][flow as usize % CHUNK];
        let Slot::Taken(ended) = std::mem::replace(slot, Slot::Free(self.free)) else {
            unreachable!("flow {flow} has ended")
        };
        self.free = flow;
        self.len -= 1;
        ended
    }

    /// A flow showed that it lives.
    #[inline]
    pub fn settle(&mut self, flow: u32) {
        if !self.at(flow).settled {
            self.take_fresh(flow);
        }
    }

    /// The oldest of those that have not shown that they live, if it had its time.
    #[must_use]
    pub fn gives_way(&self, now: u64) -> Option<u32> {
        let oldest = self.fresh.first;
        (oldest != NONE && self.at(oldest).began + FRESH_MS <= now).then_some(oldest)
    }

    /// Has a flow looked at when its time has come; instead of the time that was set before.
    pub fn look_at(&mut self, flow: u32, due: u64) {
        self.unlook(flow);
        // Rounded up: nobody is looked at too early; and not into the list that is being looked at.
        let tick = due.div_ceil(TICK_MS).clamp(self.turned + 1, self.turned + LISTS as u64 - 1);
        let list = (tick % LISTS as u64) as usize;
        let first = std::mem::replace(&mut self.wheel[list], flow);
        let it = self.at_mut(flow);
        it.list = list as u16;
        it.due = Links { previous: NONE, next: first };
        if first != NONE {
            self.at_mut(first).due.previous = flow;
        }
    }

    fn unlook(&mut self, flow: u32) {
        let it = self.at_mut(flow);
        let (list, links) = (it.list as usize, std::mem::replace(&mut it.due, Links::NONE));
        match links.previous {
            NONE if self.wheel[list] == flow => self.wheel[list] = links.next,
            // It is in no list.
            NONE => return,
            previous => self.at_mut(previous).due.next = links.next,
        }
        if links.next != NONE {
            self.at_mut(links.next).due.previous = links.previous;
        }
    }

    /// A flow whose time to be looked at has come. Whoever asks has it looked at again later, or ends it,
    /// before asking for the next.
    pub fn due(&mut self, now: u64) -> Option<u32> {
        let until = now / TICK_MS;
        // After a long sleep one round sees everything.
        self.turned = self.turned.max(until.saturating_sub(LISTS as u64));
        loop {
            let first = self.wheel[(self.turned % LISTS as u64) as usize];
            if first != NONE {
                return Some(first);
            }
            if self.turned >= until {
                return None;
            }
            self.turned += 1;
        }
    }

    /// The flows among so many numbers from `from` on; `None` beyond the last.
    pub fn some(&self, from: u32, count: u32) -> Option<Vec<u32>> {
        let end = (self.chunks.len() * CHUNK) as u32;
        let is_taken =
            |flow: &u32| matches!(self.chunks[*flow as usize / CHUNK][*flow as usize % CHUNK], Slot::Taken(_));
        (from < end).then(|| (from..end.min(from.saturating_add(count))).filter(is_taken).collect())
    }

    /// A flow goes on at another path.
    pub fn moved(&mut self, flow: u32, path: Path) {
        if self.at(flow).listed {
            let hash = self.hasher.hash_one(self.at(flow).path);
            if let Ok(entry) = self.index.find_entry(hash, |i| *i == flow) {
                entry.remove();
            }
        }
        let hash = self.hasher.hash_one(path);
        let listed = self.index.find(hash, |i| self.at(*i).path == path).is_none();
        let it = self.at_mut(flow);
        it.path = path;
        it.listed = listed;
        if listed {
            let Self { index, chunks, hasher, .. } = self;
            index.insert_unique(hash, flow, |i| hasher.hash_one(path_of(chunks, *i)));
        }
    }

    fn push_fresh(&mut self, flow: u32) {
        let last = std::mem::replace(&mut self.fresh.last, flow);
        self.at_mut(flow).fresh = Links { previous: last, next: NONE };
        match last {
            NONE => self.fresh.first = flow,
            last => self.at_mut(last).fresh.next = flow,
        }
    }

    fn take_fresh(&mut self, flow: u32) {
        let it = self.at_mut(flow);
        it.settled = true;
        let links = std::mem::replace(&mut it.fresh, Links::NONE);
        match links.previous {
            NONE => self.fresh.first = links.next,
            previous => self.at_mut(previous).fresh.next = links.next,
        }
        match links.next {
            NONE => self.fresh.last = links.previous,
            next => self.at_mut(next).fresh.previous = links.previous,
        }
    }
}

fn path_of(chunks: &[Box<[Slot]>], flow: u32) -> Path {
    match &chunks[flow as usize / CHUNK][flow as usize % CHUNK] {
        Slot::Taken(flow) => flow.path,
        Slot::Free(_) => unreachable!("the index holds flows that have not ended"),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
