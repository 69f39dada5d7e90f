//! `sluice test`: runs the tests that stand in route files.

mod full;
mod junit;
mod proofs;
mod report;

use super::offline::{self, Loaded};
use super::{FAILED, FOUND, Failed, print};
use crate::console::{Style, colours};
use crate::sites::item;
use clap::{Args, ValueEnum};
use dsl::diagnostic::{Severity, render};
use dsl::syntax::span::FileId;
use dsl::testing::{self, Coverage, Failure, Subject, Verdict, What};
use report::{Asked, Case, Covered, Missing, Refused, Report, Told};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Run the tests and proofs of route files
///
/// Walks the requests of `test "…" { … }` through the compiled program, as `sluice run` does before
/// it serves a file: no sockets, nothing is sent. A test speaks of the items of its own file. What
/// is not as expected is printed with the way that the request went.
///
/// A proof, `prove "…" { … }`, speaks of every request to every site, and is decided by the analysis: a
/// request that refutes it is printed, with the way that it goes.
///
/// A directory is taken as a whole. A file is taken together with the sites directory it lies in,
/// and only its own tests are run. `gateway { tests off }` keeps `sluice run` from running them, not
/// this.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  every test passes and every proof holds, or there is none
  1  a test fails, a proof does not hold or cannot be decided, or --fail-under is not reached
  2  it could not run: a wrong argument, a path that cannot be read, a file that does not compile

Examples:
  sluice test
  sluice test sites/shop.route
  sluice test --coverage --fail-under 90 examples/saas/sites
  sluice test --format junit sites > report.xml      in CI

A test, in the file of its site:

  test \"the old address moved\" {
      request GET https://www.example.com/old
      expect redirect 308 https://www.example.com/new
  }")]
pub struct Test {
    /// Route files and directories [default: sites]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Run only those whose title has this in it
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Say which routes and which outcomes of conditions no test goes through
    #[arg(long)]
    coverage: bool,
    /// Fail where the coverage is below so many percent
    #[arg(long, value_name = "PERCENT", requires = "coverage", value_parser = percent)]
    fail_under: Option<f64>,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Format::Full)]
    format: Format,
    /// As `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse::<f64>().ok().filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "a number from 0 to 100".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Full,
    /// For programs: one object
    Json,
    /// JUnit's XML
    Junit,
}

impl Test {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let mut ran = Ran { filter: self.filter.as_deref(), ..Ran::default() };
        if self.coverage {
            ran.report.coverage = Some(Covered::default());
        }
        let paths = if self.paths.is_empty() { vec![PathBuf::from("sites")] } else { self.paths.clone() };
        for path in &paths {
            let (sites, below) = offline::place(path)?;
            ran.load(&sites, below.as_deref())?;
        }
        if let Some(coverage) = &mut ran.report.coverage {
            coverage.sum();
        }
        let report = &ran.report;
        print(&match if self.json { Format::Json } else { self.format } {
            Format::Full => full::full(report, Style { colours: colours(&std::io::stdout()) }),
            Format::Json => serde_json::to_string_pretty(report).expect("texts and numbers always serialise") + "\n",
            Format::Junit => junit::junit(report),
        });
        Ok(self.ends(report, ran.broken))
    }

    /// Says how it went, to standard error.
    fn ends(&self, report: &Report, broken: bool) -> ExitCode {
        let failed = report.failed();
        let tests = super::run::count(report.cases.len(), "test");
        let words = if failed == 0 { String::new() } else { format!(", {failed} failed") };
        let _ = writeln!(std::io::stderr(), "{tests} run: {} ok{words}", report.passed());
        let percent = report.coverage.as_ref().map(|coverage| coverage.percent);
        let below = percent.zip(self.fail_under).filter(|(percent, wanted)| percent < wanted);
        if let Some((percent, wanted)) = below {
            let _ = writeln!(std::io::stderr(), "error: the coverage is {percent:.1} %, below {wanted} %");
        }
        if broken {
            ExitCode::from(FAILED)
        } else if failed > 0 || below.is_some() {
            ExitCode::from(FOUND)
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// What came of it.
#[derive(Default)]
struct Ran<'a> {
    filter: Option<&'a str>,
    report: Report,
    /// Whether a file does not load, or a directory cannot be read.
    broken: bool,
}

impl Ran<'_> {
    fn load(&mut self, sites: &Path, only: Option<&Path>) -> Result<(), Failed> {
        let loaded = offline::load(sites, only)?;
        self.broken |= loaded.tells_unreadable(sites);
        let shown = only.map(|only| loaded.loader.places().show(only));
        self.refused(&loaded, shown.as_deref());
        let mut coverage = Coverage::default();
        if self.report.coverage.is_some() {
            expect_all(&loaded, &mut coverage);
        }
        let wanted = |title: &str| self.filter.is_none_or(|filter| title.contains(filter));
        let mut cases: Vec<(Arc<Path>, Case)> = Vec::new();
        for tested in loaded.loader.tests() {
            if only.is_some_and(|only| *tested.path != *only) {
                continue;
            }
            let tests: Vec<_> = tested.tests.iter().filter(|test| wanted(&test.title)).cloned().collect();
            let (listening, passthroughs) = item::by_kind(tested.items.iter().map(|item| &**item));
            let subject = Subject { programs: &tested.sites, listening: &listening, passthroughs: &passthroughs };
            let verdicts = testing::run_covering(&tests, subject, testing::BUDGET, &mut coverage);
            let file = loaded.loader.places().show(&tested.path);
            cases.extend(verdicts.iter().map(|verdict| (Arc::clone(&tested.path), case(verdict, &file, &loaded))));
        }
        for proved in loaded.loader.proofs(&wanted) {
            let file = loaded.loader.places().show(&proved.path);
            let ours = proved.outcomes.iter().filter(|_| only.is_none_or(|only| *proved.path == *only));
            cases.extend(ours.map(|outcome| (Arc::clone(&proved.path), proofs::case(outcome, &file, &loaded))));
        }
        // Tests before proofs, file by file.
        cases.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.report.cases.extend(cases.into_iter().map(|(_, case)| case));
        if let Some(covered) = &mut self.report.coverage {
            add(covered, &coverage, &loaded, shown.as_deref());
        }
        Ok(())
    }

    /// Files that do not compile: nothing can be said of their tests.
    fn refused(&mut self, loaded: &Loaded, only: Option<&str>) {
        let report = &loaded.outcome.report;
        let concerned = |path: &str| only.is_none_or(|only| only == path);
        if !report.refused().any(|(path, ..)| concerned(path)) {
            return;
        }
        self.broken = true;
        let errors = report.findings.iter().filter(|d| d.severity == Severity::Error).cloned().collect::<Vec<_>>();
        let text = render::full(&errors, &report.texts, colours(&std::io::stderr()));
        let _ = write!(std::io::stderr(), "{text}");
        for (path, why, _) in report.refused().filter(|(path, ..)| concerned(path)) {
            let _ =
                writeln!(std::io::stderr(), "error: {path} does not load ({}), so its tests were not run", why.place);
            let (place, why) = (why.place.clone(), why.message.clone());
            self.report.refused.push(Refused { file: path.to_owned(), place, why });
        }
    }
}

