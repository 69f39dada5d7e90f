//! `sluice lint --explain CODE`

use crate::cli::{Failed, print};
use std::process::ExitCode;

/// Prints a finding's page; for one that comes later, what it comes with.
pub(super) fn explain(code: &str) -> Result<ExitCode, Failed> {
    let wanted = code.to_ascii_uppercase();
    if let Some(rule) = dsl::lint::rules().iter().find(|rule| rule.code == wanted) {
        print(&format!("# {}: {}\n\n{}\n", rule.code, rule.summary, rule.explain().trim()));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(planned) = dsl::lint::planned().find(|planned| planned.code == wanted) {
        let (code, summary, with) = (planned.code, planned.summary, planned.with);
        print(&format!("# {code}: {summary}\n\nplanned: this version does not make it; it comes with {with}\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let mean = match dsl::lint::near_code(&wanted) {
        Some(near) => format!("did you mean {near}?"),
        None => "codes look like G2002".to_owned(),
    };
    Err(Failed::new(format!("there is no finding `{code}`; {mean}")))
}
