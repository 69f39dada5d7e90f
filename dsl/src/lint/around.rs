//! Which sites have to do with each other, so that one that comes is looked at beside those alone.
//!
//! A site's *traces* are what findings across sites go by: the servers that it dials, and how its ways
//! there are kept. They are worked out once a site and kept by servers, so that what a site brings costs
//! what it touches, not what there is.

use super::across::{Reached, reached_by};
use super::{g2011, g3003, g3018};
use crate::diagnostic::Diagnostic;
use crate::reach::pool::Endpoint;
use crate::reach::{PoolKey, Sites};
use crate::syntax::span::FileId;
use crate::tree::Program;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Sites that a new one is looked at beside, for each thing that it is the first to do.
const MOST: usize = 16;

/// What findings across sites go by, of one site.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// The pools that it dials, by their endpoints.
    pools: BTreeMap<BTreeSet<Endpoint>, Ways>,
    /// The headers by which it tells endpoints who a client is.
    tells: BTreeMap<Endpoint, BTreeSet<Arc<str>>>,
}

/// How the ways of a site to a pool are kept.
#[derive(Clone, Copy, Debug)]
struct Ways {
    /// All of them ask who it is.
    kept: bool,
    /// One of them asks nothing.
    open: bool,
}

impl Traces {
    /// Of a site.
    #[must_use]
    pub fn of(program: &Program) -> Self {
        let mut traces = Self::default();
        for way in reached_by(0, program.site()) {
            let key = PoolKey::of(way.pool());
            for (name, _) in g3018::told(&way) {
                for endpoint in &key.endpoints {
                    traces.tells.entry(endpoint.clone()).or_default().insert(Arc::clone(&name));
                }
            }
            let ways = traces.pools.entry(key.endpoints).or_insert(Ways { kept: true, open: false });
            ways.kept &= g3003::protector(&way).is_some();
            ways.open |= g3003::open(&way);
        }
        traces
    }

    fn endpoints(&self) -> BTreeSet<&Endpoint> {
        self.pools.keys().flatten().collect()
    }
}

/// The traces of any number of sites, by what they dial.
#[derive(Debug, Default)]
pub struct Around {
    of: HashMap<usize, Arc<Traces>>,
    pools: HashMap<BTreeSet<Endpoint>, Group>,
    endpoints: HashMap<Endpoint, Dialled>,
}

/// The sites that dial a pool.
#[derive(Debug, Default)]
struct Group {
    kept: BTreeSet<usize>,
    open: BTreeSet<usize>,
}

/// The sites that dial an endpoint.
#[derive(Debug, Default)]
struct Dialled {
    by: BTreeSet<usize>,
    /// Those that tell it who a client is, by the header.
    telling: BTreeMap<Arc<str>, BTreeSet<usize>>,
}

impl Around {
    /// A site is there, at a place of [`Sites`].
    pub fn put(&mut self, at: usize, traces: Arc<Traces>) {
        self.drop(at);
        for (pool, ways) in &traces.pools {
            let group = self.pools.entry(pool.clone()).or_default();
            if ways.kept {
                group.kept.insert(at);
            }
            if ways.open {
                group.open.insert(at);
            }
        }
        for endpoint in traces.endpoints() {
            self.endpoints.entry(endpoint.clone()).or_default().by.insert(at);
        }
        for (endpoint, names) in &traces.tells {
            let dialled = self.endpoints.entry(endpoint.clone()).or_default();
            for name in names {
                dialled.telling.entry(Arc::clone(name)).or_default().insert(at);
            }
        }
        self.of.insert(at, traces);
    }

    /// A site is gone.
    pub fn drop(&mut self, at: usize) {
        let Some(traces) = self.of.remove(&at) else { return };
        for pool in traces.pools.keys() {
            let Some(group) = self.pools.get_mut(pool) else { continue };
            group.kept.remove(&at);
            group.open.remove(&at);
            if group.kept.is_empty() && group.open.is_empty() {
                self.pools.remove(pool);
            }
        }
        for endpoint in traces.endpoints() {
            let Some(dialled) = self.endpoints.get_mut(endpoint) else { continue };
            dialled.by.remove(&at);
            dialled.telling.retain(|_, by| {
                by.remove(&at);
                !by.is_empty()
            });
            if dialled.by.is_empty() {
                self.endpoints.remove(endpoint);
            }
        }
    }

    /// The sites beside which a new one is to be looked at, of those that stand: where it is the first to keep
    /// a pool or to tell a header, the ones that do not, and where another is, that one.
    pub fn beside(&self, new: &Traces, stands: &dyn Fn(usize) -> bool, out: &mut BTreeSet<usize>) {
        let stand = |at: &&usize| stands(**at);
        for (pool, ways) in &new.pools {
            let Some(group) = self.pools.get(pool) else { continue };
            if ways.open {
                out.extend(group.kept.iter().find(stand));
            }
            // Where another keeps it, what is open was said of that one.
            if ways.kept && !group.kept.iter().any(|at| stands(*at)) {
                out.extend(group.open.iter().filter(stand).take(MOST));
            }
        }
        for endpoint in new.endpoints() {
            let Some(dialled) = self.endpoints.get(endpoint) else { continue };
            out.extend(dialled.telling.values().filter_map(|by| by.iter().find(stand)));
            let told = |by: &BTreeSet<usize>| by.iter().any(|at| stands(*at));
            let first = |name: &Arc<str>| !dialled.telling.get(name).is_some_and(told);
            if new.tells.get(endpoint).is_some_and(|names| names.iter().any(first)) {
                out.extend(dialled.by.iter().filter(stand).take(MOST));
            }
        }
    }
}

/// The redirect loops that new sites close with others: an error for each of their lines that leads into
/// one, none for loops that are there without them.
#[must_use]
pub fn loops(sites: &Sites, new: &[usize]) -> Vec<Diagnostic> {
    g2011::closed_by(sites, new)
}

/// What is found of new sites and some others beside each other (G3003, G3018), that none of the files
/// shows alone.
#[must_use]
pub fn beside(sites: &Sites, new: &[usize], others: &BTreeSet<usize>) -> Vec<Diagnostic> {
    let places: Vec<usize> = new.iter().chain(others).copied().collect();
    let ways: Vec<Reached<'_>> =
        places.iter().filter_map(|at| Some(reached_by(*at, sites.get(*at)?.site()))).flatten().collect();
    let mut out = Vec::new();
    g3003::run(sites, &ways, &mut out);
    g3018::run(sites, &ways, &mut out);
    let files: BTreeSet<FileId> = new.iter().filter_map(|at| Some(sites.get(*at)?.site().loc.file)).collect();
    // What the file shows by itself was said of it, and what others show beside each other, of them.
    let mixed = |d: &Diagnostic| {
        let ours = |file| files.contains(&file);
        let all: Vec<bool> = std::iter::once(d.primary.loc)
            .chain(d.labels.iter().map(|label| label.loc))
            .map(|loc| ours(loc.file))
            .collect();
        all.contains(&true) && all.contains(&false)
    };
    out.retain(mixed);
    out
}
