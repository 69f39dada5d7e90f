//! Proofs: the file that breaks one is refused, whichever file it stands in.
//!
//! A claim is refuted by a request to one site. So the claims that stand are asked of the sites of the
//! files that come, and the claims that come of all sites; what stands is not asked what stands again.
//!
//! A tenant's proofs speak of the tenant's own sites: no other file decides them, and they refuse no other
//! file. Those of files outside tenants speak of everything.

use super::{Batch, Done, Good, Install, Loader, Tests, Why};
use crate::sites::compile::{FAILING_PROOF, GATEWAY};
use crate::sites::item::Item;
use crate::sites::report::Refused;
use dsl::reach::prove::{self, BUDGET, Outcome, Proof};
use dsl::reach::{Carried, Sites};
use dsl::syntax::span::FileId;
use dsl::tree::Program;
use dsl::tree::ir::{HostPattern, Tenant};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// A file that comes, with what proofs may speak of.
struct Coming {
    file: FileId,
    path: Arc<Path>,
    whose: Whose,
    proofs: Vec<Arc<Proof>>,
    programs: Vec<Arc<Program>>,
    carried: Vec<Carried>,
}

/// Whose a file is: a tenant's by its name, or the operator's.
type Whose = Option<Arc<str>>;

/// The sites that the proofs of somebody speak of: those that stand, and those that come.
struct World {
    sites: Sites,
    /// Where those of the files that come are.
    places: BTreeMap<FileId, Vec<usize>>,
}

impl World {
    fn with<'a>(mut sites: Sites, coming: impl Iterator<Item = &'a Coming>) -> Self {
        let place = |one: &Coming| (one.file, one.programs.iter().map(|p| sites.add(Arc::clone(p))).collect());
        let places = coming.map(place).collect();
        Self { sites, places }
    }

    /// The sites of a file that comes.
    fn own(&self, file: FileId) -> &[usize] {
        self.places.get(&file).map_or(&[], Vec::as_slice)
    }

    /// All sites but those of files that come and are not taken in.
    fn all_but(&self, out: &BTreeSet<FileId>) -> Vec<usize> {
        let left: BTreeSet<usize> = out.iter().flat_map(|file| self.own(*file)).copied().collect();
        self.sites.all().into_iter().filter(|at| !left.contains(at)).collect()
    }
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
        let mut stating: Vec<(FileId, Whose, Vec<Arc<Proof>>)> = Vec::new();
        for file in self.serving.stating().filter(|file| !done.contains_key(file)) {
            let Some(unit) = self.units.get(&file) else { continue };
            let proofs = unit.good.as_ref().map(|good| good.proofs.clone()).unwrap_or_default();
            stating.push((file, self.whose(&unit.path), proofs));
        }
        let sound = |done: &&Done| done.compiled.sound();
        if stating.is_empty() && !done.values().filter(sound).any(|done| !done.compiled.proofs.is_empty()) {
            return;
        }
        let coming = self.coming(done);
        // Those of the files that come and are not taken in, or not yet.
        let mut out: BTreeSet<FileId> = coming.iter().map(|one| one.file).collect();
        let mut worlds: BTreeMap<Whose, World> = BTreeMap::new();
        for one in &coming {
            let mut outcomes = Vec::new();
            out.remove(&one.file);
            for (_, whose, proofs) in stating.iter().filter(|(_, whose, _)| whose.is_none() || *whose == one.whose) {
                let world = worlds.entry(whose.clone()).or_insert_with(|| self.world(whose.as_ref(), done, &coming));
                outcomes.extend(prove::prove(proofs, &world.sites, world.own(one.file), &one.carried, BUDGET));
            }
            if !one.proofs.is_empty() {
                let whose = &one.whose;
                let world = worlds.entry(whose.clone()).or_insert_with(|| self.world(whose.as_ref(), done, &coming));
                let accepted = coming.iter().filter(|other| !out.contains(&other.file));
                let carried = accepted.filter(|other| whose.is_none() || other.whose == *whose);
                let carried = carried.flat_map(|other| other.carried.iter().cloned());
                let carried: Vec<Carried> = self.carried_by(whose.as_ref(), done).chain(carried).collect();
                outcomes.extend(prove::prove(&one.proofs, &world.sites, &world.all_but(&out), &carried, BUDGET));
            }
            let findings = prove::findings(&outcomes, one.file);
            let Some(done) = done.get_mut(&one.file) else { continue };
            if findings.is_empty() {
                self.disproved.remove(&one.file);
                stating.push((one.file, one.whose.clone(), one.proofs.clone()));
            } else {
                out.insert(one.file);
                done.compiled.findings.extend(findings);
                done.compiled.refuse();
                self.disproved.insert(one.file);
                self.failing.insert(one.file);
            }
        }
    }

    /// The files of a batch that are sound so far, in the order in which they are decided.
    fn coming(&self, done: &BTreeMap<FileId, Done>) -> Vec<Coming> {
        let sound = done.iter().filter(|(_, done)| done.compiled.sound());
        let coming = sound.map(|(file, Done { job, compiled })| Coming {
            file: *file,
            path: Arc::clone(&job.source.path),
            whose: self.whose(&job.source.path),
            proofs: compiled.proofs.clone(),
            programs: compiled.programs.clone(),
            carried: compiled.items.iter().map(Item::carried).collect(),
        });
        let mut coming: Vec<Coming> = coming.collect();
        coming
            .sort_by(|a, b| (*a.path != *Path::new(GATEWAY), &a.path).cmp(&(*b.path != *Path::new(GATEWAY), &b.path)));
        coming
    }

    fn whose(&self, path: &Path) -> Whose {
        self.tenant(path).map(|tenant| Arc::clone(&tenant.name))
    }

    /// What the proofs of somebody speak of, with the files of a batch instead of what they were.
    fn world(&self, whose: Option<&Arc<str>>, done: &BTreeMap<FileId, Done>, coming: &[Coming]) -> World {
        let sites = match whose {
            None => self.serving.without(done.keys().copied()),
            Some(name) => self.sites_of(name, &|file| !done.contains_key(&file)),
        };
        World::with(sites, coming.iter().filter(|one| whose.is_none() || one.whose.as_ref() == whose))
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

    /// What `tcp`, `udp` and `passthrough` carry of the files that serve and that no batch holds.
    fn carried_by<'s>(
        &'s self,
        whose: Option<&Arc<str>>,
        done: &'s BTreeMap<FileId, Done>,
    ) -> impl Iterator<Item = Carried> + use<'s, I> {
        let good = self.good_of(whose).into_iter().filter(|(file, ..)| !done.contains_key(file));
        good.flat_map(|(_, _, good)| good.carried.iter().cloned())
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
