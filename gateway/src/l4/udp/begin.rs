//! How a flow begins: what its item says, which endpoint it gets, a socket for it.

use super::classify::{Classify, Hello, New, Start};
use super::engine::Engine;
use super::groups::Groups;
use super::path::Path;
use super::sys;
use super::table::{Begin, Extra};
use crate::http::judge::{share, sticky};
use crate::l4::{Admitted, End, Route};
use crate::runtime::notice::Notice;
use crate::upstream::{EndpointHandle, InUse, Members, PoolHandle, Tried, hash_of};
use dsl::tree::ir::PoolIdx;
use dsl::tree::l4::{Facts, Step, Target};
use std::sync::Arc;

/// Datagrams that wait for the name of their endpoint to be looked up, of all flows of a worker's socket.
const WAITING: usize = 64;
/// Bytes that they may have together.
const WAITING_BYTES: usize = 256 * 1024;
/// How long they wait.
const WAITING_MS: u64 = 2_000;

/// A flow that has an endpoint, and no socket yet.
pub(super) struct Chosen {
    path: Path,
    via: u32,
    in_use: InUse,
    extra: Option<Box<Extra>>,
    token: u64,
}

/// A flow that waits for the name of its endpoint.
pub(super) struct Waiting {
    chosen: Chosen,
    datagrams: Vec<Box<[u8]>>,
    since: u64,
}

/// Flows that wait.
#[derive(Default)]
pub(super) struct Parked(Vec<Waiting>);

impl Parked {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has_room(&self, bytes: usize) -> bool {
        let all = || self.0.iter().flat_map(|w| &w.datagrams);
        all().count() < WAITING && all().map(|d| d.len()).sum::<usize>() + bytes <= WAITING_BYTES
    }

    /// Puts what was held before the datagram that waits since just now in front of it.
    pub(super) fn put_before(&mut self, held: Vec<Box<[u8]>>) {
        if let Some(waiting) = self.0.last_mut() {
            waiting.datagrams.splice(0..0, held);
        }
    }

    /// Adds to what waits on a path. `None` when nothing does.
    fn add(&mut self, path: &Path, bytes: &[u8]) -> Option<Result<(), End>> {
        if self.0.is_empty() {
            return None;
        }
        let at = self.0.iter().position(|w| w.chosen.path == *path)?;
        if !self.has_room(bytes.len()) {
            return Some(Err(End::TableFull));
        }
        self.0[at].datagrams.push(bytes.into());
        Some(Ok(()))
    }
}

/// What became of a flow that was to begin.
pub(super) enum Begun {
    /// It began.
    Flow(u32),
    /// It waits, its datagram with it.
    Waits,
    /// It did not.
    No(End, Arc<Route>),
}

/// What a flow takes over from the one that it goes on for.
#[derive(Default)]
pub(super) struct Before {
    /// Endpoints that it is not to have again.
    pub(super) tried: Tried,
    /// What its limits let it in with.
    pub(super) admitted: Option<Admitted>,
}

impl<C: Classify> Engine<C> {
    /// Begins a flow. `datagram` is what it begins with, should it have to wait.
    pub(super) fn begin(&mut self, path: Path, new: New, before: Before, datagram: &[u8]) -> Begun {
        // Where addresses do not tell flows apart they do not tell what belongs to one that waits.
        if C::MOVES
            && let Some(added) = self.parked.add(&path, datagram)
        {
            return match added {
                Ok(()) => Begun::Waits,
                Err(end) => Begun::No(end, new.route),
            };
        }
        let route = Arc::clone(&new.route);
        match self.choose(path, new, before) {
            Ok(chosen) => self.open_or_wait(chosen, datagram),
            Err(end) => Begun::No(end, route),
        }
    }

    /// Another endpoint for a flow, if there is one: its place in its pool.
    pub(super) fn another(&self, flow: u32, tried: Tried) -> Option<usize> {
        let it = self.table.at(flow);
        let via = self.vias.at(it.via);
        let hello = it.extra.as_ref().and_then(|e| e.hello.as_deref());
        let facts = self.facts(&it.path, hello);
        let other = self.worker.upstreams.choose(&via.members, via.members.spot(&facts), tried, self.now)?;
        (other != via.index).then_some(other)
    }

