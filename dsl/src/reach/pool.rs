//! Which pools are the same: by their endpoints, whatever files call them (LANGUAGE rule 30).

use crate::tree::ir::{EndpointKind, Pool};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An endpoint: its kind, host or path, and port.
pub(crate) type Endpoint = (u8, Arc<str>, u16);

/// The endpoints of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolKey {
    /// As whoever asks calls it.
    pub name: Arc<str>,
    pub(crate) endpoints: BTreeSet<Endpoint>,
}

impl PoolKey {
    /// Of a pool.
    pub fn of(pool: &Pool) -> Self {
        let kind = |kind| match kind {
            EndpointKind::Tcp => 0,
            EndpointKind::Unix => 1,
            EndpointKind::Srv => 2,
        };
        let endpoints = pool.endpoints.iter().map(|e| (kind(e.kind), Arc::clone(&e.host), e.port)).collect();
        Self { name: Arc::clone(&pool.name), endpoints }
    }

    /// Whether one of its endpoints is one of the pool's: who dials the pool may reach it.
    pub fn shares(&self, pool: &Pool) -> bool {
        let other = Self::of(pool);
        !self.endpoints.is_disjoint(&other.endpoints)
    }

    /// Whether all endpoints of the pool are its own: who dials the pool reaches nothing else.
    pub fn covers(&self, pool: &Pool) -> bool {
        Self::of(pool).endpoints.is_subset(&self.endpoints)
    }
}
