//! Pools and endpoints by identity: what is written the same is the same, across reloads and files.
//!
//! Workers keep what they know of a pool (whose turn it is) and of an endpoint (idle connections)
//! in vectors. A handle carries the index into them and a stamp that tells a reused index from
//! the one before it.

use super::endpoint::EndpointHandle;
use super::health;
use super::identity::{Place, Slot, Slots, Table};
use super::members::Members;
use super::registry::{Belongs, Registry};
use super::resolve::{Found, Lookup, Names, Watch, is_own};
use super::shared::Shared;
use super::sticky::{OwnKey, Sticky};
use super::tls::UpstreamTls;
use super::transport::{self, Transport};
use super::whereabouts::Who;
use crate::runtime::notice::{Notice, NoticeSender};
use crate::secrets::Secrets;
use arc_swap::ArcSwap;
use dsl::tree::ir;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a connection attempt may take where nothing is said, milliseconds.
pub const CONNECT_MS: u64 = 2_000;

/// A pool that snapshots share for as long as it is written the same.
pub struct PoolHandle {
    slot: Slot,
    pool: Arc<ir::Pool>,
    members: ArcSwap<Members>,
    /// That of `members`: read for each request, which an `ArcSwap` would make dearer.
    version: AtomicU64,
    /// Held while who belongs to it is changed.
    changing: Mutex<()>,
    /// The directory of its route file.
    dir: Arc<Path>,
    registry: Arc<Registry>,
    /// Where its endpoints come from, in the order of the file.
    sources: Box<[Source]>,
    transport: Arc<Transport>,
    shared: Shared,
    sticky: Option<Arc<Sticky>>,
}

/// Interns pools and endpoints. One per process, asked by the control plane only.
pub struct Pools {
    notices: Option<NoticeSender>,
    secrets: Arc<Secrets>,
    /// What sticky cookies are made with where no secret is named.
    own_key: Arc<OwnKey>,
    registry: Arc<Registry>,
    names: Names,
    pools: Mutex<Table<PoolKey, PoolHandle>>,
    transports: Mutex<Table<transport::Key, Transport>>,
    slots: Arc<Slots>,
}

