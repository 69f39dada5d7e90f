//! Settling who has a host: what compiled is taken in or refused.

use super::{Batch, Done, Good, Install, Loader, Tests, Why};
use crate::secrets::Secrets;
use crate::sites::claims::{Candidate, Key};
use crate::sites::compile::{Claim, Compiled, GATEWAY, Module, Source};
use crate::sites::digest::Digest;
use crate::sites::item::Item;
use crate::sites::report::{Event, Lines, Refused, Texts, line_of};
use crate::sites::store::{Change, Version};
use crate::sites::{claims, secrets};
use dsl::diagnostic::Diagnostic;
use dsl::lint;
use dsl::syntax::span::FileId;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

impl<I: Install> Loader<I> {
    /// Notes whether tests decide. Files that were refused for theirs are loaded where they do not any more.
    pub(super) fn decide_by(&mut self, tests: Tests, batch: &mut Batch) {
        let before = std::mem::replace(&mut self.tests, tests);
        if before == Tests::Decide && tests == Tests::Off {
            let now = batch.done.iter().filter(|(_, done)| done.compiled.fails_a_test()).map(|(file, _)| *file);
            let mut again = std::mem::take(&mut self.failing);
            again.extend(now);
            for file in again {
                self.queue(file, Why::Waiting, batch);
            }
        }
    }

    /// Decides which compiled files serve, and lets them.
    pub(super) fn settle(&mut self, batch: &mut Batch) {
        let mut done = std::mem::take(&mut batch.done);
        batch.settled.extend(done.keys().copied());
        for (file, done) in &done {
            if done.compiled.fails_a_test() {
                self.failing.insert(*file);
            } else {
                self.failing.remove(file);
            }
        }
        self.find_secrets(&mut done, batch);
        self.find_certificates(&mut done);
        self.find_countries(&mut done, batch);
        self.hold_together(&mut done, batch);
        // What a version of before may not have any more is free before it is decided who gets it.
        for (file, done) in &done {
            let in_hand = done.compiled.sound().then_some(done.job.source.digest);
            if batch.rebound.contains(file) {
                self.recheck(*file, in_hand, batch);
            }
        }
        let mut candidates = Vec::new();
        for (file, done) in &done {
            batch.freed.extend(self.claims.refused_for(*file).iter().cloned());
            let shown = self.places.show(&done.job.source.path);
            batch.report.texts.insert(*file, shown, Arc::clone(&done.job.source.text));
            if done.compiled.sound() {
                let claims = &done.compiled.claims;
                let given_up = |key: &&Key| claims.iter().all(|c| c.key != **key);
                batch.freed.extend(self.claims.held(*file).iter().filter(given_up).cloned());
                let keys = claims.iter().map(|c| (Arc::clone(&c.key), c.what.clone())).collect();
                let first = *done.job.source.path == *Path::new(GATEWAY);
                candidates.push(Candidate { file: *file, keys, first });
            } else {
                self.claims.forgive(*file);
            }
        }
        let verdict = self.claims.decide(&candidates);
        // What was lost to each other is told before anything moves.
        let lost: BTreeMap<FileId, Vec<Diagnostic>> = verdict
            .refused
            .iter()
            .map(|(file, lost)| (*file, self.conflicts(*file, lost, &done, &mut batch.report.texts)))
            .collect();
        let mut changed = false;
        for (file, mut done) in done {
            done.compiled.findings.extend(lost.get(&file).into_iter().flatten().cloned());
            let by_clock = self.by_clock(&done);
            let path = Arc::clone(&done.job.source.path);
            self.module_texts(&done.compiled, batch);
            self.rows_texts(&done.compiled, batch);
            let said = self.said_again(file, &done, batch);
            batch.report.pools.push(std::mem::take(&mut done.compiled.pools));
            let mut findings = done.compiled.findings.clone();
            findings.extend(by_clock);
            batch.findings.insert(Arc::clone(&path), findings);
            if verdict.accepted.contains(&file) {
                self.accept(file, done, batch);
                changed = true;
            } else {
                let why = Refused::by(&done.compiled.findings, &batch.report.texts);
                let why = why.expect("what is refused has an error that says why");
                self.refuse(file, &done.compiled.claims, why, batch);
            }
            if said {
                batch.findings.remove(&path);
                batch.events.remove(&self.places.show(&path));
            }
        }
        if changed {
            self.try_disproved(batch);
        }
    }

    /// Reads secrets from where `gateway.route` says, and refuses the files whose secrets are not there.
    pub(super) fn find_secrets(&mut self, done: &mut BTreeMap<FileId, Done>, batch: &mut Batch) {
        let Some(secrets) = self.secrets.clone() else { return };
        let file = self.ids.get(Path::new(GATEWAY));
        if !self.directed || file.is_some_and(|file| done.contains_key(&file)) {
            self.direct(&secrets, file, done, batch);
        }
        let missing = |done: &Done| secrets::missing(secrets::named(&done.compiled), &secrets);
        if done.values().any(|done| !missing(done).0.is_empty()) {
            // One that was written a moment ago is there.
            batch.report.warnings.extend(secrets.look().words);
        }
        for (file, done) in done.iter_mut() {
            let (names, findings) = missing(done);
            if findings.is_empty() {
                self.waiting.remove(file);
            } else {
                done.compiled.findings.extend(findings);
                done.compiled.refuse();
                self.waiting.insert(*file);
            }
            let weak = secrets::weak(secrets::named(&done.compiled), &secrets);
            done.compiled.findings.extend(weak);
            if let Some(unit) = self.units.get_mut(file) {
                unit.waits_for = names;
            }
        }
        self.queue_for_secrets(batch);
    }

