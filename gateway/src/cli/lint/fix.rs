//! `sluice lint --fix`: makes the edits that findings name, until nothing is left to mend.
//!
//! INVARIANT: edits are tried on drafts, and the whole is checked again; one that does not make it
//! better is not made. Files are written at the end, each at once or not at all.

use super::linted::Linted;
use crate::cli::replace::replace;
use crate::cli::{Failed, diff, run};
use crate::sites::compile::Drafts;
use dsl::diagnostic::{Diagnostic, Edit, Severity, Sources};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was mended.
pub(super) struct Fixed {
    /// What is found after it.
    pub(super) rest: Linted,
    files: Vec<File>,
    /// One line for each edit: `sites/a.route:3: G1001: unknown statement …`.
    made: Vec<String>,
    /// Findings whose edit was left for `--unsafe`.
    left: usize,
}

/// A file that changes.
struct File {
    shown: String,
    old: Arc<str>,
    new: Arc<str>,
}

/// An edit that a finding names.
struct Candidate {
    path: String,
    edit: Edit,
    line: String,
    /// Tells it from others over passes.
    key: (String, &'static str, String, String),
}

/// Mends what is found in these paths, without writing anything.
pub(super) fn fix(paths: &[PathBuf], also_unsafe: bool) -> Result<Fixed, Failed> {
    let mut try_out = TryOut { paths, texts: BTreeMap::new(), old: BTreeMap::new(), refused: BTreeSet::new() };
    let mut rest = Linted::of(paths, &Drafts::default())?;
    let mut made = Vec::new();
    loop {
        let candidates = candidates(&rest, also_unsafe, &try_out.refused);
        if candidates.is_empty() {
            break;
        }
        let mut accepted: Vec<&Candidate> = Vec::new();
        let base = try_out.texts.clone();
        let all: Vec<&Candidate> = candidates.iter().collect();
        rest = try_out.some(&base, &mut accepted, &all, rest)?;
        made.extend(accepted.iter().map(|c| c.line.clone()));
    }
    let safe_only = |d: &Diagnostic| d.help.iter().any(|h| h.edit.as_ref().is_some_and(|e| !e.safe));
    let left = if also_unsafe { 0 } else { rest.findings.iter().filter(|d| safe_only(d)).count() };
    let files = try_out.texts.into_iter().filter_map(|(shown, new)| {
        let old = try_out.old.remove(&shown)?;
        (old != new).then_some(File { shown, old, new })
    });
    let files = files.collect();
    Ok(Fixed { rest, files, made, left })
}

/// The edits that can be made beside each other, one for each finding.
fn candidates(
    linted: &Linted,
    also_unsafe: bool,
    refused: &BTreeSet<(String, &'static str, String, String)>,
) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = Vec::new();
    for d in &linted.findings {
        let edits = d.help.iter().filter_map(|h| h.edit.as_ref());
        let Some(edit) = edits.clone().find(|e| e.safe).or_else(|| edits.clone().next().filter(|_| also_unsafe)) else {
            continue;
        };
        let Some((path, text)) = linted.source(edit.loc.file) else { continue };
        // The standard library is no file of anybody's.
        if path.starts_with("std/") || d.code == "G0003" {
            continue;
        }
        let Some(before) = text.get(edit.loc.span.range()) else { continue };
        let key = (path.to_owned(), d.code, before.to_owned(), edit.text.clone());
        if refused.contains(&key) {
            continue;
        }
        let at = linted.source(d.primary.loc.file).map_or_else(String::new, |(path, text)| {
            format!("{path}:{}", crate::sites::report::line_of(text, d.primary.loc.span.start))
        });
        let line = format!("{at}: {}: {}", d.code, d.message);
        all.push(Candidate { path: path.to_owned(), edit: edit.clone(), line, key });
    }
    all.sort_by(|a, b| (&a.path, a.edit.loc.span, &a.edit.text).cmp(&(&b.path, b.edit.loc.span, &b.edit.text)));
    // Where two would touch, the first is made now and the other looked at again.
    let mut out: Vec<Candidate> = Vec::new();
    for candidate in all {
        let free = out
            .last()
            .is_none_or(|last| last.path != candidate.path || last.edit.loc.span.end < candidate.edit.loc.span.start);
        if free {
            out.push(candidate);
        }
    }
    out
}

struct TryOut<'p> {
    paths: &'p [PathBuf],
    /// What files say now, by the path that they are shown by.
    texts: BTreeMap<String, Arc<str>>,
    /// What they said at first.
    old: BTreeMap<String, Arc<str>>,
    /// Edits that made nothing better.
    refused: BTreeSet<(String, &'static str, String, String)>,
}

impl TryOut<'_> {
    /// Makes those of `more` beside the accepted ones that make it better: all at once if they do, else
    /// one half after the other.
    fn some<'c>(
        &mut self,
        base: &BTreeMap<String, Arc<str>>,
        accepted: &mut Vec<&'c Candidate>,
        more: &[&'c Candidate],
        now: Linted,
    ) -> Result<Linted, Failed> {
        let trial: Vec<&Candidate> = accepted.iter().chain(more).copied().collect();
        let texts = self.edited(base, &trial, &now);
        let after = Linted::of(self.paths, &drafts(&texts))?;
        if better(&now, &after) {
            self.texts = texts;
            accepted.extend(more);
            return Ok(after);
        }
        if let [only] = more {
            self.refused.insert(only.key.clone());
            return Ok(now);
        }
        let (first, second) = more.split_at(more.len() / 2);
        let now = self.some(base, accepted, first, now)?;
        self.some(base, accepted, second, now)
    }

