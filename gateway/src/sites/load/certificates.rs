//! Files that wait for their certificates: one whose files cannot be used does not load, and does once they can.

use super::{Batch, Done, Install, Loader, OutcomeOf, Why};
use crate::files::Stamp;
use crate::sites::certificates::{self, Seen};
use dsl::diagnostic::Diagnostic;
use dsl::syntax::span::FileId;
use std::collections::BTreeMap;

impl<I: Install> Loader<I> {
    /// Whether a file was refused for files of certificates.
    pub fn waits_for_certificates(&self) -> bool {
        !self.certless.is_empty()
    }

    /// Takes in the files that were refused for files of certificates which are others now; nothing where none is.
    pub fn certificates_came(&mut self) -> Option<OutcomeOf<I>> {
        let changed = |seen: &Seen| seen.iter().any(|(path, stamp)| Stamp::of(path) != *stamp);
        let ready: Vec<FileId> =
            self.certless.iter().filter(|(_, seen)| changed(seen)).map(|(file, _)| *file).collect();
        if ready.is_empty() {
            return None;
        }
        let mut batch = Batch::new();
        for file in ready {
            self.queue(file, Why::Waiting, &mut batch);
        }
        Some(self.work(batch))
    }

    /// Refuses the files whose certificates cannot be used.
    pub(super) fn find_certificates(&mut self, done: &mut BTreeMap<FileId, Done>) {
        for (file, done) in done.iter_mut() {
            self.certless.remove(file);
            let dir = self.places.dir(&done.job.source.path);
            let sites = || done.compiled.programs.iter().map(|program| program.site());
            // Before they are read, so that what is written meanwhile is looked at again.
            let seen: Seen = sites().flat_map(|site| certificates::seen(site, &dir)).collect();
            let mut findings: Vec<Diagnostic> = Vec::new();
            for finding in sites().flat_map(|site| certificates::check(site, &dir, self.secrets.as_ref())) {
                // One site may be several trees.
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
            if !findings.is_empty() {
                done.compiled.findings.extend(findings);
                done.compiled.refuse();
                self.certless.insert(*file, seen);
            }
        }
    }

    /// What the clock says of the certificates of a file, where it is `lint` that asks.
    pub(super) fn by_clock(&self, done: &Done) -> Vec<Diagnostic> {
        if !self.places.coverage {
            return Vec::new();
        }
        let dir = self.places.dir(&done.job.source.path);
        let mut findings = Vec::new();
        for finding in done.compiled.programs.iter().flat_map(|program| certificates::by_clock(program.site(), &dir)) {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        findings
    }
}
