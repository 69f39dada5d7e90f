//! `sluice plan OLD NEW`: which requests another version treats otherwise.

use super::offline::{self, Loaded};
use super::{FAILED, FOUND, Failed, print};
use crate::console::{Style, colours};
use crate::sites::item;
use crate::sites::planned;
use clap::{Args, ValueEnum};
use dsl::diagnostic::{Severity, render};
use dsl::reach::plan::{self, Difference, Home, Version};
use dsl::testing::{self, Subject};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Say which requests another version of the route files treats otherwise
///
/// Compares what two versions mean, not how they are written: sites are paired by their hosts, pools
/// are the same by their endpoints and settings. Each line is a set of requests, with one of them that
/// was asked of both versions. Other names, another order, a policy taken out or a site in another file
/// change nothing, and nothing is printed; then it is shown that no request is treated otherwise.
///
/// What is on disk beside the route files (rows of tables, served files, certificates) is not compared.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  no change in behaviour
  1  it could not be decided, or a version does not load
  2  behaviour changes

Examples:
  sluice plan /etc/sluice/sites sites
  sluice plan shop.route.old sites/shop.route
  git worktree add /tmp/main main && sluice plan /tmp/main/sites sites      before a merge
  sluice plan --format json old/sites sites")]
pub struct Plan {
    /// The version before: a directory of route files, or one file
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The version after
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs: one object
    Json,
}

/// The result as programs read it.
#[derive(Serialize)]
struct Told<'a> {
    verdict: &'static str,
    changes: Vec<Change<'a>>,
    undecided: &'a [String],
    tests: Share,
    proofs: Share,
}

#[derive(Serialize)]
struct Change<'a> {
    kind: &'static str,
    tenant: Option<&'a str>,
    site: &'a str,
    path: &'a str,
    when: Option<&'a str>,
    before: &'a str,
    after: &'a str,
    witness: Option<&'a str>,
    possibly: bool,
}

/// So many of all are well.
#[derive(Clone, Copy, Default, Serialize)]
struct Share {
    all: usize,
    well: usize,
}

impl Plan {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        // 2 says that behaviour changes; what cannot be told is 1.
        self.compared().or_else(|failed| {
            let style = Style { colours: colours(&std::io::stderr()) };
            let _ = writeln!(std::io::stderr(), "{} {}", style.red("error:"), failed.0);
            Ok(ExitCode::from(FOUND))
        })
    }

    fn compared(&self) -> Result<ExitCode, Failed> {
        let (old, new) = (load(&self.old)?, load(&self.new)?);
        if refused(&old, &self.old) | refused(&new, &self.new) {
            return Ok(ExitCode::from(FOUND));
        }
        let found = plan::difference(&version(&old, &self.old), &version(&new, &self.new), plan::BUDGET);
        let (tests, proofs) = (tests(&new), proofs(&new));
        let verdict = match (found.certain().next(), found.is_none()) {
            (Some(_), _) => "changes",
            (None, true) => "none",
            (None, false) => "undecided",
        };
        print(&match self.format {
            Format::Text => text(&found, tests, proofs),
            Format::Json => json(&found, verdict, tests, proofs),
        });
        Ok(match verdict {
            "none" => ExitCode::SUCCESS,
            "changes" => ExitCode::from(FAILED),
            _ => ExitCode::from(FOUND),
        })
    }
}

fn load(path: &Path) -> Result<Loaded, Failed> {
    let meta = std::fs::metadata(path).map_err(|e| Failed::new(format!("cannot read `{}`: {e}", path.display())))?;
    if meta.is_dir() { offline::load(path, None) } else { offline::load_alone(path) }
}

/// Tells what of a version does not load; whether anything does not.
fn refused(loaded: &Loaded, path: &Path) -> bool {
    let unreadable = loaded.tells_unreadable(path);
    let report = &loaded.outcome.report;
    if report.refused().next().is_none() {
        return unreadable;
    }
    let errors: Vec<_> = report.findings.iter().filter(|d| d.severity == Severity::Error).cloned().collect();
    let _ = write!(std::io::stderr(), "{}", render::full(&errors, &report.texts, colours(&std::io::stderr())));
    let _ = writeln!(std::io::stderr(), "error: {} does not load, so it cannot be compared", path.display());
    true
}

fn version(loaded: &Loaded, path: &Path) -> Version {
    let home = |path: &Path| -> Home { loaded.loader.home(path) };
    let sites = loaded.loader.sites().into_iter().map(|(path, program)| (program, home(&path)));
    let carried = loaded.loader.items().into_iter().map(|(path, item)| (item.carried(), home(&path)));
    // Of one file nothing is known of the gateway.
    let whole = path.is_dir();
    let gateway = whole.then(|| loaded.outcome.gateway.clone().unwrap_or_default());
    let tenants = loaded.loader.tenants().to_vec();
    Version { sites: sites.collect(), carried: carried.collect(), tenants, gateway }
}

fn tests(loaded: &Loaded) -> Share {
    let mut share = Share::default();
    for tested in loaded.loader.tests() {
        let (listening, passthroughs) = item::by_kind(tested.items.iter().map(|item| &**item));
        let subject = Subject { programs: &tested.sites, listening: &listening, passthroughs: &passthroughs };
        for verdict in testing::run(&tested.tests, subject, testing::BUDGET) {
            share.all += 1;
            share.well += usize::from(verdict.failures.is_empty());
        }
    }
    share
}

fn proofs(loaded: &Loaded) -> Share {
    let outcomes = loaded.loader.proofs(&|_| true).into_iter().flat_map(|proved| proved.outcomes);
    outcomes.fold(Share::default(), |share, outcome| Share {
        all: share.all + 1,
        well: share.well + usize::from(outcome.holds()),
    })
}

fn text(found: &Difference, tests: Share, proofs: Share) -> String {
    let style = Style { colours: colours(&std::io::stdout()) };
    let mut out = planned::text(found, usize::MAX, style);
    let mut said = Vec::new();
    if proofs.all > 0 {
        said.push(format!("{} of {} proofs hold", proofs.well, proofs.all));
    }
    if tests.all > 0 {
        said.push(format!("{} of {} tests pass", tests.well, tests.all));
    }
    if !said.is_empty() {
        let _ = writeln!(out, "  {}", said.join(" · "));
    }
    out
}

fn json(found: &Difference, verdict: &'static str, tests: Share, proofs: Share) -> String {
    let told =
        Told { verdict, changes: found.changes.iter().map(row).collect(), undecided: &found.undecided, tests, proofs };
    serde_json::to_string_pretty(&told).expect("texts and numbers always serialise") + "\n"
}

fn row(change: &plan::Change) -> Change<'_> {
    let plan::Change { kind, tenant, site, path, when, before, after, witness, possibly } = change;
    Change {
        kind: kind.word(),
        tenant: tenant.as_deref(),
        site,
        path,
        when: when.as_deref(),
        before,
        after,
        witness: witness.as_deref(),
        possibly: *possibly,
    }
}