/// Where an endpoint of a pool comes from.
enum Source {
    /// It is written as an address or a path.
    Written(Arc<EndpointHandle>),
    /// It is written as a name, which stands for any number of endpoints.
    Named(Arc<Watch>),
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct PoolKey {
    name: Arc<str>,
    endpoints: Vec<(ir::EndpointKind, Arc<str>, u16, u32, bool)>,
    connect_within_ms: Option<u64>,
    timeout_ms: Option<u64>,
    idle_ms: Option<u64>,
    balance: ir::Balance,
    check: Option<ir::Check>,
    eject: Option<ir::Eject>,
    panic_below: Option<u8>,
    slow_start_ms: Option<u64>,
    proxy_protocol: Option<ir::ProxyProtocol>,
    protocol: ir::Protocol,
    tls: Option<ir::PoolTls>,
    retry: Option<ir::Retry>,
    hedge: Option<ir::Hedge>,
    limit: ir::PoolLimit,
    dials: Option<Arc<ir::Dials>>,
    sticky: Option<ir::Sticky>,
    /// Where the files of `tls` are; `None` without `tls`.
    dir: Option<Arc<Path>>,
    resolve_ms: Option<u64>,
}

impl Pools {
    /// An empty table, for so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            notices: None,
            secrets: Arc::default(),
            own_key: Arc::default(),
            registry: Arc::new(Registry::new(workers)),
            names: Names::new(),
            pools: Mutex::default(),
            transports: Mutex::default(),
            slots: Arc::default(),
        }
    }

    /// Tells the operator what happens to its pools.
    #[must_use]
    pub fn telling(mut self, notices: NoticeSender) -> Self {
        if let Some(registry) = Arc::get_mut(&mut self.registry) {
            registry.notices = Some(notices.clone());
        }
        Self { notices: Some(notices), ..self }
    }

    /// Keeps in the data directory what must outlive a restart. Whoever is to be told is named before.
    #[must_use]
    pub fn keeping(self, data: &Path) -> Self {
        let own_key = Arc::new(OwnKey::new(Some(data.to_path_buf()), self.notices.clone()));
        Self { own_key, ..self }
    }

    /// Takes the secrets that pools name from there.
    #[must_use]
    pub fn with_secrets(self, secrets: Arc<Secrets>) -> Self {
        Self { secrets, ..self }
    }

    /// The secrets that pools name.
    #[must_use]
    pub fn secrets(&self) -> &Arc<Secrets> {
        &self.secrets
    }

    /// The handle for a pool of a route file in `dir`, against which the files that it names are
    /// resolved: the same handle for as long as somebody holds it and the pool is written the same.
    /// Where it is written does not count.
    #[must_use]
    pub fn intern(&self, pool: &Arc<ir::Pool>, dir: &Path) -> Arc<PoolHandle> {
        let key = PoolKey::of(pool, dir);
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = pools.get(&key) {
            return handle;
        }
        let transport = self.transport_of(pool, dir);
        let slot = Slots::take(&self.slots);
        let nobody = Members::new(pool, slot.place, 0, Vec::new());
        let handle = Arc::new(PoolHandle {
            slot,
            pool: Arc::clone(pool),
            members: ArcSwap::from_pointee(nobody),
            version: AtomicU64::new(0),
            changing: Mutex::default(),
            dir: dir.into(),
            registry: Arc::clone(&self.registry),
            sources: pool.endpoints.iter().map(|said| self.source(said)).collect(),
            transport,
            shared: Shared::new(self.registry.workers, pool),
            sticky: Sticky::new(pool, &self.own_key, &self.secrets),
        });
        for source in &handle.sources {
            if let Source::Named(watch) = source {
                self.names.follow(watch, &handle);
            }
        }
        handle.renew();
        pools.insert(key, &handle);
        handle
    }

    /// Every pool that is in use, in no order.
    #[must_use]
    pub fn pools(&self) -> Vec<Arc<PoolHandle>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).live()
    }

    /// Endpoints that are checked now.
    #[cfg(test)]
    pub(super) fn checks(&self) -> usize {
        self.registry.health.checks()
    }

    /// Every endpoint that a pool in use names, in no order.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<EndpointHandle>> {
        self.registry.endpoints()
    }

    fn source(&self, said: &ir::Endpoint) -> Source {
        match Who::written(said) {
            Some(who) => Source::Written(self.registry.endpoint(who)),
            None => Source::Named(self.names.watch(said, self.notices.as_ref())),
        }
    }

    /// Looks names up at these servers from now on; at those of the system where there are none. Before
    /// it was said once nobody is asked.
    pub fn resolve_by(&self, servers: &[SocketAddr]) {
        self.names.ask(servers);
    }

    /// Looks names up as those of pools are.
    #[must_use]
    pub fn lookup(&self) -> Lookup {
        self.names.lookup()
    }

    /// Names that are looked up now.
    #[cfg(test)]
    pub(super) fn names(&self) -> usize {
        self.names.watched().len()
    }

    /// A name that is looked up.
    #[cfg(test)]
    pub(super) fn watched(&self, name: &str) -> Arc<Watch> {
        self.names.watched().into_iter().find(|watch| watch.name() == name).expect("a pool has it")
    }

    fn transport_of(&self, pool: &ir::Pool, dir: &Path) -> Arc<Transport> {
        let key = transport::Key::of(pool, dir);
        let mut known = self.transports.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&key).unwrap_or_else(|| {
            let (name, notices) = (Arc::clone(&pool.name), self.notices.clone());
            let tls = pool.tls.clone().map(|tls| Arc::new(UpstreamTls::new(name, tls, dir, &self.secrets, notices)));
            let transport = Arc::new(Transport::new(&key, tls));
            known.insert(key, &transport);
            transport
        })
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

    /// The pool, for those who keep it.
    pub(super) fn shared_pool(&self) -> &Arc<ir::Pool> {
        &self.pool
    }

    /// The directory of its route file: files that it names are in it.
    pub(super) fn dir(&self) -> &Arc<Path> {
        &self.dir
    }

    /// Makes members of who belongs to it by now, where somebody came or left.
    pub(super) fn renew(self: &Arc<Self>) {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.members();
        let each = self.belong();
        if before.are(&each) {
            return;
        }
        let members = self.registry.members(self, &before, each);
        // So that whoever asks finds tables,
        members.rebuild();
        let version = members.version();
        let members = Arc::new(members);
        self.members.store(Arc::clone(&members));
        self.version.store(version, Ordering::Release);
        // and once more, for what changed before everybody knew whom to tell.
        members.rebuild();
        if !before.is_empty() {
            // Connections to those that left are looked at.
            health::changed();
        }
    }

    /// Who belongs to it, in the order of the file.
    fn belong(&self) -> Vec<Belongs> {
        let mut each = Vec::with_capacity(self.sources.len());
        for (said, source) in self.pool.endpoints.iter().zip(&self.sources) {
            match source {
                Source::Written(endpoint) => {
                    let endpoint = Arc::clone(endpoint);
                    each.push(Belongs { endpoint, weight: said.weight, backup: said.backup });
                }
                Source::Named(watch) => {
                    each.extend(self.may_dial(said, &watch.found()).into_iter().map(|found| Belongs {
                        endpoint: self.registry.endpoint(Who::looked_up(said, &found)),
                        // Of 16 bits each.
                        weight: said.weight.saturating_mul(found.weight),
                        backup: said.backup || found.backup,
                    }))
                }
            }
        }
        each
    }

    /// The endpoints of a name that its tenant may dial; of the others it is told.
    fn may_dial(&self, said: &ir::Endpoint, found: &[Found]) -> Vec<Found> {
        let Some(dials) = &self.pool.dials else { return found.to_vec() };
        let allowed = |ip: &IpAddr| dials.allows(*ip) && (ip.is_loopback() || dials.names(*ip) || !is_own(*ip));
        let mut outside: Vec<String> = Vec::new();
        let mut kept = Vec::new();
        for found in found {
            let (may, not): (Vec<IpAddr>, Vec<IpAddr>) = found.ips.iter().copied().partition(allowed);
            outside.extend(not.iter().map(ToString::to_string));
            if !may.is_empty() {
                kept.push(Found { ips: may.into(), ..found.clone() });
            }
        }
        if let (false, Some(notices)) = (outside.is_empty(), &self.registry.notices) {
            notices.send(Notice::NameTrouble {
                pool: Arc::clone(&self.pool.name),
                name: Arc::clone(&said.host),
                reason: format!("{} is not {}'s to dial (G8002)", outside.join(", "), dials.tenant),
                left: kept.len(),
            });
        }
        kept
    }

    /// Whether it has no endpoint because DNS was not heard of yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let open = |source: &Source| matches!(source, Source::Named(watch) if watch.is_open());
        self.version() == 0 && self.sources.iter().any(open)
    }

    /// Waits until something was heard of each of its names, good or bad. Deadlines are the caller's.
    pub async fn heard(&self) {
        for source in &self.sources {
            match source {
                Source::Named(watch) => watch.answered().await,
                Source::Written(_) => {}
            }
        }
    }

    /// Who belongs to it now.
    #[must_use]
    pub fn members(&self) -> Arc<Members> {
        self.members.load_full()
    }

    /// Counts the changes of who belongs to it: that of [`PoolHandle::members`].
    #[inline]
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Where workers keep what they know of it.
    #[must_use]
    pub fn place(&self) -> Place {
        self.slot.place
    }

    /// Its TLS; `None` where connections to its endpoints are clear.
    #[must_use]
    pub fn tls(&self) -> Option<&Arc<UpstreamTls>> {
        self.transport.tls()
    }

    /// How its endpoints are spoken to.
    #[must_use]
    pub fn transport(&self) -> &Arc<Transport> {
        &self.transport
    }

    /// How it keeps visitors where they are, if it does.
    #[inline]
    #[must_use]
    pub fn sticky(&self) -> Option<&Arc<Sticky>> {
        self.sticky.as_ref()
    }

    /// What all workers know of it together.
    #[inline]
    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How long a connection attempt may take.
    #[must_use]
    pub fn connect_within(&self) -> Duration {
        Duration::from_millis(self.pool.connect_within_ms.unwrap_or(CONNECT_MS))
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

impl PoolKey {
    fn of(pool: &ir::Pool, dir: &Path) -> Self {
        Self {
            name: Arc::clone(&pool.name),
            endpoints: pool
                .endpoints
                .iter()
                .map(|e| (e.kind, Arc::clone(&e.host), e.port, e.weight, e.backup))
                .collect(),
            connect_within_ms: pool.connect_within_ms,
            timeout_ms: pool.timeout_ms,
            idle_ms: pool.idle_ms,
            balance: pool.balance.clone(),
            check: pool.check.clone(),
            eject: pool.eject,
            panic_below: pool.panic_below,
            slow_start_ms: pool.slow_start_ms,
            proxy_protocol: pool.proxy_protocol,
            protocol: pool.protocol,
            tls: pool.tls.clone(),
            retry: pool.retry.clone(),
            hedge: pool.hedge,
            limit: pool.limit,
            dials: pool.dials.clone(),
            sticky: pool.sticky.clone(),
            dir: pool.tls.is_some().then(|| dir.into()),
            resolve_ms: pool.resolve_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::CALM_MS;
    use super::*;
    use crate::runtime::notice;
    use dsl::syntax::span::Loc;

    fn pool(name: &str, ports: &[u16]) -> Arc<ir::Pool> {
        let endpoint = |port: &u16| ir::Endpoint {
            kind: ir::EndpointKind::Tcp,
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
        let pools = Pools::new(1);
        let before = pools.intern(&pool("api", &[1, 2]), Path::new(""));
        let same = pools.intern(&pool("api", &[1, 2]), Path::new(""));
        assert!(Arc::ptr_eq(&before, &same));
        let changed = pools.intern(&pool("api", &[2, 3]), Path::new(""));
        assert!(!Arc::ptr_eq(&before, &changed));
        assert!(Arc::ptr_eq(before.members().endpoint(1), changed.members().endpoint(0)));
    }

    #[test]
    fn indices_are_used_again_with_another_stamp() {
        let pools = Pools::new(1);
        let first = pools.intern(&pool("a", &[1]), Path::new("")).place();
        let second = pools.intern(&pool("b", &[1]), Path::new("")).place();
        assert_eq!(first.index, second.index);
        assert_ne!(first.stamp, second.stamp);
    }

    #[test]
    fn trouble_is_told_once_and_its_end_too() {
        let pools = Pools::new(1);
        let pool = pools.intern(&pool("a", &[1]), Path::new(""));
        let members = pool.members();
        let endpoint = members.endpoint(0);
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
