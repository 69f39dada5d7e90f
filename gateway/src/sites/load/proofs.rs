//! What no file shows alone: proofs, redirect loops, ways past a check. The file that brings a false proof
//! or closes a loop is refused, whichever files the rest stands in; what is only worth a warning is told.
//!
//! A claim is refuted by a request to one site. So the claims that stand are asked of the sites of the
//! files that come, and the claims that come of all sites; what stands is not asked what stands again.
//!
//! A tenant's proofs speak of the tenant's own sites: no other file decides them, and they refuse no other
//! file. Those of files outside tenants speak of everything.

use super::{Batch, Done, Good, Install, Loader, Tests, Why};
use crate::sites::compile::{FAILING_PROOF, GATEWAY, LOOP};
use crate::sites::item::Item;
use crate::sites::report::{Refused, Texts};
use dsl::diagnostic::Diagnostic;
use dsl::lint::{self, Around, Traces};
use dsl::reach::prove::{self, BUDGET, Outcome, Proof};
use dsl::reach::{Carried, Sites};
use dsl::syntax::span::FileId;
use dsl::tree::Program;
use dsl::tree::ir::{HostPattern, Tenant};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Warnings across files that a batch writes out.
const WARNINGS: usize = 16;

/// A file that comes, with what can be asked of it.
struct Coming {
    file: FileId,
    path: Arc<Path>,
    whose: Whose,
    proofs: Vec<Arc<Proof>>,
    programs: Vec<Arc<Program>>,
    traces: Vec<Arc<Traces>>,
    carried: Vec<Carried>,
}

/// Whose a file is: a tenant's by its name, or the operator's.
type Whose = Option<Arc<str>>;

/// The sites that the proofs of somebody speak of: those that stand, and of the files that come those that
/// were taken in, and the one that is looked at.
struct World {
    sites: Sites,
    /// Where those of the files that come are.
    places: BTreeMap<FileId, Vec<usize>>,
}

impl World {
    fn add(&mut self, one: &Coming) {
        let places = one.programs.iter().map(|program| self.sites.add(Arc::clone(program))).collect();
        self.places.insert(one.file, places);
    }

    fn remove(&mut self, file: FileId) {
        for at in self.places.remove(&file).unwrap_or_default() {
            self.sites.remove(at);
        }
    }

    /// The sites of a file that comes.
    fn own(&self, file: FileId) -> &[usize] {
        self.places.get(&file).map_or(&[], Vec::as_slice)
    }
}

/// What a batch is decided by, file by file.
struct Deciding<'b> {
    done: &'b BTreeMap<FileId, Done>,
    /// The proofs that hold so far, and whose they are.
    stating: Vec<(Whose, Vec<Arc<Proof>>)>,
    worlds: BTreeMap<Whose, World>,
    accepted: Vec<&'b Coming>,
    /// The traces of the sites that were taken in.
    around: Around,
}

/// A file whose proofs are to be told.
pub struct Proved {
    /// Where it is, relative to the sites directory.
    pub path: Arc<Path>,
    /// What came of its proofs.
    pub outcomes: Vec<Outcome>,
}

