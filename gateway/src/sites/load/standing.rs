//! What stands when a batch is through: last good versions, hosts that are shut, what serves.

use super::{Batch, Good, Install, Loader, Outcome, OutcomeOf, Stand};
use crate::sites::claims::{Key, What};
use crate::sites::compile::{Claim, Compiled, GATEWAY, Module, ModuleTable, Source, compile};
use crate::sites::store::{Change, Version};
use dsl::diagnostic::Diagnostic;
use dsl::syntax::span::FileId;
use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

impl<I: Install> Loader<I> {
    /// Compiles the version that served before this process started, if there is one.
    pub(super) fn stored(&mut self, file: FileId) {
        let Some(unit) = self.units.get_mut(&file) else { return };
        let Some(version) = unit.stored.take() else { return };
        let path = Arc::clone(&unit.path);
        match self.compile_stored(file, &path, &version) {
            Some((source, compiled)) => {
                let good = self.good(&source, compiled);
                if let Some(unit) = self.units.get_mut(&file) {
                    self.serving.put(file, &good.programs, &good.traces, !good.proofs.is_empty());
                    unit.good = Some(good);
                }
            }
            // It may not serve any more: its hosts are free, and it is forgotten.
            None => {
                self.claims.release(file);
                self.keep(vec![Change::Gone(path)]);
            }
        }
    }

    pub(super) fn compile_stored(
        &mut self,
        file: FileId,
        path: &Arc<Path>,
        version: &Version,
    ) -> Option<(Source, Compiled)> {
        let store = self.store.as_ref()?;
        let source = Source::parse(file, Arc::clone(path), version.digest, store.text(version.digest)?);
        let mut modules = ModuleTable::new();
        for (path, digest) in &version.imports {
            let text = store.text(*digest)?;
            if super::rows::is_rows(path) {
                modules.insert(self.ids.rows(path), Module::Rows(*digest, text));
                continue;
            }
            let module = self.ids.add(path);
            modules.insert(module, Module::Ready(Source::parse(module, Arc::clone(path), *digest, text)));
        }
        let compiled = compile(&source, &self.ids, &modules, &self.places, &self.tenants);
        // It serves what it held, no more: another file may have come since.
        let held = self.claims.held(file);
        let holds = compiled.claims.iter().all(|claim| held.contains(&claim.key));
        (compiled.sound() && holds).then_some((source, compiled))
    }

    /// Hosts of a file that never loaded answer 503.
    pub(super) fn shut(&mut self, file: FileId, claims: &[Claim], batch: &mut Batch) {
        let mut shut = Vec::new();
        for claim in claims {
            let What::Host(pattern) = &claim.what else { continue };
            let entry = self.unavailable.entry(Arc::clone(&claim.key));
            entry.or_insert_with(|| (pattern.clone(), BTreeSet::new())).1.insert(file);
            batch.moved.insert(Arc::clone(&claim.key), claim.what.clone());
            shut.push(Arc::clone(&claim.key));
        }
        if let Some(unit) = self.units.get_mut(&file) {
            unit.shut = shut;
        }
    }

    /// They do not any more.
    pub(super) fn open(&mut self, file: FileId, shut: &[Key], batch: &mut Batch) {
        for key in shut {
            let Some((pattern, files)) = self.unavailable.get_mut(key) else { continue };
            batch.moved.insert(Arc::clone(key), What::Host(pattern.clone()));
            files.remove(&file);
            if files.is_empty() {
                self.unavailable.remove(key);
            }
        }
    }

    pub(super) fn finish(&mut self, batch: Batch) -> OutcomeOf<I> {
        let mut hosts = Vec::new();
        let mut listening = Vec::new();
        let mut default = None;
        for (key, what) in batch.moved {
            match what {
                What::Default => default = Some(self.site(&key)),
                What::Port(port) => {
                    let file = || self.ids.path(self.claims.holder(&key)?).map(|path| self.places.show(path));
                    listening.push((port, self.item(&key).zip(file())));
                }
                What::Host(pattern) => {
                    let site = self.site(&key).map(Stand::Site);
                    let passed = || self.item(&key).map(Stand::Passthrough);
                    let shut = || self.unavailable.contains_key(&key).then_some(Stand::Unavailable);
                    let barred = || self.barriers.iter().any(|(barred, _)| *barred == key).then_some(Stand::Nobody);
                    hosts.push((pattern, site.or_else(passed).or_else(shut).or_else(barred)));
                }
            }
        }
        let gateway = batch.gateway.then(|| {
            let unit = self.ids.get(Path::new(GATEWAY)).and_then(|file| self.units.get(&file));
            unit.and_then(|u| u.good.as_ref()?.gateway.clone()).unwrap_or_default()
        });
        self.keep(batch.changes);
        let mut report = batch.report;
        report.events = batch.events.into_iter().collect();
        let mut said = HashSet::new();
        // A module's error is found by each of its importers.
        let new = |d: &Diagnostic| said.insert((d.primary.loc, d.code, d.message.clone()));
        report.findings = batch.findings.into_values().flatten().filter(new).collect();
        Outcome { hosts, listening, default, gateway, report }
    }

    pub(super) fn held(&self, key: &Key) -> Option<&Good<I>> {
        self.units.get(&self.claims.holder(key)?)?.good.as_ref()
    }

    pub(super) fn site(&self, key: &Key) -> Option<Arc<I::Site>> {
        self.held(key)?.sites.iter().find(|(keys, _)| keys.contains(key)).map(|(_, site)| Arc::clone(site))
    }

    pub(super) fn item(&self, key: &Key) -> Option<Arc<I::Route>> {
        self.held(key)?.items.iter().find(|(keys, _)| keys.contains(key)).map(|(_, item)| Arc::clone(item))
    }
}
