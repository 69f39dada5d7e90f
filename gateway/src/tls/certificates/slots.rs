//! How it stands with each name, for handshakes: found without waiting.

use super::manager::Standing;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Mutex, Notify};

/// Pieces of the table: whoever changes one holds up few.
const PIECES: usize = 64;

type Piece = RwLock<HashMap<Box<str>, Arc<Slot>>>;

/// All names that are managed.
#[derive(Debug)]
pub(super) struct Slots {
    pieces: Box<[Piece]>,
    // Clients choose names: whoever knows the seed could choose them to collide.
    hasher: RandomState,
    demanded: AtomicU64,
}

/// A name that is managed.
#[derive(Debug)]
pub(super) struct Slot {
    standing: AtomicU64,
    /// Told whenever that changes.
    pub(super) changed: Notify,
    /// When its certificate was last used, milliseconds since 1970.
    pub(super) used: Arc<AtomicU64>,
    /// When its certificate is over, seconds since 1970; zero without one.
    pub(super) until: AtomicU64,
    /// Held by who reads its certificate from the disk.
    pub(super) reading: Mutex<()>,
    /// When reading it may be tried again, milliseconds since 1970.
    pub(super) unreadable: AtomicU64,
    demanded: AtomicBool,
}

const COMING: u64 = 0;
const HERE: u64 = 1;
const UNWANTED: u64 = 2;
/// Larger ones are when the next order comes.
const SMALL: u64 = 3;

impl Slot {
    fn new(demanded: bool) -> Arc<Self> {
        Arc::new(Self {
            standing: AtomicU64::new(COMING),
            changed: Notify::new(),
            used: Arc::default(),
            until: AtomicU64::new(0),
            reading: Mutex::new(()),
            unreadable: AtomicU64::new(0),
            demanded: AtomicBool::new(demanded),
        })
    }

    pub(super) fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Acquire) {
            COMING => Standing::Coming,
            HERE => Standing::Here,
            UNWANTED => Standing::Unwanted,
            next => Standing::Failed(next),
        }
    }

    pub(super) fn stands(&self, standing: Standing) {
        let word = match standing {
            Standing::Coming => COMING,
            Standing::Here => HERE,
            Standing::Unwanted => UNWANTED,
            Standing::Failed(next) => next.max(SMALL),
        };
        self.standing.store(word, Ordering::Release);
        self.changed.notify_waiters();
    }
}

impl Default for Slots {
    fn default() -> Self {
        let pieces = (0..PIECES).map(|_| RwLock::default()).collect();
        Self { pieces, hasher: RandomState::new(), demanded: AtomicU64::new(0) }
    }
}

impl Slots {
    pub(super) fn get(&self, name: &str) -> Option<Arc<Slot>> {
        self.piece(name).read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.piece(name).read().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// That of a name that files want; a new one where there is none.
    pub(super) fn of(&self, name: &str) -> Arc<Slot> {
        let mut piece = self.piece(name).write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(piece.entry(name.into()).or_insert_with(|| Slot::new(false)))
    }

    /// That of a name that a handshake wants; `None` where there are `most` of these already.
    pub(super) fn of_demanded(&self, name: &str, most: u64) -> Option<Arc<Slot>> {
        let mut piece = self.piece(name).write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = piece.get(name) {
            return Some(Arc::clone(slot));
        }
        if self.demanded.fetch_add(1, Ordering::Relaxed) >= most {
            self.demanded.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let slot = Slot::new(true);
        piece.insert(name.into(), Arc::clone(&slot));
        Some(slot)
    }

    pub(super) fn remove(&self, name: &str) {
        let mut piece = self.piece(name).write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = piece.remove(name)
            && slot.demanded.load(Ordering::Relaxed)
        {
            self.demanded.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Looks at every name.
    pub(super) fn each(&self, mut look: impl FnMut(&str, &Slot)) {
        for piece in &self.pieces {
            let piece = piece.read().unwrap_or_else(PoisonError::into_inner);
            piece.iter().for_each(|(name, slot)| look(name, slot));
        }
    }

    fn piece(&self, name: &str) -> &RwLock<HashMap<Box<str>, Arc<Slot>>> {
        &self.pieces[self.hasher.hash_one(name) as usize % PIECES]
    }
}
