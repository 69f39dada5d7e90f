//! What came of the tests of one or more sites directories, in plain values: each directory numbers its files
//! by itself, so places are turned into text where they are known.

use serde::Serialize;

/// Everything.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Tests and proofs, file by file, in the order in which they are written.
    pub(super) cases: Vec<Case>,
    /// Files that do not load, so that their tests were not run: the file, and why.
    pub(super) refused: Vec<Refused>,
    /// Where `--coverage` asks for it.
    pub(super) coverage: Option<Covered>,
}

/// A test, or a proof.
#[derive(Debug, Serialize)]
pub(super) struct Case {
    /// `test`, `prove`
    pub(super) kind: &'static str,
    pub(super) title: String,
    /// As the command was given it.
    pub(super) file: String,
    /// `sites/a.route:7`
    pub(super) place: String,
    pub(super) ok: bool,
    pub(super) failures: Vec<Failed>,
}

/// Something that is not as expected.
#[derive(Debug, Serialize)]
pub(super) struct Failed {
    pub(super) expected: String,
    pub(super) got: String,
    /// The line that expects it.
    pub(super) place: String,
    pub(super) request: Option<Asked>,
    /// The way of the request, as `explain` prints it.
    pub(super) trace: Vec<Told>,
}

/// The request or connection that is spoken of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Asked {
    pub(super) shown: String,
    pub(super) place: String,
}

/// A line of the way of a request.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    /// As it is printed, without its place.
    pub(super) text: String,
    /// Where the route file says so.
    pub(super) place: Option<String>,
}

/// A file whose tests were not run.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    pub(super) file: String,
    /// Its first error.
    pub(super) place: String,
    pub(super) why: String,
}

/// What the tests went through.
#[derive(Debug, Default, Serialize)]
pub(super) struct Covered {
    /// Of all outcomes, how many in a hundred were seen; one decimal, rounded down.
    pub(super) percent: f64,
    pub(super) routes: Share,
    /// Outcomes of `when`, `require` and `use … when`: two each.
    pub(super) conditions: Share,
    pub(super) catches: Share,
    /// What was not seen, by file and line.
    pub(super) missing: Vec<Missing>,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Share {
    pub(super) seen: usize,
    pub(super) all: usize,
}

/// What no test went through.
#[derive(Debug, Serialize)]
pub(super) struct Missing {
    pub(super) place: String,
    /// `route`, `when`, `require`, `use`, `catch`, `limit`
    pub(super) what: &'static str,
    /// `never reached`, `never true`, `never false`, `never asked`
    pub(super) missing: &'static str,
    pub(super) text: String,
}

impl Report {
    pub(super) fn passed(&self) -> usize {
        self.cases.iter().filter(|case| case.ok).count()
    }

    pub(super) fn failed(&self) -> usize {
        self.cases.len() - self.passed()
    }
}

impl Share {
    pub(super) fn add(&mut self, (all, seen): (usize, usize)) {
        self.all += all;
        self.seen += seen;
    }
}

impl Covered {
    /// Works out the share of all.
    pub(super) fn sum(&mut self) {
        let shares = [self.routes, self.conditions, self.catches];
        let (seen, all) = shares.iter().fold((0, 0), |(seen, all), share| (seen + share.seen, all + share.all));
        // Thousandths, rounded down: 99.9 is not all.
        let thousandths = (seen * 1000).checked_div(all).unwrap_or(1000);
        #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
        let percent = thousandths as f64 / 10.0;
        self.percent = percent;
    }
}
