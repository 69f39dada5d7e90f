//! What a batch changed in behaviour, for the console: worked out after it was published.

use super::{Batch, Good, Install, Loader};
use crate::sites::compile::GATEWAY;
use dsl::reach::Carried;
use dsl::reach::plan::{self, Difference, Home, Version};
use dsl::syntax::span::FileId;
use dsl::tree::{Program, ir};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// More changed files than these are not compared at a reload.
const MOST_FILES: usize = 64;
/// With more files than these the changed ones are compared alone.
const MOST_SITES: usize = 512;
/// Steps that a comparison at a reload may take: a second or two of the control plane's time.
const BUDGET: u64 = 2_000_000;

/// What served before a batch, of the files that it touched; `None` for what was not there.
#[derive(Debug, Default)]
pub struct Replaced(BTreeMap<FileId, (Arc<Path>, Option<Before>)>);

/// A version of a file.
#[derive(Debug)]
struct Before {
    programs: Vec<Arc<Program>>,
    carried: Vec<Carried>,
    gateway: Option<Arc<ir::Gateway>>,
    tenants: Vec<Arc<ir::Tenant>>,
}

impl Replaced {
    /// Notes what served of a file, once in a batch.
    pub(super) fn note<I: Install>(&mut self, file: FileId, path: &Arc<Path>, good: Option<&Good<I>>) {
        self.0.entry(file).or_insert_with(|| {
            let before = good.map(|good| Before {
                programs: good.programs.clone(),
                carried: good.carried.clone(),
                gateway: good.gateway.clone(),
                tenants: good.tenants.clone(),
            });
            (Arc::clone(path), before)
        });
    }
}

impl<I: Install> Loader<I> {
    /// Notes what a file served before it is replaced.
    pub(super) fn note_replaced(&self, file: FileId, batch: &mut Batch) {
        if let Some(unit) = self.units.get(&file) {
            batch.report.replaced.note(file, &unit.path, unit.good.as_ref());
        }
    }

    /// Where a file's sites stand: its folder, and whose it is.
    pub fn home(&self, path: &Path) -> Home {
        let dir = path.parent().unwrap_or(Path::new("")).display().to_string().into();
        Home { dir, tenant: self.tenant(path).map(|tenant| Arc::clone(&tenant.name)) }
    }

    /// Which requests are treated otherwise since a batch. `None` where nothing was replaced, or too much
    /// to compare: `sluice plan` does that.
    pub fn difference(&self, replaced: &Replaced) -> Option<Difference> {
        let changed = &replaced.0;
        if changed.is_empty() || changed.len() > MOST_FILES {
            return None;
        }
        let whole = self.units.len() <= MOST_SITES;
        let mut old = Version::default();
        let mut new = Version::default();
        let mut gateways = (None, None);
        for (file, unit) in &self.units {
            let Some(good) = &unit.good else { continue };
            if changed.contains_key(file) || whole {
                add(&mut new, &self.home(&unit.path), &good.programs, &good.carried);
            }
            if !changed.contains_key(file) && whole {
                add(&mut old, &self.home(&unit.path), &good.programs, &good.carried);
            }
            if *unit.path == *Path::new(GATEWAY) {
                gateways.1.clone_from(&good.gateway);
                new.tenants.clone_from(&good.tenants);
                if !changed.contains_key(file) {
                    gateways.0.clone_from(&good.gateway);
                    old.tenants.clone_from(&good.tenants);
                }
            }
        }
        for (path, before) in changed.values() {
            let Some(before) = before else { continue };
            add(&mut old, &self.home(path), &before.programs, &before.carried);
            if **path == *Path::new(GATEWAY) {
                gateways.0.clone_from(&before.gateway);
                old.tenants.clone_from(&before.tenants);
            }
        }
        old.gateway = Some(gateways.0.unwrap_or_default());
        new.gateway = Some(gateways.1.unwrap_or_default());
        let mut found = plan::difference(&old, &new, BUDGET);
        if !whole {
            // Who answers instead for a host that came or went is another file's matter.
            found.changes.retain(|change| ![&change.before, &change.after].contains(&&plan::NOBODY.to_owned()));
        }
        Some(found)
    }
}

fn add(version: &mut Version, home: &Home, programs: &[Arc<Program>], carried: &[Carried]) {
    version.sites.extend(programs.iter().map(|program| (Arc::clone(program), home.clone())));
    version.carried.extend(carried.iter().map(|item| (item.clone(), home.clone())));
}
