//! Proofs as cases of the report.

use super::report::{Asked, Case, Failed, Told};
use crate::cli::offline::Loaded;
use dsl::reach::prove::{Claim, Outcome, Verdict};
use std::io::Write as _;

/// What came of a proof.
pub(super) fn case(outcome: &Outcome, file: &str, loaded: &Loaded) -> Case {
    let texts = &loaded.outcome.report.texts;
    for (claim, verdict) in &outcome.claims {
        if *verdict == (Verdict::Holds { meant: false }) {
            let place = texts.line(claim.loc);
            let _ = writeln!(std::io::stderr(), "note: no request is meant by `{}`  [{place}]", claim.shown);
        }
    }
    Case {
        kind: "prove",
        title: outcome.proof.title.to_string(),
        file: file.to_owned(),
        place: texts.line(outcome.proof.loc),
        ok: outcome.holds(),
        failures: outcome.failures().filter_map(|(claim, verdict)| failed(claim, verdict, loaded)).collect(),
    }
}

fn failed(claim: &Claim, verdict: &Verdict, loaded: &Loaded) -> Option<Failed> {
    let texts = &loaded.outcome.report.texts;
    let (got, request, trace) = match verdict {
        Verdict::Holds { .. } => return None,
        Verdict::Undecided(why) => (format!("undecided: {why}"), None, Vec::new()),
        Verdict::Refuted(counter) => {
            let told = counter.lines.iter();
            let told = told.map(|line| Told { text: line.plain(), place: line.loc.map(|loc| texts.line(loc)) });
            let request = Asked { shown: counter.request.clone(), place: texts.line(counter.at) };
            (format!("a request that {}", counter.why), Some(request), told.collect())
        }
    };
    Some(Failed { expected: claim.shown.to_string(), got, place: texts.line(claim.loc), request, trace })
}
