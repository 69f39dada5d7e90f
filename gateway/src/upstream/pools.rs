//! Pools and endpoints by identity: what is written the same is the same, across reloads and files.
//!
//! Workers keep what they know of a pool (whose turn it is) and of an endpoint (idle connections)
//! in vectors. A handle carries the index into them and a stamp that tells a reused index from
//! the one before it.

use crate::runtime::notice::{Notice, NoticeSender};
use dsl::tree::ir;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Trouble counts as over when nothing failed for so long.
const CALM_MS: u64 = 3_000;

/// A pool that snapshots share for as long as it is written the same.
pub struct PoolHandle {
    slot: Slot,
    pool: Arc<ir::Pool>,
    endpoints: Vec<Arc<EndpointHandle>>,
}

/// An endpoint, shared by every pool that names it.
pub struct EndpointHandle {
    slot: Slot,
    name: Arc<str>,
    host: Arc<str>,
    port: u16,
    /// 0 while all is well, else when it last failed: milliseconds since the process started, plus 1.
    failed_at: AtomicU64,
}

/// Where a worker keeps what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Index into the worker's vector; small, used again when its owner is gone.
    pub index: u32,
    /// Differs between two owners of one index.
    pub stamp: u64,
}

/// Interns pools and endpoints. One per process, asked by the control plane only.
#[derive(Default)]
pub struct Pools {
    pools: Mutex<Table<PoolKey, PoolHandle>>,
    endpoints: Mutex<Table<(Arc<str>, u16), EndpointHandle>>,
    pool_slots: Arc<Slots>,
    endpoint_slots: Arc<Slots>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct PoolKey {
    name: Arc<str>,
    endpoints: Vec<(Arc<str>, u16, u32, bool)>,
    connect_within_ms: Option<u64>,
    timeout_ms: Option<u64>,
    idle_ms: Option<u64>,
    balance: ir::Balance,
    check: Option<ir::Check>,
    proxy_protocol: Option<ir::ProxyProtocol>,
    tls: Option<ir::PoolTls>,
}

impl Pools {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The handle for a pool: the same one for as long as somebody holds it and the pool is
    /// written the same. Where it is written does not count.
    #[must_use]
    pub fn intern(&self, pool: &Arc<ir::Pool>) -> Arc<PoolHandle> {
        let key = PoolKey::of(pool);
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = pools.get(&key) {
            return handle;
        }
        let endpoints = self.endpoints_of(pool);
        let handle = Arc::new(PoolHandle { slot: Slots::take(&self.pool_slots), pool: Arc::clone(pool), endpoints });
        pools.insert(key, &handle);
        handle
    }

    fn endpoints_of(&self, pool: &ir::Pool) -> Vec<Arc<EndpointHandle>> {
        let mut known = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let mut intern = |e: &ir::Endpoint| {
            let key = (Arc::clone(&e.host), e.port);
            if let Some(handle) = known.get(&key) {
                return handle;
            }
            let name = if e.host.contains(':') {
                format!("[{}]:{}", e.host, e.port)
            } else {
                format!("{}:{}", e.host, e.port)
            };
            let handle = Arc::new(EndpointHandle {
                slot: Slots::take(&self.endpoint_slots),
                name: name.into(),
                host: Arc::clone(&e.host),
                port: e.port,
                failed_at: AtomicU64::new(0),
            });
            known.insert(key, &handle);
            handle
        };
        pool.endpoints.iter().map(&mut intern).collect()
    }
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}

impl PoolHandle {
    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &ir::Pool {
        &self.pool
    }

    /// Its endpoints, in the order of [`ir::Pool::endpoints`].
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<EndpointHandle>] {
        &self.endpoints
    }

    /// Where workers keep what they know of it.
    #[must_use]
    pub fn place(&self) -> Place {
        self.slot.place
    }

    /// Whether an endpoint takes new connections, by its place in the pool.
    #[must_use]
    pub fn is_up(&self, _index: usize) -> bool {
        true
    }

    /// How long a connection attempt may take.
    #[must_use]
    pub fn connect_within(&self) -> Duration {
        Duration::from_millis(self.pool.connect_within_ms.unwrap_or(2_000))
    }
}

impl fmt::Debug for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolHandle")
            .field("name", &self.pool.name)
            .field("place", &self.slot.place)
            .finish_non_exhaustive()
    }
}

impl EndpointHandle {
    /// `host:port`
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The address or DNS name.
    #[must_use]
    pub fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where workers keep what they know of it.
    #[must_use]
    pub fn place(&self) -> Place {
        self.slot.place
    }

    /// Notes a failure. The first one after a calm time is told.
    pub fn failed(&self, pool: &PoolHandle, now_ms: u64, notices: &NoticeSender, reason: &str) {
        if self.failed_at.swap(now_ms + 1, Ordering::Relaxed) == 0 {
            notices.send(Notice::EndpointTrouble {
                pool: Arc::clone(&pool.pool.name),
                endpoint: Arc::clone(&self.name),
                reason: reason.to_owned(),
            });
        }
    }

    /// Notes a good answer. The first one after a calm time ends the trouble and is told.
    #[inline]
    pub fn answered(&self, pool: &PoolHandle, now_ms: u64, notices: &NoticeSender) {
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        if failed_at != 0 {
            self.recovering(failed_at, pool, now_ms, notices);
        }
    }

