//! `tls on-demand { allow when … limit 20/h }`: whether a name gets a certificate, decided in the handshake.
//!
//! What was decided is kept: names that are allowed for a day, names that are not for a minute, so many of
//! each; whoever asks for more names has them decided anew. A name is decided about once at a time, over all
//! workers. The limit counts names that are allowed and were not known: names that are refused use none of it.
//! A handshake for a name that is not allowed, or that cannot be decided about, fails.

use super::calls::{Worked, work_out};
use crate::http::client::{Client, Secured};
use crate::http::exchange::ask_of_name;
use crate::limit::{Digest, Rate, Secret};
use crate::runtime::notice::Notice;
use crate::runtime::worker::Worker;
use crate::snapshot::Served;
use crate::upstream::Table;
use dsl::tree::calls::{Calls, Outcome, Stop};
use dsl::tree::eval;
use dsl::tree::ir::{CallIdx, OnDemand, Site};
use dsl::tree::request::{Handshake, Plain};
use moka::sync::Cache;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Names of a site that are remembered, of each kind.
const NAMES: u64 = 10_000;
const ALLOWED: Duration = Duration::from_secs(24 * 60 * 60);
const DENIED: Duration = Duration::from_secs(60);
/// Names of a site that are decided about at once; more are refused.
const AT_ONCE: usize = 64;

/// The gates of all sites, so that one that did not change goes on over a reload. One per process, asked by
/// the control plane only.
#[derive(Default)]
pub struct Gates(Mutex<Table<Identity, Gate>>);

/// What makes a gate the same as before: where its site lies, its hosts, and what it says.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Identity {
    dir: Arc<Path>,
    said: String,
}

/// Which names a site gives certificates to.
pub struct Gate {
    allowed: Cache<Box<str>, ()>,
    denied: Cache<Box<str>, ()>,
    new: Option<(Rate, Digest)>,
    flights: Mutex<HashMap<Box<str>, Arc<tokio::sync::Mutex<()>>>>,
}

impl Gates {
    /// The gate of a site of a route file in `dir`, if it has one.
    pub(super) fn intern(&self, site: &Site, dir: &Path) -> Option<Arc<Gate>> {
        let OnDemand { allow, limit, .. } = &**site.on_demand.as_ref()?;
        let hosts: Vec<_> = site.hosts.iter().map(|(host, _)| host).collect();
        let calls: Vec<_> = site.calls.iter().map(|call| &call.kind).collect();
        let identity = Identity { dir: dir.into(), said: format!("{hosts:?} {allow:?} {limit:?} {calls:?}") };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(known.get(&identity).unwrap_or_else(|| {
            let new = limit.map(|(count, per_ms)| {
                (Rate::new(count, per_ms, count), Secret::default().digest_of(|hasher| hasher.write_u8(0)))
            });
            let cache = |lasts| Cache::builder().max_capacity(NAMES).time_to_live(lasts).build();
            let flights = Mutex::default();
            let made = Arc::new(Gate { allowed: cache(ALLOWED), denied: cache(DENIED), new, flights });
            known.insert(identity, &made);
            made
        }))
    }
}

impl Gate {
    /// Whether a name is known to be allowed.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        self.allowed.contains_key(name)
    }

    fn known(&self, name: &str) -> Option<bool> {
        // Asking keeps it: a name that is used is not the one that is forgotten.
        match (self.allowed.get(name), self.denied.get(name)) {
            (Some(()), _) => Some(true),
            (None, Some(())) => Some(false),
            (None, None) => None,
        }
    }

    /// The turn to decide about a name; `None` where too many are being decided about.
    fn flight(&self, name: &str) -> Option<Flight<'_>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if !flights.contains_key(name) && flights.len() >= AT_ONCE {
            return None;
        }
        let turn = Arc::clone(flights.entry(name.into()).or_default());
        Some(Flight { gate: self, name: name.into(), turn })
    }
}

/// A name that is being decided about, for as long as somebody waits for it.
struct Flight<'g> {
    gate: &'g Gate,
    name: Box<str>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut flights = self.gate.flights.lock().unwrap_or_else(PoisonError::into_inner);
        // The table's and this one.
        if Arc::strong_count(&self.turn) <= 2 {
            flights.remove(&self.name);
        }
    }
}

/// Decides about the name of a hello, where its site wants that: whether it is allowed can then be asked of the
/// gate.
pub async fn decide(worker: &Rc<Worker>, served: &Served, name: &str, peer: SocketAddr, local: SocketAddr) {
    let (Some(gate), Some(on_demand)) = (&served.edge.gate, &served.program.site().on_demand) else { return };
    if gate.known(name).is_some() {
        return;
    }
    let Some(flight) = gate.flight(name) else { return };
    let _turn = flight.turn.lock().await;
    if gate.known(name).is_some() {
        return;
    }
    let secured = Secured { sni: Some(name.into()), version: "1.3", alpn: None, told: None };
    let client = Client::new(Rc::clone(worker), peer, local, Some(secured));
    match allowed(&client, served, on_demand, name).await {
        Some(true) => match &gate.new {
            Some((rate, digest)) if rate.take(*digest, 1).is_err() => {
                let call = "tls on-demand".to_owned();
                let reason = "as many new names were allowed as its `limit` says; more are refused for a while";
                worker.tell_once(&call, || Notice::CallFailed { call: call.clone(), reason: reason.to_owned() });
            }
            Some(_) | None => gate.allowed.insert(name.into(), ()),
        },
        Some(false) => gate.denied.insert(name.into(), ()),
        // It is decided about again.
        None => {}
    }
}

/// Whether a name is allowed; `None` where that cannot be told.
async fn allowed(client: &Rc<Client>, served: &Served, on_demand: &OnDemand, name: &str) -> Option<bool> {
    let mut calls = Calls::default();
    // Each turn tells a call that was not known.
    for _ in 0..=served.program.site().calls.len() {
        let request = Plain {
            host: name.to_owned(),
            tls: Handshake { sni: Some(name.to_owned()), ..Handshake::default() },
            client: (client.ip, client.port),
            calls: calls.clone(),
            ..Plain::default()
        };
        let held = eval::cond(&on_demand.allow, &request);
        match request.calls.stopped() {
            None => return held.ok(),
            Some(Stop::Unknown(call)) => {
                let (call, outcome) = worked(client, served, name, call, &request).await;
                calls.tell(call, outcome);
            }
            Some(Stop::Failed(_) | Stop::Refused(_)) => return None,
        }
    }
    None
}

async fn worked(
    client: &Rc<Client>,
    served: &Served,
    name: &str,
    mut call: CallIdx,
    request: &Plain,
) -> (CallIdx, Outcome) {
    // A call needs only what was written before it, so this ends.
    for _ in 0..=served.program.site().calls.len() {
        match work_out(served, call, request, &client.worker) {
            Worked::Known(outcome) => return (call, outcome),
            Worked::First(first) => call = first,
            Worked::Ask(question) => return (call, ask_of_name(client, served, name, question).await),
        }
    }
    (call, Outcome::Failed)
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gates").finish_non_exhaustive()
    }
}
