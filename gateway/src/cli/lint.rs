//! `sluice lint`: says what is wrong, before it serves.

use super::offline::{self, Loaded};
use super::{FAILED, FOUND, Failed, print};
use crate::console::colours;
use crate::secrets::Secrets;
use clap::{Args, ValueEnum};
use dsl::diagnostic::{Diagnostic, Severity, Sources, render};
use dsl::syntax::span::FileId;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Say what is wrong with route files
///
/// Checks files as `sluice run` does before it serves them: syntax, names, types, routes that are
/// never reached or claim the same request, policies that can be walked around, hosts that two
/// files claim. A finding about routing names a request that shows it.
///
/// A directory is checked as a whole. A file is checked together with the sites directory it lies
/// in (the nearest directory above it that holds gateway.route, or is called `sites`), and what is
/// said concerns that file.
///
/// Findings go to standard output, the summary to standard error.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  nothing worse than a warning
  1  an error, or a warning with --deny warnings
  2  it could not run: a wrong argument, a path that cannot be read

Examples:
  sluice lint
  sluice lint sites/shop.route
  sluice lint --format json --deny warnings sites   in CI
  sluice lint --explain G2002                       what a finding means, and what to do")]
pub struct Lint {
    /// Route files and directories [default: sites]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Format::Full)]
    format: Format,
    /// Fail on these too
    #[arg(long, value_enum, value_name = "WHAT")]
    deny: Option<Deny>,
    /// Explain a finding instead
    #[arg(long, value_name = "CODE", conflicts_with_all = ["paths", "deny"])]
    explain: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With the lines that are meant, and what to type
    Full,
    /// One line for each
    Concise,
    /// For programs: an array of objects
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Deny {
    /// Whatever is not merely a hint
    Warnings,
}

impl Lint {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        if let Some(code) = &self.explain {
            return explain(code);
        }
        let mut all = Linted::default();
        let paths = if self.paths.is_empty() { vec![PathBuf::from("sites")] } else { self.paths.clone() };
        for path in &paths {
            all.path(path)?;
        }
        all.print(self.format);
        let errors = all.count(Severity::Error);
        let warnings = all.count(Severity::Warning);
        let found = errors > 0 || (self.deny == Some(Deny::Warnings) && warnings > 0);
        let checked = format!("{} checked", super::run::count(all.files, "file"));
        let _ = writeln!(std::io::stderr(), "{checked}: {}", render::summary(&all.findings));
        if all.unreadable {
            return Ok(ExitCode::from(FAILED));
        }
        Ok(if found { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
    }
}

/// Secrets that `sluice run` would not find here: hints, for it may run elsewhere.
fn secrets(loaded: &Loaded) -> Vec<Diagnostic> {
    let named = loaded.outcome.gateway.as_ref().and_then(|gateway| gateway.secrets.as_ref());
    let secrets = Secrets::of_environment();
    secrets.read_from(named.map(|dir| loaded.loader.places().root.join(&**dir)));
    let (sites, items) = (loaded.loader.sites(), loaded.loader.items());
    let of_sites = sites.iter().flat_map(|(_, program)| &program.site().pools);
    let pools = of_sites.chain(items.iter().flat_map(|(_, item)| &item.rules().pools));
    let (_, mut findings) = crate::sites::secrets::missing(pools, &secrets);
    findings.iter_mut().for_each(|finding| finding.severity = Severity::Info);
    findings
}

fn explain(code: &str) -> Result<ExitCode, Failed> {
    let wanted = code.to_ascii_uppercase();
    match dsl::lint::rules().iter().find(|rule| rule.code == wanted) {
        Some(rule) => {
            print(&format!("# {}: {}\n\n{}\n", rule.code, rule.summary, rule.explain().trim()));
            Ok(ExitCode::SUCCESS)
        }
        None => Err(Failed::new(format!("there is no finding `{code}`; codes look like G2002"))),
    }
}

/// What was found in several sites directories, each with file numbers of its own: they are given
/// new ones, so that one renderer shows them together.
#[derive(Default)]
struct Linted {
    findings: Vec<Diagnostic>,
    texts: BTreeMap<FileId, (String, String)>,
    files: usize,
    unreadable: bool,
}

impl Linted {
    fn path(&mut self, path: &Path) -> Result<(), Failed> {
        let (sites, below) = offline::place(path)?;
        self.load(&sites, below.as_deref())
    }

    /// Takes the findings of a directory, or of one file in it.
    fn load(&mut self, sites: &Path, only: Option<&Path>) -> Result<(), Failed> {
        let loaded = offline::load_tested(sites, only)?;
        self.unreadable |= loaded.tells_unreadable(sites);
        self.files += if only.is_some() { 1 } else { loaded.loader.len() };
        let mut together = loaded.together();
        together.extend(secrets(&loaded));
        let report = loaded.outcome.report;
        let only = only.map(|path| loaded.loader.places().show(path));
        let mut numbers = BTreeMap::new();
        for mut finding in report.findings.into_iter().chain(together) {
            let shown = report.texts.source(finding.primary.loc.file).map(|(path, _)| path);
            if only.as_deref().is_some_and(|only| shown != Some(only)) {
                continue;
            }
            each_file(&mut finding, &mut |file| {
                *numbers.entry(*file).or_insert_with(|| self.renumber(*file, &report.texts))
            });
            if !self.findings.contains(&finding) {
                self.findings.push(finding);
            }
        }
        Ok(())
    }

    fn renumber(&mut self, file: FileId, texts: &dyn Sources) -> FileId {
        let Some((path, text)) = texts.source(file) else { return file };
        if let Some((known, _)) = self.texts.iter().find(|(_, (p, t))| p == path && t == text) {
            return *known;
        }
        let number = FileId(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        self.texts.insert(number, (path.to_owned(), text.to_owned()));
        number
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|d| d.severity == severity).count()
    }

    fn print(&self, format: Format) {
        let text = match format {
            Format::Full => render::full(&self.findings, self, colours(&std::io::stdout())),
            Format::Concise => render::concise(&self.findings, self),
            Format::Json => render::json(&self.findings, self),
        };
        print(&text);
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
