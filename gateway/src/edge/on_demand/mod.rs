//! `tls on-demand { allow when … limit 20/h }`: whether a name gets a certificate, decided in the handshake.
//!
//! What costs least is looked at first, and what fails ends there:
//!
//! 1. the letters of the name (`names`); that the site's hosts match it, and that they are its tenant's own, is
//!    known by then: the name was looked up in the host index;
//! 2. what was decided before, which is kept: names that are allowed for a day, names that are not for a minute,
//!    so many of each; whoever asks for more names has them decided anew;
//! 3. how many unknown names the client's network asked for of late (`sources`), and everybody together;
//! 4. `allow`, once at a time for a name over all workers, and so many at once ([`decide`]);
//! 5. `limit`, which counts names that are allowed and were not known: refused ones use none of it.
//!
//! INVARIANT: a handshake for a name that is not allowed, or that cannot be decided about, fails; and everything
//! that is kept is bounded, whatever names clients make up.

mod decide;
mod names;
mod sources;

pub use decide::{Verdict, again, decide};

use crate::limit::{Digest, Rate, Secret};
use crate::upstream::Table;
use dsl::tree::ir::{OnDemand, Site};
use moka::sync::Cache;
use sources::Sources;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Names of a site that are remembered, of each kind.
const NAMES: u64 = 10_000;
const ALLOWED: Duration = Duration::from_secs(24 * 60 * 60);
const DENIED: Duration = Duration::from_secs(60);
/// Names of a site that are decided about at once; more are refused.
const AT_ONCE: usize = 64;
/// Names of a site that are decided about in a second, whoever asks for them.
const A_SECOND: u32 = 100;

/// The gates of all sites, so that one that did not change goes on over a reload, and what they share. One per
/// process; gates are asked for by the control plane only.
#[derive(Default)]
pub struct Gates {
    gates: Mutex<Table<Identity, Gate>>,
    sources: Arc<Sources>,
}

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
    new: Option<Rate>,
    asked: Rate,
    /// The only bucket of the two rates.
    bucket: Digest,
    sources: Arc<Sources>,
    flights: Mutex<HashMap<Box<str>, Arc<tokio::sync::Mutex<()>>>>,
}

impl Gates {
    /// The gate of a site of a route file in `dir`, if it has one.
    pub(super) fn intern(&self, site: &Site, dir: &Path) -> Option<Arc<Gate>> {
        let OnDemand { allow, limit, .. } = &**site.on_demand.as_ref()?;
        let hosts: Vec<_> = site.hosts.iter().map(|(host, _)| host).collect();
        let calls: Vec<_> = site.calls.iter().map(|call| &call.kind).collect();
        let identity = Identity { dir: dir.into(), said: format!("{hosts:?} {allow:?} {limit:?} {calls:?}") };
        let mut known = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Some(known.get(&identity).unwrap_or_else(|| {
            let cache = |lasts| Cache::builder().max_capacity(NAMES).time_to_live(lasts).build();
            let made = Arc::new(Gate {
                allowed: cache(ALLOWED),
                denied: cache(DENIED),
                new: limit.map(|(count, per_ms)| Rate::new(count, per_ms, count)),
                asked: Rate::new(A_SECOND, 1_000, A_SECOND),
                bucket: Secret::default().digest_of(|hasher| hasher.write_u8(0)),
                sources: Arc::clone(&self.sources),
                flights: Mutex::default(),
            });
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

    /// Takes a name for allowed, unless it was refused of late.
    pub(super) fn vouches(&self, name: &str) -> bool {
        let vouched = !self.denied.contains_key(name);
        if vouched {
            self.allowed.insert(name.into(), ());
        }
        vouched
    }

    /// A name is not allowed, whatever was known of it.
    fn deny(&self, name: &str) {
        self.denied.insert(name.into(), ());
        self.allowed.invalidate(name);
    }

    fn known(&self, name: &str) -> Option<bool> {
        // Asking keeps it: a name that is used is not the one that is forgotten.
        match (self.allowed.get(name), self.denied.get(name)) {
            (Some(()), _) => Some(true),
            (None, Some(())) => Some(false),
            (None, None) => None,
        }
    }

    /// Whether the site's `limit` has room for one more name.
    fn has_room(&self) -> bool {
        self.new.as_ref().is_none_or(|rate| rate.admits(self.bucket))
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

    /// Whether a name is being decided about: who asks for it too joins in, and costs nothing.
    fn is_decided_about(&self, name: &str) -> bool {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
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

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gates").finish_non_exhaustive()
    }
}