impl<I: Install> Loader<I> {
    /// Refuses the files of a batch that break a proof (one that stands, one of a file before it, or one of
    /// their own) or close a redirect loop, and tells what is odd of the others beside what stands.
    /// `gateway.route` comes first, then what served before, then the paths in their order.
    pub(super) fn hold_together(&mut self, done: &mut BTreeMap<FileId, Done>, batch: &mut Batch) {
        let proving = self.tests == Tests::Decide;
        if !proving {
            self.disproved.clear();
        }
        let mut stating: Vec<(Whose, Vec<Arc<Proof>>)> = Vec::new();
        for file in self.serving.stating().filter(|file| proving && !done.contains_key(file)) {
            let Some(unit) = self.units.get(&file) else { continue };
            let proofs = unit.good.as_ref().map(|good| good.proofs.clone()).unwrap_or_default();
            stating.push((self.whose(&unit.path), proofs));
        }
        let coming = self.coming(done, proving);
        let proves = !stating.is_empty() || coming.iter().any(|one| !one.proofs.is_empty());
        if !proves && !self.places.together {
            return;
        }
        let mut found: Vec<(FileId, Vec<Diagnostic>)> = Vec::new();
        let mut told: Vec<Diagnostic> = Vec::new();
        let mut deciding =
            Deciding { done, stating, worlds: BTreeMap::new(), accepted: Vec::new(), around: Around::default() };
        for one in &coming {
            for (whose, world) in &mut deciding.worlds {
                if whose.is_none() || *whose == one.whose {
                    world.add(one);
                }
            }
            let mut findings = self.broken_by(one, &mut deciding);
            if self.places.together {
                let world = self.world(&None, one, &mut deciding);
                findings.extend(lint::loops(&world.sites, world.own(one.file)));
            }
            if findings.is_empty() {
                if self.places.together {
                    told.extend(self.odd_of(one, &mut deciding));
                }
                deciding.stating.push((one.whose.clone(), one.proofs.clone()));
                deciding.accepted.push(one);
            } else {
                deciding.worlds.values_mut().for_each(|world| world.remove(one.file));
            }
            found.push((one.file, findings));
        }
        for (file, findings) in found {
            let Some(done) = done.get_mut(&file) else { continue };
            let has = |code| findings.iter().any(|d| d.code == code);
            let (disproved, looping) = (has(FAILING_PROOF), has(LOOP));
            for (set, refused) in [(&mut self.disproved, disproved), (&mut self.looping, looping)] {
                if refused {
                    set.insert(file);
                } else {
                    set.remove(&file);
                }
            }
            if disproved {
                self.failing.insert(file);
            }
            if !findings.is_empty() {
                done.compiled.findings.extend(findings);
                done.compiled.refuse();
            }
        }
        self.tell_across(told, done, batch);
        let errors = done.values().flat_map(|done| &done.compiled.findings).filter(|d| d.code == LOOP);
        for file in errors.flat_map(|d| d.labels.iter().map(|label| label.loc.file)).collect::<BTreeSet<_>>() {
            self.show_text(file, done, &mut batch.report.texts);
        }
    }

