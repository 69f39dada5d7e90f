//! For people: what failed, with the way of its request, and what no test goes through.

use super::report::{Case, Covered, Failed, Report, Share};
use crate::console::{Style, printable};
use std::fmt::Write;

/// The report as text.
pub(super) fn full(report: &Report, style: Style) -> String {
    let mut out = String::new();
    let mut file = None;
    for case in &report.cases {
        if file != Some(&case.file) {
            let _ = writeln!(out, "{}", style.bold(&printable(&case.file)));
            file = Some(&case.file);
        }
        of_case(&mut out, case, style);
    }
    if let Some(coverage) = &report.coverage {
        covered(&mut out, coverage, style);
    }
    out
}

fn of_case(out: &mut String, case: &Case, style: Style) {
    let kind = if case.kind == "test" { String::new() } else { format!("{} ", case.kind) };
    let title = printable(&case.title);
    if case.ok {
        let _ = writeln!(out, "  {}      {kind}{title}", style.green("ok"));
        return;
    }
    let _ = writeln!(out, "  {}  {kind}{title}{}", style.red("FAILED"), place(&case.place, style));
    let mut told = None;
    for failure in &case.failures {
        // The way of a request is told once, below the first thing that is not as expected.
        of_failure(out, failure, told.is_some() && told == failure.request.as_ref(), style);
        told = failure.request.as_ref();
    }
}

fn of_failure(out: &mut String, failure: &Failed, told: bool, style: Style) {
    if let Some(request) = failure.request.as_ref().filter(|_| !told) {
        let _ = writeln!(out, "    {:<9} {}{}", "request", printable(&request.shown), place(&request.place, style));
    }
    let _ = writeln!(out, "    {:<9} {}{}", "expected", printable(&failure.expected), place(&failure.place, style));
    let _ = writeln!(out, "    {:<9} {}", "got", printable(&failure.got));
    for line in failure.trace.iter().filter(|_| !told) {
        let at = line.place.as_ref().map(|at| place(at, style)).unwrap_or_default();
        let mut text = line.text.lines();
        let _ = writeln!(out, "      {}{at}", printable(text.next().unwrap_or_default()));
        for more in text {
            let _ = writeln!(out, "      {}", printable(more));
        }
    }
}

fn place(at: &str, style: Style) -> String {
    format!("  {}", style.dim(&format!("[{at}]")))
}

fn covered(out: &mut String, coverage: &Covered, style: Style) {
    let named = |share: Share, name: &str| (share.all > 0).then(|| format!("{} of {} {name}", share.seen, share.all));
    let parts = [
        named(coverage.routes, "routes"),
        named(coverage.conditions, "outcomes of conditions"),
        named(coverage.catches, "catches"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let what = if parts.is_empty() { "nothing to go through".to_owned() } else { parts.join(", ") };
    let _ = writeln!(out, "{}  {what}", style.bold(&format!("coverage {:.1} %", coverage.percent)));
    let widest = coverage.missing.iter().map(|missing| missing.place.len()).max().unwrap_or_default();
    for missing in &coverage.missing {
        let padded = format!("{:<13}", missing.missing);
        let _ = writeln!(out, "  {:<widest$}  {}  {}", missing.place, style.yellow(&padded), printable(&missing.text));
    }
}
