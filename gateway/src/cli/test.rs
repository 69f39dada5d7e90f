//! `sluice test`: runs the tests that stand in route files.

use super::offline::{self, Loaded};
use super::{FAILED, FOUND, Failed, print, story};
use crate::console::{Style, colours, printable};
use clap::Args;
use dsl::diagnostic::{Severity, render};
use dsl::testing::{self, Failure, Verdict};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Run the tests of route files
///
/// Walks the requests of `test "…" { … }` through the compiled program, as `sluice run` does before
/// it serves a file: no sockets, nothing is sent. A test speaks of the sites of its own file. What
/// is not as expected is printed with the way that the request went.
///
/// A directory is taken as a whole. A file is taken together with the sites directory it lies in,
/// and only its own tests are run. `gateway { tests off }` keeps `sluice run` from running them, not
/// this.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  every test passes, or there is none
  1  a test fails
  2  it could not run: a wrong argument, a path that cannot be read, a file that does not compile

Examples:
  sluice test
  sluice test sites/shop.route
  sluice test examples/saas/sites

A test, in the file of its site:

  test \"the old address moved\" {
      request GET https://www.example.com/old
      expect redirect 308 https://www.example.com/new
  }")]
pub struct Test {
    /// Route files and directories [default: sites]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl Test {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let mut ran = Ran { style: Style { colours: colours(&std::io::stdout()) }, ..Ran::default() };
        let paths = if self.paths.is_empty() { vec![PathBuf::from("sites")] } else { self.paths };
        for path in &paths {
            ran.path(path)?;
        }
        print(&ran.out);
        let tests = super::run::count(ran.passed + ran.failed, "test");
        let failed = if ran.failed == 0 { String::new() } else { format!(", {} failed", ran.failed) };
        let _ = writeln!(std::io::stderr(), "{tests} run: {} ok{failed}", ran.passed);
        Ok(match (ran.broken, ran.failed) {
            (true, _) => ExitCode::from(FAILED),
            (false, 0) => ExitCode::SUCCESS,
            (false, _) => ExitCode::from(FOUND),
        })
    }
}

/// What came of it.
#[derive(Default)]
struct Ran {
    out: String,
    style: Style,
    passed: usize,
    failed: usize,
    /// Whether a file does not load, or a directory cannot be read.
    broken: bool,
}

impl Ran {
    fn path(&mut self, path: &Path) -> Result<(), Failed> {
        let (sites, below) = offline::place(path)?;
        self.load(&sites, below.as_deref())
    }

    fn load(&mut self, sites: &Path, only: Option<&Path>) -> Result<(), Failed> {
        let loaded = offline::load(sites, only)?;
        self.broken |= loaded.tells_unreadable(sites);
        let shown = only.map(|only| loaded.loader.places().show(only));
        self.refused(&loaded, shown.as_deref());
        for tested in loaded.loader.tests() {
            if only.is_some_and(|only| *tested.path != *only) {
                continue;
            }
            let verdicts = testing::run(&tested.tests, &tested.sites, testing::BUDGET);
            let path = loaded.loader.places().show(&tested.path);
            let _ = writeln!(self.out, "{}", self.style.bold(&printable(&path)));
            for verdict in &verdicts {
                self.verdict(verdict, &loaded);
            }
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
        }
    }

    fn verdict(&mut self, verdict: &Verdict, loaded: &Loaded) {
        let title = &verdict.test.title;
        if verdict.failures.is_empty() {
            self.passed += 1;
            let _ = writeln!(self.out, "  {}      {}", self.style.green("ok"), printable(title));
            return;
        }
        self.failed += 1;
        let place = story::place(Some(verdict.test.loc), self.style, &loaded.outcome.report.texts);
        let _ = writeln!(self.out, "  {}  {}{place}", self.style.red("FAILED"), printable(title));
        let mut told = None;
        for failure in &verdict.failures {
            let request = failure.request.as_ref().map(|(_, loc)| *loc);
            // The way of a request is told once, below the first thing that is not as expected.
            self.failure(failure, told == request && request.is_some(), loaded);
            told = request;
        }
    }

    fn failure(&mut self, failure: &Failure, told: bool, loaded: &Loaded) {
        let texts = &loaded.outcome.report.texts;
        let place = |loc| story::place(Some(loc), self.style, texts);
        if let Some((request, loc)) = failure.request.as_ref().filter(|_| !told) {
            let _ = writeln!(self.out, "    {:<9} {}{}", "request", printable(request), place(*loc));
        }
        let _ = writeln!(self.out, "    {:<9} {}{}", "expected", printable(&failure.expected), place(failure.loc));
        let _ = writeln!(self.out, "    {:<9} {}", "got", printable(&failure.got));
        if told {
            return;
        }
        for line in &failure.lines {
            for line in story::line(line, self.style, texts).lines() {
                let _ = writeln!(self.out, "      {line}");
            }
        }
    }
}
