//! `flow per KEY`: where clients go that are told apart by less than their address and port.
//!
//! Datagrams of one client's different ports may reach different workers. So that they lead to one
//! endpoint all the same, the workers share where each key went, for as long as one of its flows lasts.
//! The kernel's share of a socket stays a flow of its own, because answers have to find back to the
//! port that asked. It is asked when a flow begins and ends, never for a datagram. It holds as many keys
//! as there are flows, and no more.

use crate::l4::Counts;
use crate::upstream::{EndpointHandle, hash_of};
use dsl::tree::l4::{Facts, Key, KeyPart};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// Locks, so that workers seldom wait for each other.
const SHARDS: usize = 16;

/// Where keys went.
#[derive(Debug, Default)]
pub struct Groups {
    shards: [Mutex<HashMap<u64, Group>>; SHARDS],
}

#[derive(Debug)]
struct Group {
    endpoint: Arc<EndpointHandle>,
    flows: u32,
}

/// A flow's share in its group.
#[derive(Debug)]
pub struct Member {
    groups: Arc<Groups>,
    key: u64,
}

/// Those of an item are found by its counts: both outlast changes of the item.
static ALL: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// By the address of the counts, which tells them apart while they live.
type Known = HashMap<usize, (Weak<Counts>, Weak<Groups>)>;

impl Groups {
    /// Those of an item.
    #[must_use]
    pub fn of(counts: &Arc<Counts>) -> Arc<Self> {
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Arc::as_ptr(counts) as usize;
        if let Some((whose, groups)) = all.get(&at)
            && whose.strong_count() > 0
            && let Some(groups) = groups.upgrade()
        {
            return groups;
        }
        all.retain(|_, (_, groups)| groups.strong_count() > 0);
        let groups = Arc::new(Self::default());
        all.insert(at, (Arc::downgrade(counts), Arc::downgrade(&groups)));
        groups
    }

    /// What tells a client apart; `None` where each flow is on its own.
    #[must_use]
    pub fn key(key: &Key, facts: &Facts<'_>) -> Option<u64> {
        let alone = key.0.contains(&KeyPart::Connection);
        (!alone).then(|| hash_of(key, facts))
    }

    /// Where a key goes while it has flows.
    #[must_use]
    pub fn find(&self, key: u64) -> Option<Arc<EndpointHandle>> {
        self.shard(key).get(&key).map(|group| Arc::clone(&group.endpoint))
    }

    /// A flow of a key went to an endpoint, and the next ones will.
    #[must_use]
    pub fn join(self: &Arc<Self>, key: u64, endpoint: &Arc<EndpointHandle>) -> Member {
        let mut shard = self.shard(key);
        let group = shard.entry(key).or_insert_with(|| Group { endpoint: Arc::clone(endpoint), flows: 0 });
        if !Arc::ptr_eq(&group.endpoint, endpoint) {
            group.endpoint = Arc::clone(endpoint);
        }
        group.flows += 1;
        Member { groups: Arc::clone(self), key }
    }

    fn shard(&self, key: u64) -> std::sync::MutexGuard<'_, HashMap<u64, Group>> {
        self.shards[key as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut shard = self.groups.shard(self.key);
        if let Some(group) = shard.get_mut(&self.key) {
            group.flows -= 1;
            if group.flows == 0 {
                shard.remove(&self.key);
            }
        }
    }
}
