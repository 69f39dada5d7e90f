//! Names of endpoints, looked up by the control plane: requests find addresses and ask nobody.
//!
//! A name is asked about once however many pools have it, by a task that lives as long as one of them
//! does: again when its records are due (`resolve every` at the latest), a little earlier than all others.
//! What DNS says replaces what it said before; when it says nothing, what it said last stays. A name
//! that does not exist has no endpoints, which is nobody else's trouble.

mod book;
mod client;
mod hosts;
mod lookup;
mod pair;
mod watch;

pub(super) use book::Found;
pub use lookup::Lookup;

/// Whether an address is this machine's own.
pub fn is_own(ip: std::net::IpAddr) -> bool {
    client::is_own(ip)
}
pub(super) use watch::Watch;

use super::PoolHandle;
use super::identity::Table;
use crate::runtime::notice::NoticeSender;
use client::Client;
use dsl::tree::ir;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Semaphore, watch as channel};

/// Names that are asked about at one time.
const AT_ONCE: usize = 64;
/// A name is asked about so often, when nobody says how often.
const CEILING: Duration = Duration::from_secs(60);

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// The name.
    pub(super) name: Arc<str>,
    /// For the hosts and ports of a service; else for its addresses.
    pub(super) service: bool,
}

/// Whom to ask; `None` until the gateway file was read.
type Servers = Option<Arc<[SocketAddr]>>;

/// Looks names up.
pub(super) struct Names {
    runtime: Mutex<Option<Runtime>>,
    servers: channel::Sender<Servers>,
    client: Arc<Client>,
    permits: Arc<Semaphore>,
    watches: Mutex<Table<Question, Watch>>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            runtime: Mutex::default(),
            servers: channel::Sender::new(None),
            client: Arc::new(Client::new()),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            watches: Mutex::default(),
        }
    }

    /// Whom to ask from now on, as `resolver` says; those of the system where there are none. Nobody is
    /// asked before this was said once, and everything is asked anew when it changes.
    pub(super) fn ask(&self, servers: &[SocketAddr]) {
        self.servers.send_if_modified(|now| {
            let changed = now.as_deref() != Some(servers);
            if changed {
                *now = Some(servers.into());
            }
            changed
        });
    }

    /// For who is no pool.
    pub(super) fn lookup(&self) -> Lookup {
        Lookup::new(self.servers.subscribe())
    }

    /// What is known of an endpoint that is written as a name.
    pub(super) fn watch(&self, endpoint: &ir::Endpoint, notices: Option<&NoticeSender>) -> Arc<Watch> {
        let service = endpoint.kind == ir::EndpointKind::Srv;
        let question = Question { name: Arc::clone(&endpoint.host), service };
        let mut known = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = known.get(&question) {
            return watch;
        }
        // What the machine knows by itself is known at once.
        let own = if service { None } else { self.client.own(&question.name) };
        let watch = Arc::new(Watch::new(question.clone(), own, notices.cloned()));
        known.insert(question, &watch);
        watch
    }

    /// A pool has the name, and follows it; the first one makes it looked up.
    pub(super) fn follow(&self, watch: &Arc<Watch>, pool: &Arc<PoolHandle>) {
        if !watch.told_to(pool) {
            return;
        }
        match self.runtime() {
            Ok(runtime) => {
                let tools = watch::Tools { client: Arc::clone(&self.client), permits: Arc::clone(&self.permits) };
                let running = watch::run(Arc::downgrade(watch), tools, self.servers.subscribe());
                watch.ends_with(runtime.spawn(running).abort_handle());
            }
            Err(e) => watch.cannot(&format!("no thread to look it up: {e}")),
        }
    }

    /// Names that are asked about now.
    #[cfg(test)]
    pub(super) fn watched(&self) -> Vec<Arc<Watch>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).live()
    }

    /// Made when it is needed first.
    fn runtime(&self) -> std::io::Result<Handle> {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*runtime {
            return Ok(runtime.handle().clone());
        }
        let made = Builder::new_multi_thread().worker_threads(1).thread_name("names").enable_all().build()?;
        Ok(runtime.insert(made).handle().clone())
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            // Whoever drops it may stand in a runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}

/// How often a pool wants names to be asked about, at least.
fn ceiling(pool: &PoolHandle) -> Duration {
    pool.pool().resolve_ms.map_or(CEILING, Duration::from_millis)
}

#[cfg(test)]
mod tests;