fn case(verdict: &Verdict, file: &str, loaded: &Loaded) -> Case {
    let texts = &loaded.outcome.report.texts;
    let failure = |failure: &Failure| report::Failed {
        expected: failure.expected.to_string(),
        got: failure.got.clone(),
        place: texts.line(failure.loc),
        request: failure
            .request
            .as_ref()
            .map(|(shown, loc)| Asked { shown: shown.to_string(), place: texts.line(*loc) }),
        trace: failure
            .lines
            .iter()
            .map(|line| Told { text: line.plain(), place: line.loc.map(|loc| texts.line(loc)) })
            .collect(),
    };
    Case {
        kind: "test",
        title: verdict.test.title.to_string(),
        file: file.to_owned(),
        place: texts.line(verdict.test.loc),
        ok: verdict.failures.is_empty(),
        failures: verdict.failures.iter().map(failure).collect(),
    }
}

/// What there is to go through in a sites directory, files without tests included.
fn expect_all(loaded: &Loaded, coverage: &mut Coverage) {
    let programs: Vec<_> = loaded.loader.sites().into_iter().map(|(_, program)| program).collect();
    let items = loaded.loader.items();
    let (listening, passthroughs) = item::by_kind(items.iter().map(|(_, item)| &**item));
    coverage.expect(Subject { programs: &programs, listening: &listening, passthroughs: &passthroughs });
}

/// Adds what the tests of a sites directory went through. The standard library's own lines have tests of
/// their own.
fn add(covered: &mut Covered, coverage: &Coverage, loaded: &Loaded, only: Option<&str>) {
    let texts = &loaded.outcome.report.texts;
    let shown = |file: FileId| dsl::diagnostic::Sources::source(texts, file).map(|(path, _)| path);
    let wanted =
        |file: FileId| dsl::stdlib::source(file).is_none() && only.is_none_or(|only| shown(file) == Some(only));
    for point in coverage.points(wanted) {
        let share = match point.what {
            What::Route => &mut covered.routes,
            What::When | What::Require | What::Use | What::Limit => &mut covered.conditions,
            What::Catch => &mut covered.catches,
        };
        share.add(point.outcomes());
        if let Some(missing) = point.missing() {
            covered.missing.push(Missing {
                place: texts.line(point.loc),
                what: point.what.word(),
                missing,
                text: point.shown.clone(),
            });
        }
    }
}