    /// What a file breaks of the proofs that hold, and of its own.
    fn broken_by<'b>(&self, one: &'b Coming, deciding: &mut Deciding<'b>) -> Vec<Diagnostic> {
        let mut outcomes = Vec::new();
        for (whose, proofs) in deciding.stating.clone() {
            if proofs.is_empty() || (whose.is_some() && whose != one.whose) {
                continue;
            }
            let world = self.world(&whose, one, deciding);
            outcomes.extend(prove::prove(&proofs, &world.sites, world.own(one.file), &one.carried, BUDGET));
        }
        if !one.proofs.is_empty() {
            let whose = &one.whose;
            let theirs = |other: &&&Coming| whose.is_none() || other.whose == *whose;
            let came = deciding.accepted.iter().filter(theirs).flat_map(|other| other.carried.iter().cloned());
            let done = deciding.done;
            let stand = self.good_of(whose.as_ref()).into_iter().filter(|(file, ..)| !done.contains_key(file));
            let stand = stand.flat_map(|(_, _, good)| good.carried.iter().cloned());
            let carried: Vec<Carried> = stand.chain(came).chain(one.carried.iter().cloned()).collect();
            let world = self.world(whose, one, deciding);
            outcomes.extend(prove::prove(&one.proofs, &world.sites, &world.sites.all(), &carried, BUDGET));
        }
        prove::findings(&outcomes, one.file)
    }

    /// What is odd of a file that is taken in beside others (G3003, G3018).
    fn odd_of<'b>(&self, one: &'b Coming, deciding: &mut Deciding<'b>) -> Vec<Diagnostic> {
        let done = deciding.done;
        let mut others = BTreeSet::new();
        for traces in &one.traces {
            deciding.around.beside(traces, &|_| true, &mut others);
        }
        let standing = self.serving.beside(&one.traces, &|file| !done.contains_key(&file));
        let world = self.world(&None, one, deciding);
        // What stands has the place that it has among all.
        others.extend(standing);
        let own = world.own(one.file).to_vec();
        let found = if others.is_empty() { Vec::new() } else { lint::beside(&world.sites, &own, &others) };
        for (at, traces) in own.into_iter().zip(&one.traces) {
            deciding.around.put(at, Arc::clone(traces));
        }
        let said = done.get(&one.file).map_or(&[][..], |done| &done.compiled.findings);
        let new = |d: &Diagnostic| !said.iter().any(|s| s.code == d.code && s.primary.loc == d.primary.loc);
        found.into_iter().filter(new).collect()
    }

    /// Writes warnings out that no file shows alone.
    fn tell_across(&self, told: Vec<Diagnostic>, done: &BTreeMap<FileId, Done>, batch: &mut Batch) {
        let files: BTreeSet<FileId> = told.iter().map(|d| d.primary.loc.file).collect();
        for file in &files {
            self.show_text(*file, done, &mut batch.report.texts);
        }
        // What is said of the comments that allow them is no matter of other files.
        let files: Vec<FileId> = files.into_iter().collect();
        let told = lint::allow(told, &files, &batch.report.texts);
        let told: Vec<&Diagnostic> = told.iter().filter(|d| d.witness.is_some()).collect();
        for d in told.iter().take(WARNINGS) {
            let witness = d.witness.as_ref().map(|witness| format!(": {witness}")).unwrap_or_default();
            let place = batch.report.texts.line(d.primary.loc);
            batch.report.warnings.push(format!("{place} {} {}{witness}", d.code, d.message));
        }
        if told.len() > WARNINGS {
            let more = told.len() - WARNINGS;
            batch.report.warnings.push(format!("and {more} more across files; `sluice lint` lists them all"));
        }
    }

    /// Makes the text of a file known to what is told.
    fn show_text(&self, file: FileId, done: &BTreeMap<FileId, Done>, texts: &mut Texts) {
        if texts.contains(file) {
            return;
        }
        if let Some(done) = done.get(&file) {
            texts.insert(file, self.places.show(&done.job.source.path), Arc::clone(&done.job.source.text));
        } else if let Some(unit) = self.units.get(&file)
            && let Some(good) = &unit.good
            && let Some(text) = self.text(unit, good.digest)
        {
            texts.insert(file, self.places.show(&unit.path), text);
        }
    }

    /// The files of a batch that are sound so far, in the order in which they are decided.
    fn coming(&self, done: &BTreeMap<FileId, Done>, proving: bool) -> Vec<Coming> {
        let sound = done.iter().filter(|(_, done)| done.compiled.sound());
        let coming = sound.map(|(file, Done { job, compiled })| Coming {
            file: *file,
            path: Arc::clone(&job.source.path),
            whose: self.whose(&job.source.path),
            proofs: if proving { compiled.proofs.clone() } else { Vec::new() },
            programs: compiled.programs.clone(),
            traces: compiled.traces.clone(),
            carried: compiled.items.iter().map(Item::carried).collect(),
        });
        let mut coming: Vec<Coming> = coming.collect();
        // What served before this process started brings nothing.
        let served = |one: &Coming| {
            let digest = done.get(&one.file).map(|done| done.job.source.digest);
            let unit = self.units.get(&one.file);
            let good = unit.and_then(|unit| Some(unit.good.as_ref()?.digest));
            let stored = unit.and_then(|unit| Some(unit.stored.as_ref()?.digest));
            digest.is_some() && (digest == good || digest == stored)
        };
        coming.sort_by_cached_key(|one| (*one.path != *Path::new(GATEWAY), !served(one), Arc::clone(&one.path)));
        coming
    }

    fn whose(&self, path: &Path) -> Whose {
        self.tenant(path).map(|tenant| Arc::clone(&tenant.name))
    }

    /// What the proofs of somebody speak of, with the files of a batch that were taken in instead of what
    /// they were, and the one that is looked at.
    fn world<'d>(&self, whose: &Whose, one: &Coming, deciding: &'d mut Deciding<'_>) -> &'d World {
        let Deciding { done, worlds, accepted, .. } = deciding;
        worlds.entry(whose.clone()).or_insert_with(|| {
            let sites = match whose {
                None => self.serving.without(done.keys().copied()),
                Some(name) => self.sites_of(name, &|file| !done.contains_key(&file)),
            };
            let mut world = World { sites, places: BTreeMap::new() };
            let theirs = |other: &Coming| whose.is_none() || other.whose == *whose;
            for other in accepted.iter().copied().chain([one]).filter(|other| theirs(other)) {
                world.add(other);
            }
            world
        })
    }

    /// The sites of a tenant's files that serve, and that are wanted.
    fn sites_of(&self, name: &Arc<str>, wanted: &dyn Fn(FileId) -> bool) -> Sites {
        let owned = |pattern: &HostPattern| {
            let mut own = self.tenants.iter().filter(|t| t.name == *name).flat_map(|t| &t.owns);
            own.any(|(own, _)| own == pattern)
        };
        let others: Vec<HostPattern> =
            self.barriers.iter().map(|(_, pattern)| pattern).filter(|pattern| !owned(pattern)).cloned().collect();
        let good = self.good_of(Some(name)).into_iter().filter(|(file, ..)| wanted(*file));
        Sites::beside(good.flat_map(|(_, _, good)| good.programs.iter().cloned()), &others)
    }

    /// The files that serve, of a tenant or of everybody, in their order.
    fn good_of(&self, tenant: Option<&Arc<str>>) -> Vec<(FileId, &Arc<Path>, &Good<I>)> {
        let of: Option<&Tenant> = tenant.and_then(|name| self.tenants.iter().find(|t| t.name == *name)).map(|t| &**t);
        let theirs = |path: &Path| match (tenant, of) {
            (None, _) => true,
            (Some(_), Some(of)) => path.to_str().is_some_and(|path| path != GATEWAY && of.has(path)),
            (Some(_), None) => false,
        };
        let units = self.units.iter().filter(|(_, unit)| theirs(&unit.path));
        let mut good: Vec<_> = units.filter_map(|(file, u)| Some((*file, &u.path, u.good.as_ref()?))).collect();
        good.sort_by_key(|(file, ..)| *file);
        good
    }

    /// Files that were refused for a proof or a loop are tried again when something changed: the proof may be
    /// another one, or what broke it gone.
    pub(super) fn try_disproved(&mut self, batch: &mut Batch) {
        for file in self.disproved.union(&self.looping).copied().collect::<Vec<_>>() {
            if !batch.settled.contains(&file) {
                self.queue(file, Why::Waiting, batch);
            }
        }
    }

    /// Whether a file that was tried again is refused for the same proof or loop in the same words: then it was said.
    pub(super) fn said_again(&self, file: FileId, done: &Done, batch: &Batch) -> bool {
        let Some(before) = self.units.get(&file).and_then(|unit| unit.refused.as_ref()) else { return false };
        let now = Refused::by(&done.compiled.findings, &batch.report.texts);
        let of_all = [FAILING_PROOF, LOOP].contains(&before.code);
        done.job.why == Why::Waiting && of_all && now.as_ref() == Some(before)
    }

    /// What comes of the proofs of files that load, each asked of what it speaks of, in the order of the
    /// paths: of those whose title is wanted.
    pub fn proofs(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<Proved> {
        let mut stating: Vec<_> =
            self.good_of(None).into_iter().filter(|(_, _, good)| !good.proofs.is_empty()).collect();
        stating.sort_by_key(|(_, path, _)| *path);
        let mut worlds: BTreeMap<Whose, (Sites, Vec<Carried>)> = BTreeMap::new();
        let told = |(_, path, good): (FileId, &Arc<Path>, &Good<I>)| {
            let proofs: Vec<_> = good.proofs.iter().filter(|proof| wanted(&proof.title)).cloned().collect();
            let whose = self.whose(path);
            let (sites, carried) = worlds.entry(whose.clone()).or_insert_with(|| {
                let sites = match &whose {
                    None => self.serving.without(std::iter::empty()),
                    Some(name) => self.sites_of(name, &|_| true),
                };
                let good = self.good_of(whose.as_ref());
                (sites, good.iter().flat_map(|(_, _, good)| good.carried.iter().cloned()).collect())
            });
            let outcomes = prove::prove(&proofs, sites, &sites.all(), carried, BUDGET);
            Proved { path: Arc::clone(path), outcomes }
        };
        stating.into_iter().map(told).collect()
    }
}
