//! What serves, to be asked about as a whole: kept up file by file, so that a batch asks without
//! gathering everything first.

use dsl::lint::{Around, Traces};
use dsl::reach::Sites;
use dsl::syntax::span::FileId;
use dsl::tree::Program;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The sites of the files that serve.
#[derive(Debug, Default)]
pub(super) struct Serving {
    sites: Sites,
    /// The places of each file's sites.
    places: HashMap<FileId, Vec<usize>>,
    /// The files of the sites, by their places.
    files: HashMap<usize, FileId>,
    /// What they have to do with each other.
    around: Around,
    /// The files that state proofs.
    stating: BTreeSet<FileId>,
}

impl Serving {
    /// A file serves these sites from now on; `states` where it has proofs.
    pub(super) fn put(&mut self, file: FileId, programs: &[Arc<Program>], traces: &[Arc<Traces>], states: bool) {
        self.drop(file);
        let places: Vec<usize> = programs.iter().map(|program| self.sites.add(Arc::clone(program))).collect();
        for (at, traces) in places.iter().zip(traces) {
            self.around.put(*at, Arc::clone(traces));
        }
        self.files.extend(places.iter().map(|at| (*at, file)));
        if !places.is_empty() {
            self.places.insert(file, places);
        }
        if states {
            self.stating.insert(file);
        }
    }

    /// A file serves nothing any more.
    pub(super) fn drop(&mut self, file: FileId) {
        for at in self.places.remove(&file).into_iter().flatten() {
            self.sites.remove(at);
            self.around.drop(at);
            self.files.remove(&at);
        }
        self.stating.remove(&file);
    }

    /// The files that state proofs.
    pub(super) fn stating(&self) -> impl Iterator<Item = FileId> {
        self.stating.iter().copied()
    }

    /// The sites as they would be without some files. The others keep their places.
    pub(super) fn without(&self, files: impl Iterator<Item = FileId>) -> Sites {
        let mut sites = self.sites.clone();
        for at in files.filter_map(|file| self.places.get(&file)).flatten() {
            sites.remove(*at);
        }
        sites
    }

    /// How many sites a file that stands would be looked at beside if it came again.
    #[cfg(test)]
    pub(super) fn beside_count(&self, file: FileId) -> usize {
        let traces: Vec<Arc<Traces>> = self.traces_of(file);
        self.beside(&traces, &|other| other != file).len()
    }

    #[cfg(test)]
    fn traces_of(&self, file: FileId) -> Vec<Arc<Traces>> {
        let programs = self.places[&file].iter().filter_map(|at| self.sites.get(*at));
        programs.map(|program| Arc::new(Traces::of(program))).collect()
    }

    /// The places of the sites beside which new ones are to be looked at, of the files that stand.
    pub(super) fn beside(&self, new: &[Arc<Traces>], stands: &dyn Fn(FileId) -> bool) -> BTreeSet<usize> {
        let stands = |at: usize| self.files.get(&at).is_some_and(|file| stands(*file));
        let mut out = BTreeSet::new();
        for traces in new {
            self.around.beside(traces, &stands, &mut out);
        }
        out
    }
}
