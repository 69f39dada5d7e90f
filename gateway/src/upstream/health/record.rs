//! What requests show of an endpoint in a pool, shared by all workers: since when it serves, and whether
//! it is ejected.
//!
//! A record lives as long as a pool of its name has the endpoint, so that it outlives reloads.

use super::super::EndpointHandle;
use super::ejection::Ejection;
use crate::runtime::notice::NoticeSender;
use crate::runtime::ticks::process_ms;
use dsl::tree::ir;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::runtime::Handle;

/// What is known of an endpoint in the pools of one name.
pub struct Record {
    since: Arc<Since>,
    ejection: Option<Ejection>,
    /// For as long as it is alive somebody knows that there is a pool of this name.
    _group: Arc<Group>,
}

/// Since when an endpoint serves, milliseconds since the process started; 0 where it came with its pool.
#[derive(Debug, Default)]
pub(super) struct Since(AtomicU64);

/// The pools of one name.
pub(super) struct Group {
    pub(super) name: Arc<str>,
    /// Held by whoever ejects one of their endpoints, so that two do not at once.
    pub(super) busy: AtomicBool,
    pub(super) notices: Option<NoticeSender>,
    /// Where it is waited for the end of an ejection.
    pub(super) runtime: OnceLock<Handle>,
}

impl Since {
    /// Of one that begins now.
    pub(super) fn now() -> Self {
        Self(AtomicU64::new(process_ms().max(1)))
    }

    pub(super) fn set(&self, at: u64) {
        self.0.store(at.max(1), Ordering::Relaxed);
    }
}

impl Record {
    pub(super) fn new(
        group: &Arc<Group>,
        since: Arc<Since>,
        endpoint: &Arc<EndpointHandle>,
        eject: Option<ir::Eject>,
    ) -> Arc<Self> {
        let ejection = eject.map(|eject| Ejection::new(eject, group, &since, endpoint));
        Arc::new(Self { since, ejection, _group: Arc::clone(group) })
    }

    /// Since when it serves, milliseconds since the process started; 0 where it came with its pool.
    #[inline]
    pub(in crate::upstream) fn since(&self) -> u64 {
        self.since.0.load(Ordering::Relaxed)
    }

    /// Whether it gets no requests for now, because of how it answered others.
    #[inline]
    pub(in crate::upstream) fn is_ejected(&self, now: u64) -> bool {
        self.ejection.as_ref().is_some_and(|ejection| ejection.is_out(now))
    }

    /// Ends its ejection, if it is ejected: its check found it up again after it had been down.
    pub(super) fn returns(&self) {
        if let Some(ejection) = &self.ejection {
            ejection.end(process_ms());
        }
    }

    /// How it answers, where the pool goes by that.
    #[inline]
    pub(in crate::upstream) fn ejection(&self) -> Option<&Ejection> {
        self.ejection.as_ref()
    }

    /// Says since when it serves.
    #[cfg(test)]
    pub(in crate::upstream) fn begin(&self, at: u64) {
        self.since.set(at);
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("since", &self.since).field("ejection", &self.ejection).finish_non_exhaustive()
    }
}
