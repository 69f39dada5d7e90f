//! Looking at files: who came, went or changed, and who is compiled for it.

use super::{Batch, Install, Job, Loader, Tests, Unit, Why, tests_by};
use crate::sites::compile::{GATEWAY, Source, compile, for_each};
use crate::sites::digest::Digest;
use crate::sites::report::{Event, Refused};
use crate::sites::store::Change;
use dsl::syntax::span::{FileId, Loc, Span};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A file that was read, and why it is compiled.
type Read = (Why, FileId, Arc<Path>, Digest, Arc<str>);

impl<I: Install> Loader<I> {
    pub(super) fn gone(&mut self, path: &Path, batch: &mut Batch) {
        let Some(file) = self.ids.get(path) else { return };
        self.note_replaced(file, batch);
        let Some(unit) = self.units.remove(&file) else { return };
        self.serving.drop(file);
        batch.freed.extend(self.claims.held(file).iter().chain(self.claims.refused_for(file)).cloned());
        self.claims.release(file);
        for (claim, _) in unit.good.iter().flat_map(|g| &g.claims) {
            batch.moved.insert(Arc::clone(&claim.key), claim.what.clone());
        }
        batch.gateway |= unit.good.as_ref().is_some_and(|g| g.gateway.is_some());
        self.open(file, &unit.shut, batch);
        self.forget_asked(file, &unit.asked);
        self.forget_rows(file, unit.rows.keys());
        self.ids.remove(file);
        self.waiting.remove(&file);
        self.certless.remove(&file);
        self.of_countries.remove(&file);
        self.failing.remove(&file);
        self.disproved.remove(&file);
        if *path == *Path::new(GATEWAY) {
            self.directed = false;
            self.tests = if self.tests == Tests::Kept { Tests::Kept } else { Tests::Decide };
            self.hold_default_ports();
            self.adopt_tenants(Vec::new(), batch);
        }
        let was_module = self.modules.remove(&file).is_some();
        batch.changes.push(Change::Gone(Arc::clone(&unit.path)));
        batch.events.insert(self.places.show(&unit.path), Event::Removed);
        if was_module {
            for importer in self.importers.get(path).cloned().unwrap_or_default() {
                self.queue(importer, Why::Importer, batch);
            }
        }
    }