    pub(super) fn facts<'a>(&self, path: &Path, hello: Option<&'a Hello>) -> Facts<'a> {
        Facts {
            client: path.client(),
            local: self.reached(path),
            sni: hello.and_then(|h| h.sni.as_deref()),
            alpn: hello.map(|h| &h.alpn[..]).unwrap_or_default(),
        }
    }

    fn choose(&mut self, path: Path, new: New, before: Before) -> Result<Chosen, End> {
        if self.closed {
            return Err(End::Stopped);
        }
        self.make_room()?;
        let New { route, hello, to, token, .. } = new;
        let facts = self.facts(&path, hello.as_deref());
        let entry = route.rules.decide(&facts).ok_or(End::NoRoute)?;
        let admitted = match before.admitted {
            Some(admitted) => {
                let holds = |step: &Step| !matches!(step, Step::Require { cond, .. } if !facts.hold(cond));
                if !entry.steps.iter().all(holds) {
                    return Err(End::Denied);
                }
                admitted
            }
            None => route.limits.admit(entry, &facts)?,
        };
        let pool = match &entry.target {
            Target::Pool(index) => *index,
            Target::Split { shares, by, salt } => self.share(shares, by.as_ref(), *salt, &facts),
            Target::Deny => return Err(End::Denied),
        };
        let pool = route.pools.get(pool.0 as usize).ok_or(End::NoRoute)?;
        let at = |pool: &PoolHandle, to| pool.members().find(to);
        // Its own pool first: another one may have the endpoint too.
        let home =
            |to| at(pool, to).map(|i| (pool, i)).or_else(|| route.pools.iter().find_map(|p| Some((p, at(p, to)?))));
        let mut pool = pool;
        let mut members = pool.members();
        let spot = members.spot(&facts);
        let key = Groups::key(&route.rules.settings.flow, &facts);
        let (index, member) = match (key, &to) {
            (_, Some(to)) => {
                let (home, index) = home(to).ok_or(End::NoEndpoint)?;
                pool = home;
                members = home.members();
                (Some(index).filter(|index| *index < members.len()), None)
            }
            (None, None) => (self.worker.upstreams.choose(&members, spot, before.tried, self.now), None),
            (Some(key), None) => {
                let groups = self.groups(&route);
                let there = groups.find(key).and_then(|endpoint| is_there(&members, &endpoint, before.tried));
                let index = there.or_else(|| self.worker.upstreams.choose(&members, spot, before.tried, self.now));
                (index, index.map(|index| groups.join(key, members.endpoint(index))))
            }
        };
        let index = index.ok_or(End::NoEndpoint)?;
        let in_use = EndpointHandle::begin(members.endpoint(index));
        let via = self.vias.intern(&route, pool, &members, index, self.now);
        let extra = Extra { hello, member, admitted };
        let extra = (!extra.is_empty()).then(|| Box::new(extra));
        Ok(Chosen { path, via, in_use, extra, token })
    }

    fn share(
        &self,
        shares: &[(u32, PoolIdx)],
        by: Option<&dsl::tree::l4::Key>,
        salt: u64,
        facts: &Facts<'_>,
    ) -> PoolIdx {
        let point = match by {
            Some(key) => sticky(salt, &hash_of(key, facts).to_be_bytes()),
            None => self.worker.draw(),
        };
        share(shares, point)
    }

    /// Makes room for a flow where there is none, at the cost of one that has shown no life.
    fn make_room(&mut self) -> Result<(), End> {
        if !self.table.is_full() {
            return Ok(());
        }
        let oldest = self.table.gives_way(self.now).ok_or(End::TableFull)?;
        self.end(oldest, End::TableFull, None);
        Ok(())
    }

    fn open_or_wait(&mut self, chosen: Chosen, datagram: &[u8]) -> Begun {
        let via = self.vias.at_mut(chosen.via);
        let route = Arc::clone(&via.route);
        let whereabouts = via.whereabouts(self.now);
        if whereabouts.ask {
            let endpoint = Arc::clone(&via.endpoint);
            self.ask(endpoint);
        }
        if whereabouts.address.is_some() {
            return match self.open(chosen) {
                Ok(flow) => Begun::Flow(flow),
                Err(end) => Begun::No(end, route),
            };
        }
        if !self.parked.has_room(datagram.len()) {
            return Begun::No(End::TableFull, route);
        }
        self.vias.join(chosen.via);
        self.parked.0.push(Waiting { chosen, datagrams: vec![datagram.into()], since: self.now });
        self.housekeeping.notify_one();
        Begun::Waits
    }

    /// Begins a flow whose endpoint's address is known.
    fn open(&mut self, chosen: Chosen) -> Result<u32, End> {
        let Chosen { path, via, in_use, extra, token } = chosen;
        let now = self.now;
        let it = self.vias.at_mut(via);
        let Some(address) = it.whereabouts(now).address else { return Err(End::NoEndpoint) };
        let settings = &it.route.rules.settings;
        let idle_ms = extra.as_deref().map_or(settings.idle_ms, |extra| extra.idle_ms(settings));
        let until = settings.lifetime_ms.map_or(u64::MAX, |ms| now.saturating_add(ms));
        let due = until.min(now.saturating_add(idle_ms));
        let target = self.sockets.target(address, now);
        let rank = match self.sockets.take(target, now) {
            Ok(rank) => rank,
            Err(e) => {
                let address = self.address;
                self.worker
                    .tell_once(&format!("udp {address}"), || Notice::AcceptFailing { address, reason: e.to_string() });
                // One that has shown no life makes room for the next.
                if let Some(oldest) = self.table.gives_way(now) {
                    self.end(oldest, End::System, None);
                }
                return Err(End::System);
            }
        };
        if self.table.is_full() {
            // Others came while it waited.
            self.sockets.release(target, rank, now);
            return Err(End::TableFull);
        }
        if self.table.len() == 0 {
            self.housekeeping.notify_one();
        }
        let flow = self.table.insert(Begin { path, now, due, until, via, target, rank, era: self.era, in_use, extra });
        self.sockets.give(target, rank, flow);
        self.vias.join(via);
        let via = self.vias.at(via);
        via.route.counts.shard(self.worker.number).begun.add(1);
        via.endpoint.counts().shard(self.worker.number).begun.add(1);
        let id = self.id(flow);
        self.classifier.began(id, Start { token, endpoint: &via.endpoint });
        Ok(flow)
    }

    /// The names of endpoints were looked up, or time went by: flows that waited begin, or do not.
    pub(super) fn unpark(&mut self) {
        let mut kept = Vec::new();
        for mut waiting in std::mem::take(&mut self.parked.0) {
            let via = self.vias.at_mut(waiting.chosen.via);
            let route = Arc::clone(&via.route);
            if via.whereabouts(self.now).address.is_none() && self.now < waiting.since + WAITING_MS {
                kept.push(waiting);
                continue;
            }
            self.vias.leave(waiting.chosen.via, self.now);
            let datagrams = std::mem::take(&mut waiting.datagrams);
            match self.open(waiting.chosen) {
                Ok(flow) => self.send_now(flow, &datagrams),
                Err(end) => self.dropped(Some(&route), datagrams.len() as u64, Some(end)),
            }
        }
        self.parked.0.append(&mut kept);
    }

    /// Sends datagrams that were held.
    pub(super) fn send_now(&mut self, flow: u32, datagrams: &[Box<[u8]>]) {
        let it = self.table.at(flow);
        let (place, to) = self.sockets.way(it.target, it.rank);
        let Some(socket) = self.sockets.socket(place) else { return };
        for datagram in datagrams {
            self.came(flow, 1, datagram.len() as u64);
            if sys::send_one(socket, to, datagram).is_err() {
                self.lost(flow, 1);
            }
        }
    }

    /// The groups of a route.
    fn groups(&mut self, route: &Arc<Route>) -> Arc<Groups> {
        if let Some((counts, groups)) = &self.groups
            && Arc::ptr_eq(counts, &route.counts)
        {
            return Arc::clone(groups);
        }
        let groups = Groups::of(&route.counts);
        self.groups = Some((Arc::clone(&route.counts), Arc::clone(&groups)));
        groups
    }
}

/// The place of an endpoint among members, if flows may go there.
fn is_there(members: &Members, endpoint: &Arc<EndpointHandle>, tried: Tried) -> Option<usize> {
    let index = members.find(endpoint)?;
    (members.is_up(index) && !tried.has(index)).then_some(index)
}
