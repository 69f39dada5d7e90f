//! Makes the snapshot that the data plane answers by, and swaps it.

use super::item::Item;
use super::load::{Install, Outcome, Stand};
use super::report::Lines;
use crate::edge::rules::Rules;
use crate::edge::{Edge, Kept};
use crate::l4::{Route, Routes};
use crate::secrets::Secrets;
use crate::snapshot::{Host, Published, Served, Snapshot};
use crate::tls::SiteFiles;
use crate::upstream::Pools;
use arc_swap::ArcSwap;
use dsl::tree::{HostIndex, Program, ir};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

/// Makes served sites and routes: programs and rules with their pools.
#[derive(Debug)]
pub struct Serve {
    pools: Arc<Pools>,
    routes: Arc<Routes>,
    kept: Arc<Kept>,
    files: Arc<SiteFiles>,
}

impl Serve {
    /// With the tables that keep pools, routes, limits and certificates the same across reloads.
    pub fn new(pools: Arc<Pools>, routes: Arc<Routes>, kept: Arc<Kept>, files: Arc<SiteFiles>) -> Self {
        Self { pools, routes, kept, files }
    }

    /// The files of handshakes.
    pub fn files(&self) -> &Arc<SiteFiles> {
        &self.files
    }

    /// The pools of what is served.
    pub fn pools(&self) -> &Arc<Pools> {
        &self.pools
    }

    /// The secrets that pools name.
    pub fn secrets(&self) -> &Arc<Secrets> {
        self.pools.secrets()
    }
}

impl Install for Serve {
    type Site = Served;
    type Route = Route;

    fn carry(&mut self, item: &Item, dir: &Path) -> Arc<Route> {
        let pools = item.rules().pools.iter().map(|pool| self.pools.intern(pool, dir)).collect();
        self.routes.intern(item, pools, dir)
    }

    fn install(&mut self, program: Arc<Program>, dir: &Path, whose: Option<&Arc<str>>, lines: &Lines) -> Served {
        let pools = program.site().pools.iter().map(|pool| self.pools.intern(pool, dir)).collect();
        // Nobody else has it; a copy would do as well.
        let program = Arc::try_unwrap(program).unwrap_or_else(|shared| Program::clone(&shared));
        let edge = Edge::new(program.site(), dir, whose, self.secrets(), &self.kept);
        let tls = self.files.intern(program.site(), dir, self.secrets());
        let rules = Rules::new(program.site(), &|loc| lines.line(loc), &self.kept.rules);
        Served { program, pools, dir: dir.to_path_buf(), edge, rules, tls }
    }
}

/// Holds what is published, and replaces it.
#[derive(Debug)]
pub struct Publisher {
    published: Published,
}

impl Publisher {
    /// Publishes a first outcome. `https_port` is where TLS is listened on.
    pub fn start(outcome: Outcome<Served, Route>, gateway: Arc<ir::Gateway>, https_port: Option<u16>) -> Self {
        // Clients choose hosts: whoever knows the seed could choose them to collide.
        let seed = RandomState::new().hash_one(0_u8);
        let empty = Snapshot {
            generation: 0,
            hosts: HostIndex::seeded(seed),
            default: None,
            listening: Arc::default(),
            gateway,
            https_port,
        };
        let publisher = Self { published: Arc::new(ArcSwap::from_pointee(empty)) };
        publisher.publish(outcome);
        publisher
    }

    /// Where the current snapshot is found.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// Publishes what changed. All of it is seen at once or not yet.
    pub fn publish(&self, outcome: Outcome<Served, Route>) {
        let mut next = Snapshot::clone(&self.published.load());
        next.generation += 1;
        for (pattern, stand) in outcome.hosts {
            match stand {
                Some(Stand::Site(site)) => next.hosts.insert(&pattern, Host::Site(site)),
                Some(Stand::Passthrough(route)) => next.hosts.insert(&pattern, Host::Passthrough(route)),
                Some(Stand::Unavailable) => next.hosts.insert(&pattern, Host::Unavailable),
                Some(Stand::Nobody) => next.hosts.insert(&pattern, Host::Nobody),
                None => next.hosts.remove(&pattern),
            };
        }
        if !outcome.listening.is_empty() {
            let mut listening = HashMap::clone(&next.listening);
            for (key, item) in outcome.listening {
                match item {
                    Some((route, _)) => listening.insert(key, route),
                    None => listening.remove(&key),
                };
            }
            next.listening = Arc::new(listening);
        }
        if let Some(default) = outcome.default {
            next.default = default;
        }
        if let Some(gateway) = outcome.gateway {
            next.gateway = gateway;
        }
        self.published.store(Arc::new(next));
    }

    /// Publishes the port that clients see for HTTPS, where that changed.
    pub fn https_port(&self, port: Option<u16>) {
        let now = self.published.load();
        if now.https_port != port {
            let generation = now.generation + 1;
            self.published.store(Arc::new(Snapshot { generation, https_port: port, ..Snapshot::clone(&now) }));
        }
    }
}
