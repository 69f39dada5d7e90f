//! Tests, run; and what is said of those that fail.

use super::ask::{Came, Sites};
use super::{Asked, Given, Step, Test, expect};
use crate::diagnostic::Diagnostic;
use crate::lint;
use crate::syntax::span::Loc;
use crate::tree::Program;
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

/// Runs the tests of a file on the file's programs, within a budget of steps ([`BUDGET`]). Those that it
/// does not suffice for fail.
#[must_use]
pub fn run(tests: &[Arc<Test>], programs: &[Arc<Program>], budget: u64) -> Vec<Verdict> {
    if tests.is_empty() {
        return Vec::new();
    }
    let sites = Sites::of(programs);
    let mut left = budget;
    let verdict = |test: &Arc<Test>| {
        let failures = match one(test, &sites, &mut left) {
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

/// `None` where the budget does not suffice.
fn one(test: &Test, sites: &Sites, left: &mut u64) -> Option<Vec<Failure>> {
    let mut failures = Vec::new();
    let mut given: Vec<&Given> = Vec::new();
    let mut asked: Option<(&Asked, Came<'_>)> = None;
    for step in &test.steps {
        *left = left.checked_sub(1)?;
        match step {
            Step::Given(one) => given.push(one),
            Step::Request(request) => {
                let came = sites.ask(request, &given);
                *left = left.checked_sub(came.lines.len() as u64)?;
                asked = Some((request, came));
            }
            Step::Expect(wanted) => {
                // The checker lets no `expect` pass without a request.
                let Some((request, came)) = &asked else { continue };
                if let Some(got) = expect::differs(&wanted.what, came, request) {
                    failures.push(Failure {
                        expected: Arc::clone(&wanted.shown),
                        got,
                        loc: wanted.loc,
                        request: Some((Arc::clone(&request.shown), request.loc)),
                        lines: came.lines.clone(),
                    });
                }
            }
        }
    }
    Some(failures)
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