    pub(super) fn read(&mut self, present: &[Arc<Path>], batch: &mut Batch) {
        let places = &self.places;
        let read = for_each(present, |path| places.read(path));
        let mut sources = Vec::new();
        for (path, read) in present.iter().zip(read) {
            match read {
                Ok(read) => {
                    let file = self.ids.add(path);
                    let unit = self.unit(file, path);
                    let before = unit.disk.replace((read.stamp, read.digest));
                    if before.is_some_and(|(_, digest)| digest == read.digest) {
                        continue;
                    }
                    let why = if unit.good.is_none() && before.is_none() { Why::New } else { Why::Changed };
                    sources.push((why, file, Arc::clone(path), read.digest, read.text));
                }
                // It went while we looked.
                Err(e) if e.kind() == io::ErrorKind::NotFound && !self.exists(path) => self.gone(path, batch),
                Err(e) => self.unreadable(path, &e, batch),
            }
        }
        // Parsed and compiled in one go where that can be, so that few trees are in memory at once.
        // It says whether tests decide, and whose files are whose.
        let gateway = sources.iter().position(|(_, _, path, ..)| **path == *Path::new(GATEWAY));
        let parse =
            |(_, file, path, digest, text): &Read| Source::parse(*file, Arc::clone(path), *digest, Arc::clone(text));
        let first = gateway.map(|at| {
            let source = parse(&sources[at]);
            let (ids, modules, places) = (&self.ids, &self.modules, &self.places);
            match source.imports.is_empty() {
                true => {
                    let compiled = compile(&source, ids, modules, places, &[]);
                    (source.without_tree(), Some(compiled))
                }
                false => (source, None),
            }
        });
        match first.as_ref().map(|(_, compiled)| compiled.as_ref()) {
            Some(Some(compiled)) if compiled.sound() => self.adopt_tenants(compiled.tenants.clone(), batch),
            Some(Some(_)) => self.recall_tenants(batch),
            // It waits for what it imports, and the others for it.
            Some(None) => {}
            None if self.tenants.is_empty() => self.recall_tenants(batch),
            None => {}
        }
        let wait = first.as_ref().is_some_and(|(_, compiled)| compiled.is_none());
        let (ids, modules, places, tenants) = (&self.ids, &self.modules, &self.places, &self.tenants);
        let alone = |read: &Read, decide: bool| {
            let source = parse(read);
            let bound = source.path.to_str().is_some_and(|path| tenants.iter().any(|tenant| tenant.has(path)));
            if source.imports.is_empty() && !wait && !bound {
                let mut compiled = compile(&source, ids, modules, places, tenants);
                if decide {
                    compiled.test(places);
                }
                (source.without_tree(), Some(compiled))
            } else {
                (source, None)
            }
        };
        let tests = first.as_ref().and_then(|(_, compiled)| tests_by(compiled.as_ref()?));
        let tests = tests.filter(|_| self.tests != Tests::Kept).unwrap_or(self.tests);
        let decide = tests == Tests::Decide;
        let first = first.map(|(source, mut compiled)| {
            compiled.iter_mut().filter(|_| decide).for_each(|compiled| compiled.test(places));
            (source, compiled)
        });
        let others: Vec<_> = sources.iter().enumerate().filter(|(n, _)| Some(*n) != gateway).map(|(_, s)| s).collect();
        let parsed = for_each(&others, |source| alone(source, decide));
        let gateway = gateway.map(|at| &sources[at]);
        let parsed = gateway.into_iter().zip(first).chain(others.into_iter().zip(parsed));
        for ((why, file, ..), (source, early)) in parsed {
            batch.jobs.insert(*file, Job { source, why: *why, early });
        }
        self.decide_by(tests, batch);
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(self.places.root.join(path)).is_ok()
    }

    /// A file that is there and cannot be read is broken, not deleted.
    pub(super) fn unreadable(&mut self, path: &Arc<Path>, error: &io::Error, batch: &mut Batch) {
        let file = self.ids.add(path);
        let shown = self.places.show(path);
        let loc = Loc { file, span: Span::default() };
        let finding = dsl::lint::files::unreadable(loc, &error.to_string());
        let why = Refused { place: shown.clone(), code: finding.code, message: finding.message.clone() };
        let unit = self.unit(file, path);
        if unit.refused.as_ref() == Some(&why) {
            return;
        }
        unit.disk = None;
        batch.report.texts.insert(file, shown.clone(), "".into());
        batch.findings.insert(Arc::clone(path), vec![finding]);
        self.refuse(file, &[], why, batch);
    }

    pub(super) fn unit(&mut self, file: FileId, path: &Arc<Path>) -> &mut Unit<I> {
        self.units.entry(file).or_insert_with(|| Unit {
            path: Arc::clone(path),
            disk: None,
            good: None,
            stored: None,
            refused: None,
            asked: Vec::new(),
            rows: super::rows::Known::new(),
            shut: Vec::new(),
            waits_for: Vec::new(),
        })
    }

    /// Compiles a file again although it did not change.
    pub(super) fn queue(&mut self, file: FileId, why: Why, batch: &mut Batch) {
        if batch.jobs.contains_key(&file) {
            return;
        }
        if let Some(done) = batch.done.remove(&file) {
            batch.jobs.insert(file, done.job);
            return;
        }
        let Some(unit) = self.units.get_mut(&file) else { return };
        // If it changed this very moment, its own event follows; what is there now counts.
        let Ok(read) = self.places.read(&unit.path) else { return };
        let same = unit.disk.replace((read.stamp, read.digest)).is_some_and(|(_, digest)| digest == read.digest);
        let source = Source::parse(file, Arc::clone(&unit.path), read.digest, read.text);
        batch.jobs.insert(file, Job { source, why: if same { why } else { Why::Changed }, early: None });
    }
}
