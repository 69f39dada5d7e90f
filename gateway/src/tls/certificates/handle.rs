//! What is asked of certificates: by handshakes, which cannot wait, and by the control plane.

use super::Wanted;
use super::budget::Limits;
use super::carry;
use super::inbox::{DEMANDS, Inbox, Source};
use super::manager::{Authorities, Standing};
use super::names::wildcard_of;
use super::pair::Pair;
use super::slots::{Slot, Slots};
use super::store::{LoadError, Store};
use super::tell::Tally;
use crate::console::Console;
use crate::tls::acme::Issuer;
use dsl::tree::ir;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Certificates in memory; the others are read when somebody asks for them.
const HOT: u64 = 10_000;
/// Names that are managed because a handshake asked for them.
const DEMANDED: u64 = 100_000;
/// What cannot be read is not tried again for so long, milliseconds.
const UNREADABLE: u64 = 5_000;
/// The use of a certificate is noted no more often than this, milliseconds.
const NOTED: u64 = 60_000;

/// The certificates of managed names: public ones that are had by ACME.
pub struct Certificates {
    pub(super) store: Store,
    pub(super) slots: Slots,
    pub(super) inbox: Inbox,
    pub(super) tally: Tally,
    /// Until when nobody's turn comes, milliseconds since 1970.
    pub(super) closed: AtomicU64,
    hot: Cache<Box<str>, Hot>,
    /// Whether there is anybody to order from.
    orders: AtomicBool,
    /// What files want, as it was told last.
    filed: Mutex<HashMap<Box<str>, Wanted>>,
}

#[derive(Clone)]
struct Hot {
    certified: Arc<CertifiedKey>,
    used: Arc<AtomicU64>,
    /// Seconds since 1970.
    until: u64,
}

/// Whether a handshake may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// There is a certificate: [`Certificates::hot`] has it.
    Ready,
    /// None of its business: nobody asks for a certificate of this name by ACME.
    Unmanaged,
    /// There is none, and it is no use waiting for one.
    Failed,
}

/// How many names there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// With a certificate that is valid.
    pub valid: u64,
    /// With one that is over.
    pub over: u64,
    /// Without one, an order under way or waiting for its turn.
    pub coming: u64,
    /// Without one, and the last order failed.
    pub failing: u64,
    /// When the first of them is over, seconds since 1970.
    pub earliest: Option<u64>,
}

impl States {
    /// A word for each state, and how many.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 4] {
        [("valid", self.valid), ("over", self.over), ("coming", self.coming), ("failing", self.failing)]
    }
}

impl Certificates {
    /// Those of a data directory, managed by nobody yet.
    #[must_use]
    pub fn at(data: &Path) -> Arc<Self> {
        Arc::new(Self {
            store: Store::at(data),
            slots: Slots::default(),
            inbox: Inbox::default(),
            tally: Tally::default(),
            closed: AtomicU64::new(0),
            // The least recently used goes, never the one that was just read for somebody.
            hot: Cache::builder().max_capacity(HOT).eviction_policy(EvictionPolicy::lru()).build(),
            orders: AtomicBool::new(false),
            filed: Mutex::default(),
        })
    }

