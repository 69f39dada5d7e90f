//! Whether endpoints are well: what checks find out, and what follows from it.
//!
//! Checks belong to the control plane. An endpoint is checked once however many pools say the same
//! check of it, by a task that lives as long as one of these pools does; so what is known of an
//! endpoint outlives reloads, and the checks of a pool that is gone end with it. Each check has a
//! connection of its own, which is closed behind it.
//!
//! An endpoint is up until `fall` checks in a row have failed. Until one was good, or so many failed,
//! they follow each other in a tenth of `every`: what is dead from the start is soon known to be.
//!
//! What requests show besides is in [`Record`]: workers write it, all of them the same one.

mod ejection;
mod judge;
mod probe;
mod record;
mod run;
mod standing;
mod window;

pub(super) use record::Record;
pub(super) use standing::changed;
pub use standing::{Standing, health_epoch};

use super::identity::{Place, Table};
use super::{EndpointHandle, PoolHandle, Speaks};
use crate::runtime::notice::{Notice, NoticeSender};
use dsl::tree::ir;
use probe::Target;
use record::{Group, Since};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;

/// Checks that are under way at one time.
const AT_ONCE: usize = 128;
/// Threads that names may be looked up on: the system's resolver blocks.
const LOOK_UPS: usize = 8;

/// Runs checks.
pub(super) struct Health {
    runtime: Mutex<Option<Runtime>>,
    permits: Arc<Semaphore>,
    standings: Mutex<Table<Identity, Standing>>,
    records: Mutex<Records>,
}

/// Records by what they are of: an endpoint's stamp, in the pools of one name.
#[derive(Default)]
struct Records {
    groups: Table<Arc<str>, Group>,
    since: Table<(Arc<str>, u64), Since>,
    records: Table<(Arc<str>, u64, Option<ir::Eject>), Record>,
}

/// What makes two checks the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Identity {
    endpoint: Place,
    check: ir::Check,
    proxy_protocol: Option<ir::ProxyProtocol>,
    tls: Option<(ir::PoolTls, Arc<Path>)>,
    speaks: Speaks,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            runtime: Mutex::default(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            standings: Mutex::default(),
            records: Mutex::default(),
        }
    }

    /// What is known of an endpoint of a pool, and will be: checks begin here. `None` without `check`.
    pub(super) fn standing(
        &self,
        pool: &PoolHandle,
        endpoint: &Arc<EndpointHandle>,
        notices: Option<&NoticeSender>,
    ) -> Option<Arc<Standing>> {
        let check = pool.pool().check.as_ref()?;
        let target = Target::of(pool, endpoint, check);
        let tls = target.tls.as_ref().and(pool.pool().tls.clone());
        let identity = Identity {
            endpoint: endpoint.place(),
            check: check.clone(),
            proxy_protocol: target.proxy_protocol,
            tls: tls.map(|tls| (tls, Arc::clone(pool.dir()))),
            speaks: target.speaks,
        };
        let mut known = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(standing) = known.get(&identity) {
            return Some(standing);
        }
        let standing = Arc::new(Standing::new(endpoint));
        known.insert(identity, &standing);
        self.start(target, &standing, notices);
        Some(standing)
    }

    /// What requests show of each of a pool's endpoints: the same for as long as a pool of this name has
    /// them and ejects alike. One that comes to a pool that lives already has to be slow at first, if
    /// the pool has it so.
    pub(super) fn records<'e>(
        &self,
        pool: &ir::Pool,
        endpoints: impl Iterator<Item = &'e Arc<EndpointHandle>>,
        notices: Option<&NoticeSender>,
    ) -> Vec<Arc<Record>> {
        let runtime = pool.eject.and_then(|_| self.runtime().ok());
        let mut known = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let name = &pool.name;
        let living = known.groups.get(name);
        let group = living.clone().unwrap_or_else(|| {
            let group = Group {
                name: Arc::clone(name),
                busy: AtomicBool::new(false),
                notices: notices.cloned(),
                runtime: OnceLock::new(),
            };
            let group = Arc::new(group);
            known.groups.insert(Arc::clone(name), &group);
            group
        });
        if let Some(runtime) = runtime {
            // It is the same one, if it was set.
            let _ = group.runtime.set(runtime);
        }
        let mut of = |endpoint: &'e Arc<EndpointHandle>| {
            let stamp = endpoint.place().stamp;
            let key = (Arc::clone(name), stamp, pool.eject);
            if let Some(record) = known.records.get(&key) {
                return record;
            }
            let since = known.since.get(&(Arc::clone(name), stamp)).unwrap_or_else(|| {
                let since = Arc::new(if living.is_some() { Since::now() } else { Since::default() });
                known.since.insert((Arc::clone(name), stamp), &since);
                since
            });
            let record = Record::new(&group, since, endpoint, pool.eject);
            known.records.insert(key, &record);
            record
        };
        endpoints.map(&mut of).collect()
    }

    fn start(&self, target: Target, standing: &Arc<Standing>, notices: Option<&NoticeSender>) {
        match self.runtime() {
            Ok(runtime) => {
                let permits = Arc::clone(&self.permits);
                let watching = run::watch(target, Arc::downgrade(standing), permits, notices.cloned());
                standing.ends_with(runtime.spawn(watching).abort_handle());
            }
            // Nobody is called down whom nobody looked at.
            Err(e) => {
                if let Some(notices) = notices {
                    notices.send(Notice::NoChecks { endpoint: standing.name(), reason: e.to_string() });
                }
            }
        }
    }

    /// Endpoints that are checked now.
    #[cfg(test)]
    pub(super) fn checks(&self) -> usize {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        runtime.as_ref().map_or(0, |runtime| runtime.metrics().num_alive_tasks())
    }

    /// Made when it is needed first.
    fn runtime(&self) -> std::io::Result<Handle> {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*runtime {
            return Ok(runtime.handle().clone());
        }
        let made = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(LOOK_UPS)
            .thread_name("health")
            .enable_all()
            .build()?;
        Ok(runtime.insert(made).handle().clone())
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            // Whoever drops it may stand in a runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod ejection_tests;
#[cfg(test)]
mod probe_tests;
#[cfg(test)]
mod tests;
