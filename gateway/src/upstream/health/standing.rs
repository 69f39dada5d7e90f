//! What is known of an endpoint's health: written by its check, read by workers.

use super::super::{EndpointHandle, PoolHandle};
use crate::runtime::notice::{Notice, NoticeSender};
use crate::runtime::ticks::process_ms;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::task::AbortHandle;

/// Counts the changes of health, of all endpoints together.
static EPOCH: AtomicU64 = AtomicU64::new(0);

/// A number that changes whenever an endpoint comes up or goes down, or comes to a pool or leaves it. Who must do something about
/// connections to such endpoints compares it with the number it saw last, and looks through
/// its connections only when it changed.
#[inline]
#[must_use]
pub fn health_epoch() -> u64 {
    EPOCH.load(Ordering::Acquire)
}

/// Something changed that connections are to be looked at for: health, or who belongs to a pool.
pub(in crate::upstream) fn changed() {
    EPOCH.fetch_add(1, Ordering::AcqRel);
}

/// Whether an endpoint is up, by one check of it.
pub struct Standing {
    endpoint: Arc<str>,
    up: AtomicBool,
    /// When it came up last, milliseconds since the process started; 0 where it never was down.
    since: AtomicU64,
    /// Those who have the endpoint checked.
    pools: Mutex<Vec<Weak<PoolHandle>>>,
    check: Mutex<Option<AbortHandle>>,
}

impl Standing {
    /// Up until its check says otherwise.
    pub(super) fn new(endpoint: &EndpointHandle) -> Self {
        Self {
            endpoint: Arc::clone(endpoint.name()),
            up: AtomicBool::new(true),
            since: AtomicU64::new(0),
            pools: Mutex::default(),
            check: Mutex::default(),
        }
    }

    /// Whether it takes new connections.
    #[inline]
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// When it came up last, milliseconds since the process started; 0 where it never was down.
    #[inline]
    pub(in crate::upstream) fn since(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }

    /// What people call the endpoint.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.endpoint)
    }

    /// Another pool wants to know.
    pub(in crate::upstream) fn told_to(&self, pool: &Arc<PoolHandle>) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have left the pool and come back.
        pools.retain(|other| other.strong_count() > 0 && !Weak::ptr_eq(other, &Arc::downgrade(pool)));
        pools.push(Arc::downgrade(pool));
    }

    fn pools(&self) -> Vec<Arc<PoolHandle>> {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().filter_map(Weak::upgrade).collect()
    }

    /// The check ends when nobody wants to know any more.
    pub(super) fn ends_with(&self, check: AbortHandle) {
        *self.check.lock().unwrap_or_else(PoisonError::into_inner) = Some(check);
    }

    /// It is up or down from now on: tables are built anew, then everybody is told.
    pub(in crate::upstream) fn change(&self, up: bool, reason: &str, checks: u32, notices: Option<&NoticeSender>) {
        if up {
            self.since.store(process_ms().max(1), Ordering::Relaxed);
        }
        self.up.store(up, Ordering::Relaxed);
        let pools = self.pools();
        for pool in &pools {
            let members = pool.members();
            if up {
                // What requests met before it was down is of the past.
                members.each().iter().filter(|member| member.has(self)).for_each(|member| member.record().returns());
            }
            members.rebuild();
        }
        // After all that depends on it is in place.
        changed();
        let Some(notices) = notices else { return };
        let mut names: Vec<&str> = pools.iter().map(|pool| &*pool.pool().name).collect();
        names.sort_unstable();
        names.dedup();
        let (pool, endpoint) = (names.join(", ").into(), self.name());
        notices.send(if up {
            Notice::EndpointUp { pool, endpoint }
        } else {
            Notice::EndpointDown { pool, endpoint, reason: reason.to_owned(), checks }
        });
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if let Some(check) = self.check.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            check.abort();
        }
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").field("endpoint", &self.endpoint).field("up", &self.is_up()).finish_non_exhaustive()
    }
}
