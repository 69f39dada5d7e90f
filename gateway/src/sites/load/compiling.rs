//! Compiling what is queued, and what its files asked for.

use super::{Batch, Done, Install, Job, Loader, Tests, Unit, Why, tests_by};
use crate::sites::compile::{Compiled, GATEWAY, Module, Source, compile, for_each};
use crate::sites::digest::Digest;
use dsl::syntax::span::FileId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl<I: Install> Loader<I> {
    /// Compiles what is queued, modules before who imports them.
    pub(super) fn compile_all(&mut self, batch: &mut Batch) {
        while !batch.jobs.is_empty() {
            // What it says of tenants decides about all others but those that it needs itself.
            let gateway =
                batch.jobs.values().find(|job| *job.source.path == *Path::new(GATEWAY) && job.early.is_none());
            let (bounding, needed) = match gateway {
                Some(job) => (Some(job.source.file), self.needed_by(&job.source, batch)),
                None => (None, BTreeSet::new()),
            };
            let operator = self.ids.get(Path::new(GATEWAY)).filter(|file| batch.jobs.contains_key(file));
            let waits = |job: &Job| {
                let own = job.source.file;
                let mut imports = job.source.imports.iter().filter_map(|path| self.ids.get(path));
                imports.any(|module| module != own && batch.jobs.contains_key(&module))
                    || bounding.is_some_and(|file| file != own && !needed.contains(&own))
                    // Its policies may stand around the sites of the file.
                    || (operator.is_some() && self.tenant(&job.source.path).is_some())
            };
            let mut ready: Vec<FileId> =
                batch.jobs.iter().filter(|(_, job)| !waits(job)).map(|(file, _)| *file).collect();
            if ready.is_empty() {
                // They import each other in a circle: each sees the others as they are, and is told.
                ready = batch.jobs.keys().copied().collect();
                for (file, job) in &batch.jobs {
                    self.modules.insert(*file, Module::Ready(job.source.with_tree()));
                }
            }
            let jobs = ready.iter().filter_map(|file| batch.jobs.remove(file));
            let (mut jobs, late): (Vec<Job>, Vec<Job>) = jobs.partition(|job| job.early.is_some());
            for job in &late {
                self.fetch_modules(&job.source, &batch.done);
            }
            let (ids, modules, places, tenants) = (&self.ids, &self.modules, &self.places, &self.tenants);
            let gateway = late.iter().find(|job| *job.source.path == *Path::new(GATEWAY));
            let said = gateway.and_then(|job| tests_by(&compile(&job.source, ids, modules, places, tenants)));
            let tests = said.filter(|_| self.tests != Tests::Kept).unwrap_or(self.tests);
            let compiled = for_each(&late, |job| {
                let mut compiled = compile(&job.source, ids, modules, places, tenants);
                if tests == Tests::Decide {
                    compiled.test(places);
                }
                compiled
            });
            let early: Vec<Compiled> = jobs.iter_mut().filter_map(|job| job.early.take()).collect();
            jobs.extend(late);
            let mut changed = Vec::new();
            for (mut job, compiled) in jobs.into_iter().zip(early.into_iter().chain(compiled)) {
                let file = job.source.file;
                self.remember_asked(file, &compiled);
                self.remember_rows(file, &compiled);
                if self.now_in_force(&job.source, compiled.sound()) {
                    changed.push(Arc::clone(&job.source.path));
                }
                job.source = job.source.without_tree();
                batch.done.insert(file, Done { job, compiled });
            }
            self.decide_by(tests, batch);
            self.bound(batch);
            for path in changed {
                for importer in self.importers.get(&*path).cloned().unwrap_or_default() {
                    self.queue(importer, Why::Importer, batch);
                }
            }
        }
    }

    /// The files in hand that a file imports, and those that they import.
    fn needed_by(&self, source: &Source, batch: &Batch) -> BTreeSet<FileId> {
        let mut needed = BTreeSet::new();
        let mut ahead = source.imports.clone();
        while let Some(path) = ahead.pop() {
            let Some(job) = self.ids.get(&path).and_then(|file| batch.jobs.get(&file)) else { continue };
            if needed.insert(job.source.file) {
                ahead.extend(job.source.imports.iter().cloned());
            }
        }
        needed
    }

    /// Takes over what a gateway.route that was compiled says of tenants.
    fn bound(&mut self, batch: &mut Batch) {
        let Some(file) = self.ids.get(Path::new(GATEWAY)) else { return };
        let Some(done) = batch.done.get(&file) else { return };
        if done.compiled.sound() {
            let tenants = done.compiled.tenants.clone();
            self.adopt_tenants(tenants, batch);
        } else {
            self.recall_tenants(batch);
        }
    }

    /// Makes the modules of a file known, and theirs.
    pub(super) fn fetch_modules(&mut self, source: &Source, done: &BTreeMap<FileId, Done>) {
        let mut ahead = source.imports.clone();
        // Its policies may stand around the file's sites.
        ahead.extend(self.tenant(&source.path).map(|_| PathBuf::from(GATEWAY)));
        while let Some(path) = ahead.pop() {
            let Some(file) = self.ids.get(&path) else { continue };
            if self.modules.contains_key(&file) || !self.units.contains_key(&file) {
                continue;
            }
            // What was compiled in this batch is in force already; it may be a file's first version.
            let new = done.get(&file).filter(|d| d.compiled.sound()).map(|d| d.job.source.with_tree());
            if new.is_none() {
                self.stored(file);
            }
            let module = new.or_else(|| self.in_force(file)).map_or(Module::Broken, Module::Ready);
            if let Module::Ready(source) = &module {
                ahead.extend(source.imports.iter().cloned());
            }
            self.modules.insert(file, module);
        }
    }

    /// The version of a file that serves.
    pub(super) fn in_force(&self, file: FileId) -> Option<Source> {
        let unit = self.units.get(&file)?;
        let digest = unit.good.as_ref()?.digest;
        let text = self.text(unit, digest)?;
        Some(Source::parse(file, Arc::clone(&unit.path), digest, text))
    }

    /// A version's text, from the file if it is still there, else from the store.
    pub(super) fn text(&self, unit: &Unit<I>, digest: Digest) -> Option<Arc<str>> {
        let disk = || self.places.read(&unit.path).ok().filter(|t| t.digest == digest).map(|t| t.text);
        disk().or_else(|| self.store.as_ref()?.text(digest))
    }

    /// Notes which version importers get; whether that changed for anybody.
    pub(super) fn now_in_force(&mut self, source: &Source, sound: bool) -> bool {
        let imported = self.importers.contains_key(&*source.path);
        let known = self.modules.get(&source.file);
        if !imported && known.is_none() {
            return false;
        }
        let before = match known {
            Some(Module::Ready(before)) => Some(before.digest),
            Some(Module::Broken | Module::Rows(..)) | None => None,
        };
        let module = if sound {
            Module::Ready(source.with_tree())
        } else {
            self.stored(source.file);
            self.in_force(source.file).map_or(Module::Broken, Module::Ready)
        };
        let after = match &module {
            Module::Ready(after) => Some(after.digest),
            Module::Broken | Module::Rows(..) => None,
        };
        self.modules.insert(source.file, module);
        before != after && imported
    }

    pub(super) fn remember_asked(&mut self, file: FileId, compiled: &Compiled) {
        let asked: Vec<PathBuf> = compiled.asked.keys().cloned().collect();
        let Some(unit) = self.units.get_mut(&file) else { return };
        if unit.asked == asked {
            return;
        }
        let before = std::mem::replace(&mut unit.asked, asked.clone());
        self.forget_asked(file, &before);
        for path in asked {
            self.importers.entry(path).or_default().insert(file);
        }
    }

    pub(super) fn forget_asked(&mut self, file: FileId, asked: &[PathBuf]) {
        for path in asked {
            let Some(importers) = self.importers.get_mut(path) else { continue };
            importers.remove(&file);
            if importers.is_empty() {
                self.importers.remove(path);
                // Nobody imports it: its tree is not kept.
                if let Some(module) = self.ids.get(path) {
                    self.modules.remove(&module);
                }
            }
        }
    }
}
