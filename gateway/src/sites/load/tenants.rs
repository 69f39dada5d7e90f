//! Tenants: whose files these are now, what nobody else answers for them, and how much they have.

use super::{Batch, Install, Loader, Why};
use crate::sites::claims::{Key, What, key};
use crate::sites::compile::{Compiled, GATEWAY};
use crate::sites::digest::Digest;
use dsl::lint;
use dsl::region::Algebra;
use dsl::syntax::span::{FileId, Loc, Span};
use dsl::tree::ir::{HostPattern, Tenant};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What rows are called where there are too many.
pub(super) const ROWS: &str = "rows of tables";

/// How much a file comes to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Amount {
    pub(super) routes: u64,
    pub(super) rows: u64,
    pub(super) states: u64,
}

impl Amount {
    /// Of what was compiled. States are counted where somebody bounds them.
    pub(super) fn of(compiled: &Compiled, states: bool) -> Self {
        let sites = compiled.programs.iter().map(|program| program.site());
        Self {
            routes: sites.clone().map(|site| site.routes() as u64).sum(),
            rows: compiled.tables.iter().map(|(_, table)| table.rows().len() as u64).sum(),
            states: if states { sites.map(|site| site.states() as u64).sum() } else { 0 },
        }
    }
}

impl<I: Install> Loader<I> {
    /// Whose a file is.
    pub(super) fn tenant(&self, path: &Path) -> Option<&Arc<Tenant>> {
        let path = path.to_str()?;
        self.tenants.iter().find(|tenant| path != GATEWAY && tenant.has(path))
    }

    /// Whose files are whose.
    pub fn tenants(&self) -> &[Arc<Tenant>] {
        &self.tenants
    }

    /// The tenants that gateway.route has in force, where nothing newer was said.
    pub(super) fn recall_tenants(&mut self, batch: &mut Batch) {
        let Some(file) = self.ids.get(Path::new(GATEWAY)) else { return };
        self.stored(file);
        let good = self.units.get(&file).and_then(|unit| unit.good.as_ref());
        if let Some(tenants) = good.map(|good| good.tenants.clone()) {
            self.adopt_tenants(tenants, batch);
        }
    }

    /// Takes over what gateway.route says of tenants. Their files are compiled again: what they may do may
    /// have changed.
    pub(super) fn adopt_tenants(&mut self, tenants: Vec<Arc<Tenant>>, batch: &mut Batch) {
        let same = |a: &Tenant, b: &Tenant| a.means(b);
        if self.tenants.len() == tenants.len() && self.tenants.iter().zip(&tenants).all(|(a, b)| same(a, b)) {
            self.tenants = tenants;
            return;
        }
        let before: BTreeSet<FileId> = self.files_of_tenants();
        self.tenants = tenants;
        let touched: BTreeSet<FileId> = before.into_iter().chain(self.files_of_tenants()).collect();
        batch.rebound.extend(&touched);
        for file in touched {
            if !batch.settled.contains(&file) {
                self.queue(file, Why::Importer, batch);
            }
        }
        for (key, pattern) in std::mem::take(&mut self.barriers) {
            batch.moved.insert(key, What::Host(pattern));
        }
        self.barriers = barriers(&self.tenants);
        for (key, pattern) in &self.barriers {
            batch.moved.insert(Arc::clone(key), What::Host(pattern.clone()));
        }
    }

    fn files_of_tenants(&self) -> BTreeSet<FileId> {
        let units = self.units.iter().filter(|(_, unit)| self.tenant(&unit.path).is_some());
        units.map(|(file, _)| *file).collect()
    }

    /// A last good version of before the tenants changed serves on only if it may; that of `sound`, which was
    /// compiled since, may.
    pub(super) fn recheck(&mut self, file: FileId, sound: Option<Digest>, batch: &mut Batch) {
        self.stored(file);
        let Some(unit) = self.units.get(&file) else { return };
        let Some(good) = unit.good.as_ref().filter(|good| sound != Some(good.digest)) else { return };
        let (path, version) = (Arc::clone(&unit.path), Arc::clone(&good.version));
        if self.compile_stored(file, &path, &version).is_some() {
            return;
        }
        let Some(good) = self.units.get_mut(&file).and_then(|unit| unit.good.take()) else { return };
        self.serving.drop(file);
        for (claim, _) in &good.claims {
            batch.moved.insert(Arc::clone(&claim.key), claim.what.clone());
        }
        batch.freed.extend(self.claims.held(file).iter().cloned());
        self.claims.release(file);
        batch.changes.push(crate::sites::store::Change::Gone(path));
    }

    /// G8006 for the tenants whose files were compiled.
    pub(super) fn quotas(&self, batch: &mut Batch) {
        let mut told: BTreeMap<Arc<str>, FileId> = BTreeMap::new();
        for file in &batch.settled {
            let Some(unit) = self.units.get(file).filter(|unit| unit.good.is_some()) else { continue };
            if let Some(tenant) = self.tenant(&unit.path) {
                told.insert(Arc::clone(&tenant.name), *file);
            }
        }
        for (name, file) in told {
            let Some(tenant) = self.tenants.iter().find(|tenant| tenant.name == name) else { continue };
            let loc = Loc { file, span: Span::default() };
            let found: Vec<_> = self
                .over(tenant)
                .into_iter()
                .map(|(what, has, quota)| lint::files::over(loc, &name, what, has, quota))
                .collect();
            if let (Some(path), false) = (self.ids.path(file), found.is_empty()) {
                batch.findings.entry(Arc::clone(path)).or_default().extend(found);
            }
        }
    }

    /// What a tenant has too much of: what, how much, and what it may have.
    pub(super) fn over(&self, tenant: &Tenant) -> Vec<(&'static str, u64, u64)> {
        let mut sum = Amount::default();
        for unit in self.units.values().filter(|unit| self.tenant(&unit.path).is_some_and(|t| t.name == tenant.name)) {
            let Some(good) = &unit.good else { continue };
            sum.routes += good.amount.routes;
            sum.states += good.amount.states;
            sum.rows += good.tables.iter().map(|(_, table)| table.rows().len() as u64).sum::<u64>();
        }
        let quota = &tenant.quota;
        let all = [
            ("routes", sum.routes, quota.routes),
            (ROWS, sum.rows, quota.rows),
            ("states of regular expressions", sum.states, quota.states),
        ];
        all.into_iter()
            .filter_map(|(what, has, most)| most.filter(|most| has > *most).map(|most| (what, has, most)))
            .collect()
    }
}

/// The hosts of owners that lie within what another tenant owns: where they serve nothing, nobody does
/// (LANGUAGE rule 28).
fn barriers(tenants: &[Arc<Tenant>]) -> Vec<(Key, HostPattern)> {
    let mut algebra = Algebra::hosts();
    let mut out = Vec::new();
    for tenant in tenants {
        for (pattern, _) in &tenant.owns {
            let others = tenants.iter().filter(|other| other.name != tenant.name);
            let mut wider = others.flat_map(|other| &other.owns);
            if wider.any(|(theirs, _)| algebra.host_inside(pattern, theirs) == Ok(true)) {
                out.push((key(pattern), pattern.clone()));
            }
        }
    }
    out
}
