//! The tables of a pool that balances by a hash: built off the request path, shared by all workers.

use super::Candidates;
use super::maglev::Table;
use super::ring::Ring;
use crate::upstream::PoolHandle;
use arc_swap::ArcSwapOption;
use dsl::tree::ir::Balance;
use std::sync::{Arc, Mutex, PoisonError};

/// What a pool is looked up in; nothing where its `balance` needs none.
#[derive(Default)]
pub(crate) struct Tables {
    current: ArcSwapOption<Built>,
    building: Mutex<()>,
}

/// Once for those that are no backups, once for those that are, each with who is up.
enum Built {
    Rings([Ring; 2]),
    Maglevs([Table; 2]),
}

impl Tables {
    /// Builds them for who is up now. The control plane calls it: it takes milliseconds.
    pub(crate) fn rebuild(&self, pool: &PoolHandle) {
        // Whoever comes second sees what the first one saw, and what changed since.
        let _one = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |backup: bool| move |index: usize| pool.is_up(index) && pool.pool().endpoints[index].backup == backup;
        let built = match pool.pool().balance {
            Balance::RoundRobin | Balance::Random | Balance::LeastConnections => return,
            Balance::Hash(_) => Built::Rings([false, true].map(|backup| Ring::build(pool, of(backup)))),
            Balance::Maglev(_) => Built::Maglevs([false, true].map(|backup| Table::build(pool, of(backup)))),
        };
        self.current.store(Some(Arc::new(built)));
    }

    /// Who is at a position of the ring.
    pub(super) fn on_ring(&self, position: u32, candidates: &Candidates<'_>) -> Option<usize> {
        match self.current.load().as_deref()? {
            Built::Rings(rings) => rings[usize::from(candidates.backups())].at(position, candidates),
            Built::Maglevs(_) => None,
        }
    }

    /// Who has a hash in the Maglev table.
    pub(super) fn in_maglev(&self, hash: u64, candidates: &Candidates<'_>) -> Option<usize> {
        match self.current.load().as_deref()? {
            Built::Maglevs(tables) => tables[usize::from(candidates.backups())].at(hash, candidates),
            Built::Rings(_) => None,
        }
    }
}