    /// Refuses the files that read countries where `gateway.route` does not say which.
    fn find_countries(&mut self, done: &mut BTreeMap<FileId, Done>, batch: &mut Batch) {
        let gateway = self.ids.get(Path::new(GATEWAY));
        let new = gateway.and_then(|file| done.get(&file)).filter(|done| done.compiled.sound());
        let named = match (new, gateway.and_then(|file| self.units.get(&file))) {
            (Some(done), _) => done.compiled.gateway.as_ref().is_some_and(|gateway| gateway.country.is_some()),
            (None, Some(unit)) => {
                unit.good.as_ref().and_then(|good| good.gateway.as_ref()).is_some_and(|g| g.country.is_some())
            }
            (None, None) => false,
        };
        for (file, done) in done.iter_mut() {
            let Some(loc) = done.compiled.country else {
                self.of_countries.remove(file);
                continue;
            };
            self.of_countries.insert(*file);
            if !named {
                done.compiled.findings.push(lint::files::no_countries(loc));
                done.compiled.refuse();
            }
        }
        if std::mem::replace(&mut self.countries_named, named) != named {
            let others: Vec<FileId> =
                self.of_countries.iter().filter(|file| !done.contains_key(file)).copied().collect();
            for file in others {
                self.queue(file, Why::Waiting, batch);
            }
        }
    }

    /// Whether what serves reads countries, or a file that is refused does.
    pub(crate) fn reads_countries(&self) -> bool {
        let serves = |unit: &super::Unit<I>| unit.good.as_ref().is_some_and(|good| good.of_countries);
        !self.of_countries.is_empty() || self.units.values().any(serves)
    }

    /// Reads secrets from where `gateway.route` says.
    pub(super) fn direct(
        &mut self,
        secrets: &Secrets,
        file: Option<FileId>,
        done: &BTreeMap<FileId, Done>,
        batch: &mut Batch,
    ) {
        let new = file.and_then(|file| done.get(&file)).filter(|done| done.compiled.sound());
        let gateway = match (new, file.and_then(|file| self.units.get(&file))) {
            (Some(done), _) => done.compiled.gateway.as_ref(),
            (None, Some(unit)) => unit.good.as_ref().and_then(|good| good.gateway.as_deref()),
            (None, None) => None,
        };
        let dir = gateway.and_then(|gateway| gateway.secrets.as_ref()).map(|dir| self.places.root.join(&**dir));
        secrets.in_environment(gateway.is_some_and(|gateway| gateway.secrets_env));
        batch.report.warnings.extend(secrets.read_from(dir).words);
        self.directed = true;
    }

    /// Findings in modules are shown with the modules' texts.
    pub(super) fn module_texts(&self, compiled: &Compiled, batch: &mut Batch) {
        for path in compiled.asked.keys() {
            let Some(file) = self.ids.get(path) else { continue };
            if let Some(Module::Ready(source)) = self.modules.get(&file)
                && !batch.report.texts.contains(file)
            {
                batch.report.texts.insert(file, self.places.show(path), Arc::clone(&source.text));
            }
        }
    }

    pub(super) fn accept(&mut self, file: FileId, done: Done, batch: &mut Batch) {
        let Done { job, compiled } = done;
        let event = match job.why {
            Why::New | Why::Waiting => Event::Added,
            Why::Changed => Event::Changed,
            Why::Importer => Event::Recompiled,
        };
        batch.events.insert(self.places.show(&job.source.path), event);
        let version = self.version(&job.source, &compiled);
        let unit = self.units.get_mut(&file).expect("a file that was compiled is known");
        unit.refused = None;
        // What is kept already need not be handed over.
        if unit.stored.take().is_none_or(|stored| *stored != version) {
            batch.changes.push(Change::Good(
                Arc::clone(&job.source.path),
                Arc::new(version),
                self.texts_of(&job.source, &compiled),
            ));
        }
        let good = self.good(&job.source, compiled);
        self.replace(file, good, batch);
    }

    pub(super) fn version(&self, source: &Source, compiled: &Compiled) -> Version {
        let modules = compiled.asked.iter().filter_map(|(path, digest)| Some((path, (*digest)?)));
        let rows = compiled.rows.iter().filter_map(|(path, read)| Some((path, read.as_ref()?.digest)));
        Version {
            digest: source.digest,
            imports: modules.chain(rows).map(|(path, digest)| (Arc::from(path.as_path()), digest)).collect(),
            hosts: compiled.claims.iter().map(|c| Arc::clone(&c.key)).collect(),
        }
    }

