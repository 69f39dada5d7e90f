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

/// A flow that has an endpoint, and no socket yet.
pub(super) struct Chosen {
    path: Path,
    via: u32,
    in_use: InUse,
    extra: Option<Box<Extra>>,
    token: u64,
}

/// What became of a flow that was to begin.
pub(super) enum Begun {
    /// It began.
    Flow(u32),
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
    /// Begins a flow.
    pub(super) fn begin(&mut self, path: Path, new: New, before: Before) -> Begun {
        let route = Arc::clone(&new.route);
        match self.choose(path, new, before).and_then(|chosen| self.open(chosen)) {
            Ok(flow) => Begun::Flow(flow),
            Err(end) => Begun::No(end, route),
        }
    }

    /// Whether there is another endpoint for a flow.
    pub(super) fn has_another(&self, flow: u32, tried: Tried) -> bool {
        let it = self.table.at(flow);
        let via = self.vias.at(it.via);
        let hello = it.extra.as_ref().and_then(|e| e.hello.as_deref());
        let facts = self.facts(&it.path, hello);
        // Those of today: whoever left takes no flow.
        let members = via.pool.members();
        let other = self.worker.upstreams.choose(&members, members.spot(&facts), tried, self.now);
        other.is_some_and(|other| !Arc::ptr_eq(members.endpoint(other), &via.endpoint))
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
            // Datagrams cannot wait: who is to be paced comes by TCP.
            None => route.limits.admit(entry, &facts).and_then(|admitted| match admitted.paced() {
                Some(_) => Err(End::Limited),
                None => Ok(admitted),
            })?,
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

    /// Begins a flow that has an endpoint.
    fn open(&mut self, chosen: Chosen) -> Result<u32, End> {
        let Chosen { path, via, in_use, extra, token } = chosen;
        let now = self.now;
        let it = self.vias.at_mut(via);
        let Some(address) = it.address() else { return Err(End::NoEndpoint) };
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