    /// The texts with edits made, which are about `base` and, where that is silent, about what is on disk.
    fn edited(
        &mut self,
        base: &BTreeMap<String, Arc<str>>,
        edits: &[&Candidate],
        linted: &Linted,
    ) -> BTreeMap<String, Arc<str>> {
        let mut out = base.clone();
        let mut by_path: BTreeMap<&str, Vec<&Edit>> = BTreeMap::new();
        for candidate in edits {
            by_path.entry(&candidate.path).or_default().push(&candidate.edit);
        }
        for (path, mut edits) in by_path {
            let known = base.get(path).or_else(|| self.old.get(path)).cloned();
            let Some(text) = known.or_else(|| linted.text(path).map(Arc::from)) else { continue };
            self.old.entry(path.to_owned()).or_insert_with(|| Arc::clone(&text));
            edits.sort_by_key(|e| e.loc.span);
            let mut new = text.to_string();
            for edit in edits.into_iter().rev() {
                new.replace_range(edit.loc.span.range(), &edit.text);
            }
            out.insert(path.to_owned(), new.into());
        }
        out
    }
}

fn drafts(texts: &BTreeMap<String, Arc<str>>) -> Drafts {
    let absolute = |path: &String| std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    Arc::new(texts.iter().map(|(path, text)| (absolute(path), Arc::clone(text))).collect())
}

/// Whether less is found, worse things counting first, and nothing that does not parse is new.
fn better(before: &Linted, after: &Linted) -> bool {
    let counts = |linted: &Linted| [Severity::Error, Severity::Warning, Severity::Info].map(|s| linted.count(s));
    let per_file = |linted: &Linted| {
        let mut errors: BTreeMap<String, usize> = BTreeMap::new();
        for d in linted.findings.iter().filter(|d| d.severity == Severity::Error) {
            let path = linted.source(d.primary.loc.file).map(|(path, _)| path.to_owned()).unwrap_or_default();
            *errors.entry(path).or_default() += 1;
        }
        errors
    };
    let broken = |linted: &Linted| linted.findings.iter().filter(|d| d.code == "G0001").count();
    let (errors_before, errors_after) = (per_file(before), per_file(after));
    counts(after) < counts(before)
        && broken(after) <= broken(before)
        && errors_after.iter().all(|(path, n)| errors_before.get(path).is_some_and(|before| n <= before))
}

impl Fixed {
    /// What changes, as `diff -u` shows it.
    pub(super) fn diff(&self) -> String {
        self.files.iter().map(|file| diff::unified(&file.shown, &file.old, &file.new)).collect()
    }

    /// What was done, for people.
    pub(super) fn told(&self, verb: &str) -> String {
        let mut out = String::new();
        for line in &self.made {
            let _ = writeln!(out, "{verb}: {line}");
        }
        let (findings, files) = (run::count(self.made.len(), "finding"), run::count(self.files.len(), "file"));
        let _ = match self.made.len() {
            0 => writeln!(out, "nothing {verb}"),
            _ => writeln!(out, "{findings} {verb} in {files}"),
        };
        if self.left > 0 {
            let _ = writeln!(
                out,
                "{} could be with --unsafe, which may change what is meant",
                run::count(self.left, "finding")
            );
        }
        out
    }

    /// Writes the files that changed.
    pub(super) fn write(&self) -> Result<(), Failed> {
        for file in &self.files {
            let cannot = |e: std::io::Error| Failed::new(format!("cannot write `{}`: {e}", file.shown));
            replace(Path::new(&file.shown), &file.old, &file.new).map_err(cannot)?;
        }
        Ok(())
    }
}
