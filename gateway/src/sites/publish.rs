//! Makes the snapshot that the data plane answers by, and swaps it.

use super::load::{Install, Outcome, Stand};
use crate::snapshot::{Host, Published, Served, Snapshot};
use crate::upstream::Pools;
use arc_swap::ArcSwap;
use dsl::tree::{HostIndex, Program, ir};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

/// Makes served sites: programs with their pools.
#[derive(Debug)]
pub struct Serve {
    pools: Pools,
}

impl Serve {
    /// With the table that keeps pools the same across reloads.
    pub fn new(pools: Pools) -> Self {
        Self { pools }
    }
}

impl Install for Serve {
    type Site = Served;

    fn install(&mut self, program: Arc<Program>, dir: &Path) -> Served {
        let pools = program.site().pools.iter().map(|pool| self.pools.intern(pool, dir)).collect();
        // Nobody else has it; a copy would do as well.
        let program = Arc::try_unwrap(program).unwrap_or_else(|shared| Program::clone(&shared));
        Served { program, pools, dir: dir.to_path_buf() }
    }
}

/// Holds what is published, and replaces it.
#[derive(Debug)]
pub struct Publisher {
    published: Published,
}

impl Publisher {
    /// Publishes a first outcome. `https_port` is where TLS is listened on.
    pub fn start(outcome: Outcome<Served>, gateway: Arc<ir::Gateway>, https_port: Option<u16>) -> Self {
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
    pub fn publish(&self, outcome: Outcome<Served>) {
        let mut next = Snapshot::clone(&self.published.load());
        next.generation += 1;
        for (pattern, stand) in outcome.hosts {
            match stand {
                Some(Stand::Site(site)) => next.hosts.insert(&pattern, Host::Site(site)),
                Some(Stand::Unavailable) => next.hosts.insert(&pattern, Host::Unavailable),
                None => next.hosts.remove(&pattern),
            };
        }
        if let Some(default) = outcome.default {
            next.default = default;
        }
        if let Some(gateway) = outcome.gateway {
            // The port that clients see may be restated; the one that is listened on stays.
            let restated = gateway.https.first().and_then(|l| l.public);
            next.https_port = next.https_port.map(|port| restated.unwrap_or(port));
            next.gateway = gateway;
        }
        self.published.store(Arc::new(next));
    }
}