    #[cold]
    fn recovering(&self, failed_at: u64, pool: &PoolHandle, now_ms: u64, notices: &NoticeSender) {
        // An origin that fails every other request stays in trouble, which is said once.
        if now_ms + 1 < failed_at + CALM_MS {
            return;
        }
        let over = self.failed_at.compare_exchange(failed_at, 0, Ordering::Relaxed, Ordering::Relaxed);
        if over.is_ok() {
            notices.send(Notice::EndpointRecovered {
                pool: Arc::clone(&pool.pool.name),
                endpoint: Arc::clone(&self.name),
            });
        }
    }
}

impl fmt::Debug for EndpointHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointHandle")
            .field("name", &self.name)
            .field("place", &self.slot.place)
            .finish_non_exhaustive()
    }
}

impl PoolKey {
    fn of(pool: &ir::Pool) -> Self {
        Self {
            name: Arc::clone(&pool.name),
            endpoints: pool.endpoints.iter().map(|e| (Arc::clone(&e.host), e.port, e.weight, e.backup)).collect(),
            connect_within_ms: pool.connect_within_ms,
            timeout_ms: pool.timeout_ms,
            idle_ms: pool.idle_ms,
            balance: pool.balance.clone(),
            check: pool.check.clone(),
            proxy_protocol: pool.proxy_protocol,
            tls: pool.tls.clone(),
        }
    }
}

/// What is alive, by what identifies it. Swept whenever it has doubled, so that inserting costs
/// the same however many there are.
struct Table<K, V> {
    known: HashMap<K, Weak<V>>,
    sweep_at: usize,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { known: HashMap::new(), sweep_at: 64 }
    }
}

impl<K: Eq + Hash, V> Table<K, V> {
    fn get(&self, key: &K) -> Option<Arc<V>> {
        self.known.get(key).and_then(Weak::upgrade)
    }

    fn insert(&mut self, key: K, value: &Arc<V>) {
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, v| v.strong_count() > 0);
            self.sweep_at = (self.known.len() * 2).max(64);
        }
        self.known.insert(key, Arc::downgrade(value));
    }
}

/// Small indices, used again.
#[derive(Default)]
struct Slots(Mutex<Free>);

#[derive(Default)]
struct Free {
    indices: Vec<u32>,
    next: u32,
    stamp: u64,
}

/// Holds an index until it is dropped.
struct Slot {
    place: Place,
    slots: Arc<Slots>,
}

impl Slots {
    fn take(slots: &Arc<Self>) -> Slot {
        let mut free = slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.stamp += 1;
        let index = free.indices.pop().unwrap_or_else(|| {
            free.next += 1;
            free.next - 1
        });
        Slot { place: Place { index, stamp: free.stamp }, slots: Arc::clone(slots) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut free = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.indices.push(self.place.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::notice;
    use dsl::syntax::span::Loc;

    fn pool(name: &str, ports: &[u16]) -> Arc<ir::Pool> {
        let endpoint = |port: &u16| ir::Endpoint {
            host: "127.0.0.1".into(),
            port: *port,
            weight: 1,
            backup: false,
            loc: Loc::default(),
        };
        Arc::new(ir::Pool::new(name.into(), ports.iter().map(endpoint).collect(), Loc::default()))
    }

    #[test]
    fn a_reload_keeps_unchanged_pools_and_endpoints() {
        let pools = Pools::new();
        let before = pools.intern(&pool("api", &[1, 2]));
        let same = pools.intern(&pool("api", &[1, 2]));
        assert!(Arc::ptr_eq(&before, &same));
        let changed = pools.intern(&pool("api", &[2, 3]));
        assert!(!Arc::ptr_eq(&before, &changed));
        assert!(Arc::ptr_eq(&before.endpoints()[1], &changed.endpoints()[0]));
    }

    #[test]
    fn indices_are_used_again_with_another_stamp() {
        let pools = Pools::new();
        let first = pools.intern(&pool("a", &[1])).place();
        let second = pools.intern(&pool("b", &[1])).place();
        assert_eq!(first.index, second.index);
        assert_ne!(first.stamp, second.stamp);
    }

    #[test]
    fn trouble_is_told_once_and_its_end_too() {
        let pools = Pools::new();
        let pool = pools.intern(&pool("a", &[1]));
        let endpoint = &pool.endpoints()[0];
        let (sender, receiver) = notice::channel();
        endpoint.failed(&pool, 10, &sender, "connection refused");
        endpoint.failed(&pool, 20, &sender, "connection refused");
        endpoint.answered(&pool, 30, &sender);
        assert_eq!(
            receiver.try_iter().map(|n| n.to_string()).collect::<Vec<_>>(),
            ["origin 127.0.0.1:1 of pool a: connection refused"]
        );
        endpoint.answered(&pool, 20 + CALM_MS, &sender);
        endpoint.answered(&pool, 21 + CALM_MS, &sender);
        assert_eq!(
            receiver.try_iter().map(|n| n.to_string()).collect::<Vec<_>>(),
            ["origin 127.0.0.1:1 of pool a answers again"]
        );
    }
}
