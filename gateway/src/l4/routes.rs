//! Routes by identity: what means the same is the same, across reloads and files.

use super::{Counts, LimitTable, Route};
use crate::sites::item::Item;
use crate::upstream::PoolHandle;
use dsl::syntax::span::{FileId, Loc, Span};
use dsl::tree::l4::{Rules, Step};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Interns routes. One per process; asked by the control plane only.
pub struct Routes {
    workers: usize,
    table: Mutex<Table>,
    limits: LimitTable,
}

struct Table {
    known: HashMap<Arc<str>, Known>,
    sweep_at: usize,
}

/// The newest route of a name.
struct Known {
    route: Weak<Route>,
    /// What it says, without what does not matter.
    meaning: Rules,
    /// Older routes of the name, whose connections go on, count here too.
    counts: Weak<Counts>,
}

/// Fewer are not worth a sweep.
const FEW: usize = 64;

impl Routes {
    /// An empty table, for so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            table: Mutex::new(Table { known: HashMap::new(), sweep_at: FEW }),
            limits: LimitTable::default(),
        }
    }

    /// The route of an item: the same one for as long as somebody holds it and the item means the same.
    /// Where it is written does not count. One that changed goes on counting where the one before it
    /// did.
    #[must_use]
    pub fn intern(&self, item: &Item, pools: Vec<Arc<PoolHandle>>, dir: &Path) -> Arc<Route> {
        let name: Arc<str> = item.name().into();
        let meaning = meaning(item.rules());
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let known = table.known.get(&name);
        let same = known.filter(|known| known.meaning == meaning).and_then(|known| known.route.upgrade());
        if let Some(route) = same.filter(|route| same_pools(route, &pools)) {
            return route;
        }
        let counts = known.and_then(|known| known.counts.upgrade());
        let counts = counts.unwrap_or_else(|| Arc::new(Counts::new(self.workers)));
        let route = Arc::new(Route {
            name: Arc::clone(&name),
            transport: item.transport(),
            listens: item.listens(),
            limits: self.limits.limits(&name, item.rules(), dir),
            rules: item.rules().clone(),
            pools,
            dir: dir.to_path_buf(),
            counts: Arc::clone(&counts),
        });
        table.add(name, Known { route: Arc::downgrade(&route), meaning, counts: Arc::downgrade(&counts) });
        route
    }

    /// What the limits of these routes have counted.
    #[must_use]
    pub fn limits_counted(&self) -> Vec<crate::limit::Counted> {
        self.limits.counted()
    }

    /// What is served, or has connections still, in the order of the names.
    #[must_use]
    pub fn live(&self) -> Vec<Live> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let live = |(name, known): (&Arc<str>, &Known)| {
            Some(Live { name: Arc::clone(name), counts: known.counts.upgrade()?, route: known.route.upgrade() })
        };
        let mut live: Vec<Live> = table.known.iter().filter_map(live).collect();
        drop(table);
        live.sort_by(|a, b| a.name.cmp(&b.name));
        live
    }
}

/// A name that is counted under.
#[derive(Debug)]
pub struct Live {
    /// `tcp :5432`
    pub name: Arc<str>,
    /// What happened.
    pub counts: Arc<Counts>,
    /// Its newest route, unless only connections of older ones are left.
    pub route: Option<Arc<Route>>,
}

impl Table {
    fn add(&mut self, name: Arc<str>, known: Known) {
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, known| known.counts.strong_count() > 0);
            self.sweep_at = (self.known.len() * 2).max(FEW);
        }
        self.known.insert(name, known);
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("workers", &self.workers).finish_non_exhaustive()
    }
}

/// Pools are the same when they are one object.
fn same_pools(route: &Route, pools: &[Arc<PoolHandle>]) -> bool {
    route.pools.len() == pools.len() && route.pools.iter().zip(pools).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// Without places: they move whenever a line is added above. Of limits it matters which are one, which
/// is the same line.
fn meaning(rules: &Rules) -> Rules {
    let mut meaning = rules.clone();
    // Compared as handles.
    meaning.pools = Vec::new();
    let mut limits: Vec<Loc> = Vec::new();
    for entry in &mut meaning.entries {
        entry.loc = Loc::default();
        for step in &mut entry.steps {
            match step {
                Step::Require { loc, .. } => *loc = Loc::default(),
                Step::Limit(limit) => {
                    let number = limits.iter().position(|loc| *loc == limit.loc).unwrap_or_else(|| {
                        limits.push(limit.loc);
                        limits.len() - 1
                    });
                    let at = u32::try_from(number).unwrap_or(u32::MAX);
                    limit.loc = Loc { file: FileId(0), span: Span { start: at, end: at } };
                }
            }
        }
    }
    meaning
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
