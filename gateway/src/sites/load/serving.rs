//! What serves, to be asked about as a whole: kept up file by file, so that a batch asks without
//! gathering everything first.

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
    /// The files that state proofs.
    stating: BTreeSet<FileId>,
}

impl Serving {
    /// A file serves these sites from now on; `states` where it has proofs.
    pub(super) fn put(&mut self, file: FileId, programs: &[Arc<Program>], states: bool) {
        self.drop(file);
        let places: Vec<usize> = programs.iter().map(|program| self.sites.add(Arc::clone(program))).collect();
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
        }
        self.stating.remove(&file);
    }

    /// The files that state proofs.
    pub(super) fn stating(&self) -> impl Iterator<Item = FileId> {
        self.stating.iter().copied()
    }

    /// The sites as they would be without some files.
    pub(super) fn without(&self, files: impl Iterator<Item = FileId>) -> Sites {
        let mut sites = self.sites.clone();
        for at in files.filter_map(|file| self.places.get(&file)).flatten() {
            sites.remove(*at);
        }
        sites
    }
}