    /// Has them looked after by a thread that says on the console what happens. Nothing is ordered before
    /// [`Certificates::order_from`] says from whom.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn start(self: &Arc<Self>, console: &Console) -> io::Result<()> {
        carry::start(Arc::clone(self), console)
    }

    /// Ends the thread. Orders that are under way come to nothing; the next start makes them again.
    pub fn stop(&self) {
        self.inbox.tell(|pending| pending.ends = true);
    }

    /// The certificate for a host, if it is in memory and not over: the name's own, else the wildcard's.
    #[must_use]
    pub fn hot(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let now = now_ms();
        let valid = |name: &str| self.hot.get(name).filter(|hot| hot.until * 1_000 > now);
        let found = valid(name).or_else(|| valid(&wildcard_of(name)?))?;
        if found.used.load(Ordering::Relaxed) + NOTED < now {
            found.used.store(now, Ordering::Relaxed);
        }
        Some(found.certified)
    }

    /// Whether a host's certificate is had by ACME: there is an `acme` block, and its name, or the wildcard above
    /// it, is wanted by files or was asked for by a handshake.
    #[must_use]
    pub fn manages(&self, name: &str) -> bool {
        self.orders.load(Ordering::Acquire)
            && (self.slots.has(name) || wildcard_of(name).is_some_and(|wildcard| self.slots.has(&wildcard)))
    }

    /// Reads the certificate of a host from the disk, or waits for the order that is under way. Who calls puts
    /// the deadline.
    pub async fn ready(&self, name: &str) -> Readiness {
        loop {
            if self.hot(name).is_some() {
                return Readiness::Ready;
            }
            let wildcard = wildcard_of(name);
            let own = self.slots.get(name).map(|slot| (name, slot));
            let above = wildcard.as_deref().and_then(|name| Some((name, self.slots.get(name)?)));
            let both: Vec<(&str, Arc<Slot>)> = own.into_iter().chain(above).collect();
            // Without an authority the names that files want are the internal CA's, as everywhere.
            if both.is_empty() || !self.orders() {
                return Readiness::Unmanaged;
            }
            let now = now_ms();
            let here =
                |slot: &Slot| slot.standing() == Standing::Here && slot.until.load(Ordering::Relaxed) * 1_000 > now;
            let Some((which, slot)) = both.iter().find(|(_, slot)| here(slot)) else {
                let Some((which, slot)) = both.iter().find(|(_, slot)| slot.standing() == Standing::Coming) else {
                    return Readiness::Failed;
                };
                if self.closed.load(Ordering::Relaxed) > now_ms() {
                    return Readiness::Failed;
                }
                let mut changed = pin!(slot.changed.notified());
                changed.as_mut().enable();
                if slot.standing() == Standing::Coming {
                    self.inbox.tell(|pending| pending.waits(which));
                    changed.await;
                }
                continue;
            };
            if !self.read(which, slot).await {
                return Readiness::Failed;
            }
        }
    }

    /// A name that a handshake asks for and that may have a certificate: it is ordered, and renewed for as long
    /// as it is used. Whether that can be: there is an `acme` block, the name is public, and there is room.
    pub fn demand(&self, wanted: Wanted) -> bool {
        if !self.orders.load(Ordering::Acquire) || !super::names::is_public(&wanted.name) {
            return false;
        }
        self.inbox.tell(|pending| {
            if pending.demands.len() >= DEMANDS && !pending.demands.contains_key(&wanted.name) {
                return false;
            }
            if self.slots.of_demanded(&wanted.name, DEMANDED).is_none() {
                return false;
            }
            pending.demands.insert(wanted.name.clone(), wanted);
            true
        })
    }

    /// A name that a handshake asked for may have no certificate any more: it is not renewed, and not taken for
    /// known after a restart. Names that files want stay.
    pub fn withdraw(&self, name: &str) {
        self.inbox.tell(|pending| {
            pending.demands.remove(name);
            if pending.withdrawn.len() < DEMANDS {
                pending.withdrawn.insert(name.into());
            }
        });
    }

    /// Files want a name, or do not any more. Names that no authority serves are none of its business.
    pub fn follow(&self, changes: impl IntoIterator<Item = (Box<str>, Option<Wanted>)>) {
        let mut filed = self.filed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = Vec::new();
        for (name, wanted) in changes {
            let wanted = wanted.filter(|_| super::names::is_public(&name));
            if filed.get(&name) == wanted.as_ref() {
                continue;
            }
            match &wanted {
                Some(wanted) => {
                    // At once: a handshake in the meantime must not take it for a name of nobody.
                    self.slots.of(&name);
                    filed.insert(name.clone(), wanted.clone());
                }
                None => {
                    filed.remove(&name);
                }
            }
            told.push((name, wanted));
        }
        drop(filed);
        if !told.is_empty() {
            self.inbox.tell(|pending| pending.changes.extend(told));
        }
    }

    /// From whom certificates are ordered from now on; from nobody without an `acme` block.
    pub fn order_from(&self, source: Option<(&ir::Acme, Arc<dyn Issuer>)>) {
        let source = source.map(|(acme, issuer)| Source { authorities: Authorities::of(acme), issuer });
        self.orders.store(source.is_some(), Ordering::Release);
        self.inbox.tell(|pending| pending.source = Some(source));
    }

    /// Whether there is anybody to order from.
    #[must_use]
    pub fn orders(&self) -> bool {
        self.orders.load(Ordering::Acquire)
    }

    /// What was counted.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How many names there are in each state, now.
    #[must_use]
    pub fn states(&self) -> States {
        let now = now_ms() / 1_000;
        let mut states = States::default();
        self.slots.each(|_, slot| {
            let until = slot.until.load(Ordering::Relaxed);
            match slot.standing() {
                Standing::Unwanted => return,
                _ if until > now => states.valid += 1,
                _ if until > 0 => states.over += 1,
                // It was not looked at yet.
                Standing::Here => states.valid += 1,
                Standing::Coming => states.coming += 1,
                Standing::Failed(_) => states.failing += 1,
            }
            if until > 0 {
                states.earliest = Some(states.earliest.map_or(until, |earliest| earliest.min(until)));
            }
        });
        states
    }

    pub(super) fn keep_hot(&self, name: &str, pair: &Pair, used: &Arc<AtomicU64>) {
        let Pair { certified, validity } = pair.clone();
        self.hot.insert(name.into(), Hot { certified, used: Arc::clone(used), until: validity.until });
    }

    pub(super) fn cool(&self, name: &str) {
        self.hot.invalidate(name);
    }

    /// Reads a certificate from the disk, once for all who wait. Whether there is one now.
    async fn read(&self, name: &str, slot: &Slot) -> bool {
        let _turn = slot.reading.lock().await;
        if self.hot(name).is_some() {
            return true;
        }
        if slot.unreadable.load(Ordering::Relaxed) > now_ms() {
            return false;
        }
        let (store, named) = (self.store.clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || store.load(&named)).await;
        match read.unwrap_or_else(|e| Err(LoadError::Unreadable(e.to_string()))) {
            Ok(pair) => {
                slot.until.store(pair.validity.until, Ordering::Relaxed);
                self.keep_hot(name, &pair, &slot.used);
                true
            }
            Err(error) => {
                slot.unreadable.store(now_ms() + UNREADABLE, Ordering::Relaxed);
                let why = error.to_string();
                self.inbox.tell(|pending| match error {
                    LoadError::Missing | LoadError::Broken(_) => pending.lost.insert(name.into(), why),
                    LoadError::Unreadable(_) => pending.unreadable.insert(name.into(), why),
                });
                false
            }
        }
    }
}

impl Authorities {
    /// Those of an `acme` block.
    #[must_use]
    pub fn of(acme: &ir::Acme) -> Self {
        let each = acme.authorities.iter().map(|a| (Arc::clone(&a.directory), Limits::of(a))).collect();
        Self { each, tries: u32::try_from(acme.challenges.len()).unwrap_or(1).max(1) }
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("hot", &self.hot.entry_count()).finish_non_exhaustive()
    }
}

/// Milliseconds since 1970, by the system's clock.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
