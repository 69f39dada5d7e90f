//! The tables of a pool that balances by a hash: built off the request path, shared by all workers.

use super::Candidates;
use super::hash_of;
use super::maglev::Table;
use super::request_key::{hash_of_request, position_of_request};
use super::ring::{Ring, position};
use crate::upstream::Members;
use arc_swap::ArcSwapOption;
use dsl::tree::eval::Conflict;
use dsl::tree::ir::{Balance, HashKey};
use dsl::tree::l4::Facts;
use dsl::tree::request::Request;
use std::net::SocketAddr;
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

/// Where a key lies.
#[derive(Clone, Copy, Debug)]
pub enum Spot {
    /// On the ring.
    Ring(u32),
    /// In the Maglev table.
    Maglev(u64),
}

impl Spot {
    /// Of a connection; `None` where the `balance` goes by no key, or by one that only requests have.
    #[must_use]
    pub fn of_connection(balance: &Balance, facts: &Facts<'_>) -> Option<Self> {
        match balance {
            Balance::Hash(HashKey::Connection(key)) => Some(Self::Ring(position(key, facts))),
            Balance::Maglev(HashKey::Connection(key)) => Some(Self::Maglev(hash_of(key, facts))),
            _ => None,
        }
    }

    /// Of a request that reached the gateway at an address; `None` where the `balance` goes by no key.
    ///
    /// # Errors
    /// A header, cookie or query field of the key arrived several times with different values.
    pub fn of_request(balance: &Balance, request: &impl Request, local: SocketAddr) -> Result<Option<Self>, Conflict> {
        Ok(Some(match balance {
            Balance::Hash(HashKey::Request(parts)) => Self::Ring(position_of_request(parts, request)?),
            Balance::Maglev(HashKey::Request(parts)) => Self::Maglev(hash_of_request(parts, request)?),
            balance => {
                let client = (request.client_ip(), request.client_port()).into();
                let sni = request.tls().and_then(|tls| tls.sni);
                return Ok(Self::of_connection(balance, &Facts { client, local, sni, alpn: &[] }));
            }
        }))
    }
}

impl Tables {
    /// Builds them for who is up now. The control plane calls it: it takes milliseconds.
    pub(crate) fn rebuild(&self, members: &Members) {
        // Whoever comes second sees what the first one saw, and what changed since.
        let _one = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        // Where too few are up, nobody is left out. Who is ejected keeps its place, which others have for now.
        let up = (0..members.len()).filter(|index| members.is_up(*index)).count();
        let panic = members.pool().panic_below.is_some_and(|below| up * 100 < usize::from(below) * members.len());
        let of = |backup: bool| {
            move |index: usize| (panic || members.is_up(index)) && members.each()[index].backup == backup
        };
        let built = match members.pool().balance {
            Balance::RoundRobin
            | Balance::Random
            | Balance::LeastConnections
            | Balance::LeastRequests
            | Balance::PeakEwma => return,
            Balance::Hash(_) => Built::Rings([false, true].map(|backup| Ring::build(members, of(backup)))),
            Balance::Maglev(_) => Built::Maglevs([false, true].map(|backup| Table::build(members, of(backup)))),
        };
        self.current.store(Some(Arc::new(built)));
    }

    /// Who has a spot when everybody is well: one look, however large the pool is.
    pub(super) fn first(&self, spot: Spot) -> Option<usize> {
        match (self.current.load().as_deref()?, spot) {
            (Built::Rings([ring, _]), Spot::Ring(position)) => ring.around(position).next(),
            (Built::Maglevs([table, _]), Spot::Maglev(hash)) => table.around(hash).next(),
            (Built::Rings(_), Spot::Maglev(_)) | (Built::Maglevs(_), Spot::Ring(_)) => None,
        }
    }

    /// Which of the candidates has a spot.
    pub(super) fn at(&self, spot: Spot, candidates: &Candidates<'_>) -> Option<usize> {
        let which = usize::from(candidates.backups());
        match (self.current.load().as_deref()?, spot) {
            (Built::Rings(rings), Spot::Ring(position)) => {
                rings[which].around(position).find(|index| candidates.has(*index))
            }
            (Built::Maglevs(tables), Spot::Maglev(hash)) => {
                tables[which].around(hash).find(|index| candidates.has(*index))
            }
            (Built::Rings(_), Spot::Maglev(_)) | (Built::Maglevs(_), Spot::Ring(_)) => None,
        }
    }
}
