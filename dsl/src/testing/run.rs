//! Tests, run; and what is said of those that fail.

use super::ask::{Came, Sites};
use super::ask_l4::{self, Went};
use super::world::{Limits, NOW, World};
use super::{Asked, Connection, Coverage, Earlier, Given, Step, Test, expect};
use crate::diagnostic::Diagnostic;
use crate::lint;
use crate::syntax::span::Loc;
use crate::tree::Program;
use crate::tree::l4::{Listening, Passthrough};
use crate::tree::tell::Line;
use std::sync::Arc;

/// How many steps the tests of a file may take together: a line of a test is one, and so is each line of
/// the way of a request (a candidate, a policy).
pub const BUDGET: u64 = 200_000;

/// What came of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The test.
    pub test: Arc<Test>,
    /// What is not as expected; empty where it passes.
    pub failures: Vec<Failure>,
}

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What is expected, as written.
    pub expected: Arc<str>,
    /// What came.
    pub got: String,
    /// The line that expects it.
    pub loc: Loc,
    /// The request, as written, and its line.
    pub request: Option<(Arc<str>, Loc)>,
    /// The way of the request.
    pub lines: Vec<Line>,
}

/// What the tests of a file are about: what the file was compiled to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// Its sites.
    pub programs: &'a [Arc<Program>],
    /// Its `tcp` and `udp` items.
    pub listening: &'a [Arc<Listening>],
    /// Its `passthrough` items.
    pub passthroughs: &'a [Arc<Passthrough>],
}

/// Runs the tests of a file, within a budget of steps ([`BUDGET`]). Those that it does not suffice for fail.
#[must_use]
pub fn run(tests: &[Arc<Test>], subject: Subject<'_>, budget: u64) -> Vec<Verdict> {
    run_covering(tests, subject, budget, &mut Coverage::default())
}

/// [`run`], and notes what the tests went through of what is expected to be gone through.
#[must_use]
pub fn run_covering(tests: &[Arc<Test>], subject: Subject<'_>, budget: u64, coverage: &mut Coverage) -> Vec<Verdict> {
    if tests.is_empty() {
        return Vec::new();
    }
    let sites = Sites::of(subject.programs);
    let mut running = Running { sites: &sites, subject, left: budget, coverage };
    let verdict = |test: &Arc<Test>| {
        let failures = match running.one(test) {
            Some(failures) => failures,
            None => vec![Failure {
                expected: "an end".into(),
                got: format!("the tests of this file take more than {budget} steps"),
                loc: test.loc,
                request: None,
                lines: Vec::new(),
            }],
        };
        Verdict { test: Arc::clone(test), failures }
    };
    tests.iter().map(verdict).collect()
}

struct Running<'s, 'c> {
    sites: &'s Sites,
    subject: Subject<'s>,
    /// Steps that may still be taken.
    left: u64,
    coverage: &'c mut Coverage,
}

/// What an `expect` is about.
enum About<'s, 't> {
    Request(&'t Asked, Came<'s>),
    Connection(&'t Connection, Went<'s>),
}

impl<'s> Running<'s, '_> {
    /// `None` where the budget does not suffice.
    fn one(&mut self, test: &Test) -> Option<Vec<Failure>> {
        let mut failures = Vec::new();
        let mut given: Vec<&Given> = Vec::new();
        let mut about: Option<About<'s, '_>> = None;
        // What limits have counted, how much of what is given was played, and the time it is.
        let (mut limits, mut played, mut now) = (Limits::default(), 0, NOW);
        for step in &test.steps {
            self.take(1)?;
            match step {
                Step::Given(one) => given.push(one),
                Step::Request(request) => {
                    while played < given.len() {
                        match given[played] {
                            Given::Time(at) => {
                                now = *at;
                                limits.pass();
                            }
                            Given::Requests(earlier) => {
                                self.play(earlier, request, &given[..played], now, &mut limits)?;
                            }
                            _ => {}
                        }
                        played += 1;
                    }
                    let came = self.sites.ask(request, &given, World::new(&given, request, now, &mut limits));
                    limits.answered(came.answered, now);
                    self.take(came.lines.len())?;
                    self.coverage.came(&came);
                    about = Some(About::Request(request, came));
                }
                Step::Connect(connection) => {
                    let went = ask_l4::ask(self.subject, connection, &given);
                    self.take(went.lines.len())?;
                    self.coverage.went(&went);
                    about = Some(About::Connection(connection, went));
                }
                Step::Expect(wanted) => {
                    // The checker lets no `expect` pass without a request.
                    let Some(about) = &about else { continue };
                    let (got, request, lines) = match about {
                        About::Request(request, came) => {
                            let shown = (Arc::clone(&request.shown), request.loc);
                            (expect::differs(&wanted.what, came, request), shown, &came.lines)
                        }
                        About::Connection(connection, went) => {
                            let shown = (connection.to.to_string().into(), connection.loc);
                            (expect::differs_l4(&wanted.what, &went.end), shown, &went.lines)
                        }
                    };
                    failures.extend(got.map(|got| Failure {
                        expected: Arc::clone(&wanted.shown),
                        got,
                        loc: wanted.loc,
                        request: Some(request),
                        lines: lines.clone(),
                    }));
                }
            }
        }
        Some(failures)
    }

    /// Plays the requests that came before another one, which they are like.
    fn play(&mut self, earlier: &Earlier, like: &Asked, given: &[&Given], now: i64, limits: &mut Limits) -> Option<()> {
        let mut asked = like.clone();
        asked.plain.headers.retain(|(name, _)| !earlier.headers.iter().any(|(own, _)| own == name));
        asked.plain.headers.extend(earlier.headers.iter().cloned());
        let mut from = earlier.from.iter().cycle();
        for _ in 0..earlier.count {
            if let Some(ip) = from.next() {
                asked.plain.client.0 = *ip;
            }
            let came = self.sites.ask(&asked, given, World::new(given, like, now, limits));
            limits.answered(came.answered, now);
            self.take(came.lines.len())?;
        }
        Some(())
    }

    fn take(&mut self, steps: usize) -> Option<()> {
        self.left = self.left.checked_sub(steps as u64)?;
        Some(())
    }
}

/// What `lint` and the gateway say of tests that fail: G9007, an error each.
#[must_use]
pub fn findings(verdicts: &[Verdict]) -> Vec<Diagnostic> {
    let each = |verdict: &Verdict| {
        let of = |failure: &Failure| lint::g9007::fails(&verdict.test, failure);
        verdict.failures.iter().map(of).collect::<Vec<_>>()
    };
    verdicts.iter().flat_map(each).collect()
}
