//! What happens to a flow: its datagrams are counted, its standing is looked at, it ends.

use super::classify::Classify;
use super::engine::Engine;
use super::table::FRESH_MS;
use crate::l4::{Admitted, End, Record, Route, Standing, judge};
use dsl::tree::l4::Transport;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

impl<C: Classify> Engine<C> {
    /// Datagrams of a flow came from its client.
    pub(super) fn came(&mut self, flow: u32, datagrams: u64, bytes: u64) {
        let now = self.now;
        let it = self.table.at_mut(flow);
        it.seen = now;
        it.datagrams_in += datagrams;
        it.bytes_in += bytes;
        let goes_on = !it.settled && it.began + FRESH_MS <= now;
        let via = self.vias.at(it.via);
        for counts in [&via.route.counts, via.endpoint.counts()] {
            let shard = counts.shard(self.worker.number);
            shard.datagrams_in.add(datagrams);
            shard.bytes_in.add(bytes);
        }
        if goes_on {
            self.table.settle(flow);
        }
    }

    /// Datagrams of a flow go to its client.
    pub(super) fn goes(&mut self, flow: u32, datagrams: u64, bytes: u64) {
        let it = self.table.at_mut(flow);
        it.seen = self.now;
        it.datagrams_out += datagrams;
        it.bytes_out += bytes;
        let via = self.vias.at(it.via);
        for counts in [&via.route.counts, via.endpoint.counts()] {
            let shard = counts.shard(self.worker.number);
            shard.datagrams_out.add(datagrams);
            shard.bytes_out.add(bytes);
        }
        via.endpoint.answered(&via.pool, self.now, &self.worker.notices);
        if !it.settled {
            self.table.settle(flow);
        }
    }

    /// Datagrams of a flow could not be sent.
    pub(super) fn lost(&self, flow: u32, datagrams: u64) {
        let via = self.vias.at(self.table.at(flow).via);
        for counts in [&via.route.counts, via.endpoint.counts()] {
            counts.shard(self.worker.number).datagrams_dropped.add(datagrams);
        }
    }

    /// Datagrams went nowhere.
    pub(super) fn dropped(&self, route: Option<&Arc<Route>>, datagrams: u64, end: Option<End>) {
        let Some(route) = route else { return };
        let shard = route.counts.shard(self.worker.number);
        shard.datagrams_dropped.add(datagrams);
        if let Some(end) = end {
            // A flow that did not come about has begun and ended, as a refused connection has.
            shard.begun.add(1);
            shard.end(end);
        }
    }

    /// Looks at the standing of a flow if the world changed. `false` when the flow has ended.
    pub(super) fn stands(&mut self, flow: u32) -> bool {
        let it = self.table.at(flow);
        if it.era == self.era {
            return true;
        }
        self.vias.at_mut(it.via).here();
        let via = self.vias.at(it.via);
        let is_up = via.is_up();
        let hello = it.extra.as_ref().and_then(|e| e.hello.as_deref());
        let facts = self.facts(&it.path, hello);
        let standing = judge(&via.route, &via.pool, &via.endpoint, &facts, &self.snapshot);
        let (route, pool) = match standing {
            Standing::Cut => {
                self.end(flow, End::Unhealthy, None);
                return false;
            }
            Standing::Stay => {
                self.keep(flow, None);
                return true;
            }
            Standing::Adopt(route, pool) => (route, pool),
            Standing::Drain => {
                if is_up || !C::MOVES {
                    let drain = via.route.rules.settings.drain_ms;
                    self.keep(flow, Some(self.now.saturating_add(drain)));
                }
                // Who is down is left at the next datagram: then it is asked again.
                return true;
            }
        };
        let endpoint = &self.vias.at(self.table.at(flow).via).endpoint;
        let members = pool.members();
        let Some(index) = members.find(endpoint) else { return true };
        let before = self.table.at(flow).via;
        let via = self.vias.intern(&route, &pool, &members, index, self.now);
        self.vias.join(via);
        self.vias.leave(before, self.now);
        self.table.at_mut(flow).via = via;
        self.keep(flow, None);
        true
    }

    /// A flow goes on, to the end of its drain if it has one.
    fn keep(&mut self, flow: u32, drained: Option<u64>) {
        let (now, era) = (self.now, self.era);
        let it = self.table.at_mut(flow);
        it.era = era;
        let settings = &self.vias.at(it.via).route.rules.settings;
        let lifetime = settings.lifetime_ms.map_or(u64::MAX, |ms| it.began.saturating_add(ms));
        match drained {
            // The time that it has left goes on.
            Some(_) if it.drains => return,
            Some(at) => {
                it.drains = at < lifetime;
                it.until = at.min(lifetime);
            }
            None => {
                it.drains = false;
                it.until = lifetime;
            }
        }
        let due = it.until.min(it.seen.saturating_add(it.idle_ms(settings))).max(now);
        self.table.look_at(flow, due);
    }

    /// Ends a flow: counts it, and writes its line. Returns what its limits held for it.
    pub(super) fn end(&mut self, flow: u32, end: End, detail: Option<&str>) -> Admitted {
        let id = self.id(flow);
        let mut it = self.table.remove(flow);
        self.classifier.ended(id);
        self.sockets.release(it.target, it.rank, self.now);
        let via = self.vias.at(it.via);
        via.route.counts.shard(self.worker.number).end(end);
        via.endpoint.counts().shard(self.worker.number).end(end);
        if via.route.rules.settings.log {
            let lasted_ms = self.now.saturating_sub(it.began);
            self.worker.log.send(Record {
                route: Arc::clone(&via.route.name),
                // A passthrough carries both.
                transport: Transport::Udp,
                client: it.path.client(),
                local: self.reached(&it.path),
                sni: it.extra.as_ref().and_then(|e| e.hello.as_ref()).and_then(|h| h.sni.clone()),
                pool: Some(Arc::clone(&via.pool.pool().name)),
                endpoint: Some(Arc::clone(via.endpoint.name())),
                started: SystemTime::now()
                    .checked_sub(Duration::from_millis(lasted_ms))
                    .unwrap_or(SystemTime::UNIX_EPOCH),
                lasted_ms,
                bytes_in: it.bytes_in,
                bytes_out: it.bytes_out,
                datagrams_in: it.datagrams_in,
                datagrams_out: it.datagrams_out,
                tries: 1,
                end,
                detail: detail.map(str::to_owned),
            });
        }
        self.vias.leave(it.via, self.now);
        it.extra.take().map(|extra| extra.admitted).unwrap_or_default()
    }
}
