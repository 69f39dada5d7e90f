//! What the manager's thread is told: bounded, and never waited for.

use super::Wanted;
use super::manager::Authorities;
use crate::tls::acme::Issuer;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Names that handshakes want and that were not looked at yet; more are refused.
pub(super) const DEMANDS: usize = 1_024;
/// Names that somebody waits for and that were not looked at yet; more wait like others.
const WAITS: usize = 1_024;

/// Told by anybody, read by the manager's thread.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pending: Mutex<Pending>,
    wake: Notify,
}

/// Whom to order from, and how.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) authorities: Authorities,
    pub(super) issuer: Arc<dyn Issuer>,
}

#[derive(Debug, Default)]
pub(super) struct Pending {
    /// What files want of a name now.
    pub(super) changes: BTreeMap<Box<str>, Option<Wanted>>,
    pub(super) demands: HashMap<Box<str>, Wanted>,
    /// Names that handshakes may want no more.
    pub(super) withdrawn: BTreeSet<Box<str>>,
    pub(super) waits: BTreeSet<Box<str>>,
    /// Names whose certificate in the store is of no use, and why.
    pub(super) lost: BTreeMap<Box<str>, String>,
    /// Names whose certificate in the store cannot be read, and why.
    pub(super) unreadable: BTreeMap<Box<str>, String>,
    pub(super) source: Option<Option<Source>>,
    pub(super) ends: bool,
}

impl Inbox {
    /// Tells something.
    pub(super) fn tell<T>(&self, tell: impl FnOnce(&mut Pending) -> T) -> T {
        let told = tell(&mut self.lock());
        self.wake.notify_one();
        told
    }

    /// Waits until something was told.
    pub(super) async fn told(&self) {
        self.wake.notified().await;
    }

    pub(super) fn take(&self) -> Pending {
        std::mem::take(&mut self.lock())
    }

    /// Whether files want a name, by what was not looked at yet.
    pub(super) fn wants(&self, name: &str) -> bool {
        let pending = self.lock();
        matches!(pending.changes.get(name), Some(Some(_))) || pending.demands.contains_key(name)
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    pub(super) fn waits(&mut self, name: &str) {
        if self.waits.len() < WAITS {
            self.waits.insert(name.into());
        }
    }
}
