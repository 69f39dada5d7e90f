//! What there is to say of several sites directories.

use crate::cli::Failed;
use crate::cli::offline::{self, Loaded};
use crate::secrets::Secrets;
use crate::sites::compile::{Drafts, for_each};
use crate::sites::report::Report;
use crate::sites::secrets::{Named, missing, of_pool, of_site, weak};
use dsl::diagnostic::{Diagnostic, Severity, Sources};
use dsl::syntax::span::{FileId, Loc};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What was found in several sites directories, each with file numbers of its own: they are given
/// new ones, so that one renderer shows them together.
#[derive(Default)]
pub(crate) struct Linted {
    pub(crate) findings: Vec<Diagnostic>,
    texts: BTreeMap<FileId, (String, String)>,
    /// By code and place: which of the findings.
    places: HashMap<(&'static str, Loc), Vec<usize>>,
    /// By path: the numbers of its texts.
    numbers: BTreeMap<String, Vec<FileId>>,
    pub(crate) files: usize,
    pub(crate) unreadable: bool,
}

impl Linted {
    /// What is found in these paths, with drafts in the place of what is on disk.
    pub(crate) fn of(paths: &[PathBuf], drafts: &Drafts) -> Result<Self, Failed> {
        let mut all = Self::default();
        for path in paths {
            let (sites, below) = offline::place(path)?;
            all.load(&sites, below.as_deref(), drafts)?;
        }
        Ok(all)
    }

    /// Takes the findings of a directory, or of one file in it.
    fn load(&mut self, sites: &Path, only: Option<&Path>, drafts: &Drafts) -> Result<(), Failed> {
        let loaded = offline::load_tested(sites, only, drafts)?;
        self.unreadable |= loaded.tells_unreadable(sites);
        self.files += if only.is_some() { 1 } else { loaded.loader.len() };
        let mut together = loaded.together();
        together.extend(secrets(&loaded));
        together.extend(loaded.advice(&loaded.outcome.report.texts));
        let Report { findings, mut texts, .. } = loaded.outcome.report;
        let broken: HashSet<FileId> =
            findings.iter().filter(|d| d.severity == Severity::Error).map(|d| d.primary.loc.file).collect();
        let only = only.map(|path| loaded.loader.places().show(path));
        let wanted = |path: &str| only.as_deref().is_none_or(|only| path == only);
        let sources: Vec<_> = loaded.loader.sources().filter(|(_, path, _)| wanted(path)).collect();
        // What is broken is mended first.
        let unformatted = for_each(&sources, |(file, _, text)| {
            dsl::lint::unformatted(*file, text).filter(|_| !broken.contains(file))
        });
        together.extend(unformatted.into_iter().flatten());
        let files: Vec<FileId> = sources.iter().map(|(file, ..)| *file).collect();
        for (file, path, text) in sources {
            texts.insert(file, path, text);
        }
        let findings = dsl::lint::allow(findings.into_iter().chain(together).collect(), &files, &texts);
        let mut numbers = BTreeMap::new();
        for mut finding in findings {
            let shown = texts.source(finding.primary.loc.file).map(|(path, _)| path);
            if only.as_deref().is_some_and(|only| shown != Some(only)) {
                continue;
            }
            each_file(&mut finding, &mut |file| *numbers.entry(*file).or_insert_with(|| self.renumber(*file, &texts)));
            let same = self.places.entry((finding.code, finding.primary.loc)).or_default();
            if !same.iter().any(|at| self.findings[*at] == finding) {
                same.push(self.findings.len());
                self.findings.push(finding);
            }
        }
        Ok(())
    }

    /// The text of a file, by the path that it is shown by.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.values().find(|(shown, _)| shown == path).map(|(_, text)| text.as_str())
    }

    fn renumber(&mut self, file: FileId, texts: &dyn Sources) -> FileId {
        let Some((path, text)) = texts.source(file) else { return file };
        let numbers = self.numbers.entry(path.to_owned()).or_default();
        if let Some(known) = numbers.iter().find(|known| self.texts.get(known).is_some_and(|(_, t)| t == text)) {
            return *known;
        }
        let number = FileId(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        numbers.push(number);
        self.texts.insert(number, (path.to_owned(), text.to_owned()));
        number
    }

    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|d| d.severity == severity).count()
    }
}

impl Sources for Linted {
    fn source(&self, file: FileId) -> Option<(&str, &str)> {
        self.texts.get(&file).map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

/// Replaces each file number of a finding.
fn each_file(finding: &mut Diagnostic, new: &mut dyn FnMut(&FileId) -> FileId) {
    let edits = finding.help.iter_mut().filter_map(|h| h.edit.as_mut()).map(|e| &mut e.loc);
    let labels = finding.labels.iter_mut().map(|l| &mut l.loc);
    for loc in labels.chain(edits).chain([&mut finding.primary.loc]) {
        loc.file = new(&loc.file);
    }
}

/// Secrets that `sluice run` would not find here: hints, for it may run elsewhere.
fn secrets(loaded: &Loaded) -> Vec<Diagnostic> {
    let named = loaded.outcome.gateway.as_ref().and_then(|gateway| gateway.secrets.as_ref());
    let secrets = Secrets::of_environment();
    secrets.in_environment(loaded.outcome.gateway.as_ref().is_some_and(|gateway| gateway.secrets_env));
    secrets.read_from(named.map(|dir| loaded.loader.places().root.join(&**dir)));
    let (sites, items) = (loaded.loader.sites(), loaded.loader.items());
    let of_sites = sites.iter().flat_map(|(_, program)| of_site(program.site()));
    let of_items = items.iter().flat_map(|(_, item)| item.rules().pools.iter().flat_map(of_pool));
    let named: Vec<Named<'_>> = of_sites.chain(of_items).collect();
    let (_, mut findings) = missing(named.iter().copied(), &secrets);
    findings.iter_mut().for_each(|finding| finding.severity = Severity::Info);
    findings.extend(weak(named.into_iter(), &secrets));
    findings
}
