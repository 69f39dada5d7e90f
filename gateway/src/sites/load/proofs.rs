//! Proofs: the file that breaks one is refused, whichever file it stands in.
//!
//! A claim is refuted by a request to one site. So the claims that stand are asked of the sites of the
//! files that come, and the claims that come of all sites; what stands is not asked what stands again.

use super::{Batch, Done, Good, Install, Loader, Tests, Why};
use crate::sites::compile::{FAILING_PROOF, GATEWAY};
use crate::sites::report::Refused;
use dsl::reach::prove::{self, BUDGET, Outcome, Proof};
use dsl::reach::{Carried, Sites};
use dsl::syntax::span::FileId;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// What proofs may speak of, of one file.
struct Part {
    file: FileId,
    path: Arc<Path>,
    proofs: Vec<Arc<Proof>>,
    /// Its sites among those of all.
    sites: Range<usize>,
    carried: Vec<Carried>,
}

/// A file whose proofs are to be told.
pub struct Proved {
    /// Where it is, relative to the sites directory.
    pub path: Arc<Path>,
    /// What came of its proofs.
    pub outcomes: Vec<Outcome>,
}

impl<I: Install> Loader<I> {
    /// Refuses the files of a batch that break a proof: one that stands, one of a file before it, or
    /// one of their own. `gateway.route` comes first, then the paths in their order.
    pub(super) fn hold_proofs(&mut self, done: &mut BTreeMap<FileId, Done>) {
        if self.tests != Tests::Decide {
            self.disproved.clear();
            return;
        }
        let standing = self.units.iter().filter(|(file, _)| !done.contains_key(file));
        let good = standing.filter_map(|(file, unit)| Some((*file, &unit.path, unit.good.as_ref()?)));
        let mut all: Vec<(FileId, &Arc<Path>, &Good<I>)> = good.collect();
        let sound = |done: &&Done| done.compiled.sound();
        let stated = all.iter().any(|(_, _, good)| !good.proofs.is_empty());
        if !stated && !done.values().filter(sound).any(|done| !done.compiled.proofs.is_empty()) {
            return;
        }
        all.sort_by_key(|(file, ..)| *file);
        let mut programs = Vec::new();
        let mut part = |file, path: &Arc<Path>, proofs: &[Arc<Proof>], own: &[Arc<dsl::tree::Program>], carried| {
            let from = programs.len();
            programs.extend(own.iter().cloned());
            Part { file, path: Arc::clone(path), proofs: proofs.to_vec(), sites: from..programs.len(), carried }
        };
        let mut in_force: Vec<Part> = all
            .iter()
            .map(|(file, path, good)| part(*file, path, &good.proofs, &good.programs, good.carried.clone()))
            .collect();
        let mut coming: Vec<Part> = done
            .iter()
            .filter(|(_, done)| done.compiled.sound())
            .map(|(file, done)| {
                let Done { job, compiled } = done;
                let carried = compiled.items.iter().map(crate::sites::item::Item::carried).collect();
                part(*file, &job.source.path, &compiled.proofs, &compiled.programs, carried)
            })
            .collect();
        coming
            .sort_by(|a, b| (*a.path != *Path::new(GATEWAY), &a.path).cmp(&(*b.path != *Path::new(GATEWAY), &b.path)));
        let sites = Sites::of(programs);
        for one in coming {
            let outcomes = broken_by(&one, &in_force, &sites);
            let findings = prove::findings(&outcomes, one.file);
            let Some(done) = done.get_mut(&one.file) else { continue };
            if findings.is_empty() {
                self.disproved.remove(&one.file);
                in_force.push(one);
            } else {
                done.compiled.findings.extend(findings);
                done.compiled.refuse();
                self.disproved.insert(one.file);
                self.failing.insert(one.file);
            }
        }
    }

    /// Files that were refused for a proof are tried again when something changed: the proof may be
    /// another one, or what broke it gone.
    pub(super) fn try_disproved(&mut self, batch: &mut Batch) {
        for file in self.disproved.clone() {
            if !batch.settled.contains(&file) {
                self.queue(file, Why::Waiting, batch);
            }
        }
    }

    /// Whether a file that was tried again is refused for the same proof in the same words: then it was said.
    pub(super) fn said_again(&self, file: FileId, done: &Done, batch: &Batch) -> bool {
        let Some(before) = self.units.get(&file).and_then(|unit| unit.refused.as_ref()) else { return false };
        let now = Refused::by(&done.compiled.findings, &batch.report.texts);
        done.job.why == Why::Waiting && before.code == FAILING_PROOF && now.as_ref() == Some(before)
    }

    /// What comes of the proofs of files that load, asked of all sites, in the order of the paths: of
    /// those whose title is wanted.
    pub fn proofs(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<Proved> {
        let mut all: Vec<_> = self.units.values().filter_map(|u| Some((&u.path, u.good.as_ref()?))).collect();
        all.sort_by_key(|(path, _)| *path);
        if all.iter().all(|(_, good)| good.proofs.is_empty()) {
            return Vec::new();
        }
        let sites = Sites::of(all.iter().flat_map(|(_, good)| good.programs.iter().cloned()));
        let carried: Vec<Carried> = all.iter().flat_map(|(_, good)| good.carried.iter().cloned()).collect();
        let stating = all.iter().filter(|(_, good)| !good.proofs.is_empty());
        let told = |(path, good): &(&Arc<Path>, &Good<I>)| {
            let proofs: Vec<_> = good.proofs.iter().filter(|proof| wanted(&proof.title)).cloned().collect();
            let outcomes = prove::prove(&proofs, &sites, &sites.all(), &carried, BUDGET);
            Proved { path: Arc::clone(path), outcomes }
        };
        stating.map(told).collect()
    }
}

/// What comes of the proofs that a file could break.
fn broken_by(one: &Part, in_force: &[Part], sites: &Sites) -> Vec<Outcome> {
    let own: Vec<usize> = one.sites.clone().collect();
    let mut outcomes = Vec::new();
    for other in in_force.iter().filter(|other| !other.proofs.is_empty()) {
        outcomes.extend(prove::prove(&other.proofs, sites, &own, &one.carried, BUDGET));
    }
    if !one.proofs.is_empty() {
        let all: Vec<usize> = in_force.iter().flat_map(|part| part.sites.clone()).chain(own).collect();
        let carried: Vec<Carried> =
            in_force.iter().chain([one]).flat_map(|part| part.carried.iter().cloned()).collect();
        outcomes.extend(prove::prove(&one.proofs, sites, &all, &carried, BUDGET));
    }
    outcomes
}