    pub(super) fn texts_of(&self, source: &Source, compiled: &Compiled) -> Vec<(Digest, Arc<str>)> {
        let mut texts = vec![(source.digest, Arc::clone(&source.text))];
        for path in compiled.asked.keys() {
            if let Some(Module::Ready(module)) = self.ids.get(path).and_then(|file| self.modules.get(&file)) {
                texts.push((module.digest, Arc::clone(&module.text)));
            }
        }
        texts.extend(compiled.rows.values().flatten().map(|read| (read.digest, Arc::clone(&read.text))));
        texts
    }

    /// The texts that the lines of a file's sites stand in: its own and those of what it imports.
    fn lines(&self, source: &Source, compiled: &Compiled) -> Lines {
        let mut texts = Texts::default();
        texts.insert(source.file, self.places.show(&source.path), Arc::clone(&source.text));
        for path in compiled.asked.keys() {
            if let Some(Module::Ready(module)) = self.ids.get(path).and_then(|file| self.modules.get(&file)) {
                texts.insert(module.file, self.places.show(&module.path), Arc::clone(&module.text));
            }
        }
        Lines::new(texts)
    }

    pub(super) fn good(&mut self, source: &Source, compiled: Compiled) -> Good<I> {
        let dir = self.places.dir(&source.path);
        self.share_rows(&compiled);
        let tenant = self.tenant(&source.path).cloned();
        let states = tenant.as_ref().is_some_and(|tenant| tenant.quota.states.is_some());
        let whose = tenant.as_ref().map(|tenant| &tenant.name);
        let amount = super::tenants::Amount::of(&compiled, states);
        let version = Arc::new(self.version(source, &compiled));
        let programs = compiled.programs.clone();
        let lines = self.lines(source, &compiled);
        let sites = compiled
            .programs
            .into_iter()
            .map(|program| {
                let site = program.site();
                let mut keys: Vec<Key> = site.hosts.iter().map(|(pattern, _)| claims::key(pattern)).collect();
                if site.settings.default {
                    keys.push(claims::DEFAULT.into());
                }
                (keys, Arc::new(self.install.install(program, &dir, whose, &lines)))
            })
            .collect();
        let items = compiled.items.iter().map(|item| (item.keys(), self.install.carry(item, &dir))).collect();
        let line = |claim: &Claim| line_of(&source.text, claim.loc.span.start);
        let carried = compiled.items.iter().map(Item::carried).collect();
        Good {
            digest: source.digest,
            gateway: compiled.gateway.map(Arc::new),
            sites,
            items,
            tables: compiled.tables,
            of_countries: compiled.country.is_some(),
            tenants: compiled.tenants,
            amount,
            version,
            tested: !compiled.tests.is_empty(),
            tests: if self.tests == Tests::Kept { compiled.tests } else { Vec::new() },
            proofs: compiled.proofs,
            programs,
            carried,
            traces: compiled.traces,
            claims: compiled.claims.into_iter().map(|c| (line(&c), c)).map(|(line, c)| (c, line)).collect(),
        }
    }

    /// Lets a version serve instead of the one before it.
    pub(super) fn replace(&mut self, file: FileId, good: Good<I>, batch: &mut Batch) {
        self.note_replaced(file, batch);
        let unit = self.units.get_mut(&file).expect("a file that serves is known");
        let before = unit.good.take();
        let shut = std::mem::take(&mut unit.shut);
        for (claim, _) in before.iter().chain(Some(&good)).flat_map(|g| &g.claims) {
            batch.moved.insert(Arc::clone(&claim.key), claim.what.clone());
        }
        let gateway = |g: &Good<I>| g.gateway.clone();
        batch.gateway |= before.as_ref().and_then(gateway) != gateway(&good);
        self.serving.put(file, &good.programs, &good.traces, !good.proofs.is_empty());
        unit.good = Some(good);
        self.open(file, &shut, batch);
    }

    /// What is on disk does not serve: the last good version does, or nothing.
    pub(super) fn refuse(&mut self, file: FileId, claims: &[Claim], why: Refused, batch: &mut Batch) {
        self.stored(file);
        if self.ids.path(file).is_some_and(|path| **path == *Path::new(GATEWAY)) {
            // What the version that goes on says of tenants holds.
            self.recall_tenants(batch);
        }
        let Some(unit) = self.units.get_mut(&file) else { return };
        let kept = unit.good.is_some();
        unit.refused = Some(why.clone());
        for (claim, _) in unit.good.iter().flat_map(|g| &g.claims) {
            batch.moved.insert(Arc::clone(&claim.key), claim.what.clone());
        }
        batch.gateway |= unit.good.as_ref().is_some_and(|g| g.gateway.is_some());
        let shown = self.places.show(&unit.path);
        let shut = std::mem::take(&mut unit.shut);
        batch.events.insert(shown, Event::Refused { why, kept });
        self.open(file, &shut, batch);
        if !kept {
            self.shut(file, claims, batch);
        }
    }
}
