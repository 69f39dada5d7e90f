//! Endpoints by who they are, and what is known of them: the same for every pool that names them.

use super::PoolHandle;
use super::endpoint::EndpointHandle;
use super::health::{self, Health};
use super::identity::{Slots, Table};
use super::members::{Member, Members};
use super::whereabouts::Who;
use crate::runtime::notice::NoticeSender;
use std::sync::{Arc, Mutex, PoisonError};

/// What pools share.
pub(super) struct Registry {
    pub(super) workers: usize,
    pub(super) notices: Option<NoticeSender>,
    pub(super) health: Health,
    endpoints: Mutex<Table<Who, EndpointHandle>>,
    slots: Arc<Slots>,
}

/// An endpoint that belongs to a pool.
pub(super) struct Belongs {
    pub(super) endpoint: Arc<EndpointHandle>,
    pub(super) weight: u32,
    pub(super) backup: bool,
}

impl Registry {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers, notices: None, health: Health::new(), endpoints: Mutex::default(), slots: Arc::default() }
    }

    /// The endpoint's handle: the same one for as long as somebody has it.
    pub(super) fn endpoint(&self, who: Who) -> Arc<EndpointHandle> {
        let mut known = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = known.get(&who) {
            return handle;
        }
        let handle = Arc::new(EndpointHandle::new(Slots::take(&self.slots), who.clone(), self.workers));
        known.insert(who, &handle);
        handle
    }

    /// Every endpoint that somebody has, in no order.
    pub(super) fn endpoints(&self) -> Vec<Arc<EndpointHandle>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).live()
    }

    /// The members of a pool from now on. What is known of those that stay is kept: their handles, with
    /// idle connections and counts, and what their checks have found. Checks of those that are new begin,
    /// and those of whoever left end with the last one who holds the members before.
    pub(super) fn members(&self, pool: &Arc<PoolHandle>, before: &Members, each: Vec<Belongs>) -> Members {
        let endpoints = each.iter().map(|belongs| &belongs.endpoint);
        let records = self.health.records(pool.pool(), endpoints, self.notices.as_ref());
        let member = |(belongs, record): (Belongs, _)| {
            let Belongs { endpoint, weight, backup } = belongs;
            let standing = match before.find(&endpoint) {
                Some(index) => before.each()[index].standing.clone(),
                None => self.standing(pool, &endpoint),
            };
            Member { endpoint, weight, backup, standing, record }
        };
        Members::new(
            pool.shared_pool(),
            pool.place(),
            before.version() + 1,
            each.into_iter().zip(records).map(member).collect(),
        )
    }

    fn standing(&self, pool: &Arc<PoolHandle>, endpoint: &Arc<EndpointHandle>) -> Option<Arc<health::Standing>> {
        let standing = self.health.standing(pool, endpoint, self.notices.as_ref())?;
        standing.told_to(pool);
        Some(standing)
    }
}
