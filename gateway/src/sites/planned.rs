//! The difference of two versions, printed: by `sluice plan`, and by the console at each reload.

use crate::console::{Style, printable};
use dsl::reach::plan::{Change, Difference, Kind};
use std::fmt::Write;

/// What differs, grouped by site, and by tenant where there are tenants; no more than so many changes are
/// written out.
pub(crate) fn text(found: &Difference, most: usize, style: Style) -> String {
    let mut out = String::new();
    let (certain, all) = (found.certain().count(), found.changes.len());
    let head = match (certain, all - certain, found.undecided.len()) {
        (0, 0, 0) => "no change in behaviour".to_owned(),
        (0, 0, _) => "it cannot be decided whether behaviour changes".to_owned(),
        (certain, possibly, _) => counted(certain, possibly),
    };
    let _ = writeln!(out, "{} {head}", style.bold("plan:"));
    let mut left = most;
    for group in found.changes.chunk_by(|a, b| a.tenant == b.tenant) {
        let shown = &group[..group.len().min(left)];
        left -= shown.len();
        let indent = if found.tenants { "  " } else { "" };
        if found.tenants && !shown.is_empty() {
            let certain = group.iter().filter(|change| !change.possibly).count();
            let whose = match &group[0].tenant {
                Some(tenant) => format!("tenant {tenant}:"),
                None => "outside tenants:".to_owned(),
            };
            let _ = writeln!(out, "  {} {}", style.bold(&printable(&whose)), counted(certain, group.len() - certain));
        }
        let mut site = None;
        for change in shown {
            if site != Some(&change.site) {
                let _ = writeln!(out, "  {indent}{}", printable(&change.site));
                site = Some(&change.site);
            }
            line(&mut out, change, indent, style);
        }
    }
    if all > most {
        let _ = writeln!(out, "  and {} more; `sluice plan` lists them", all - most);
    }
    for why in &found.undecided {
        let _ = writeln!(out, "  undecided: {}", printable(why));
    }
    out
}

/// How many behaviours change, and how many may.
fn counted(certain: usize, possibly: usize) -> String {
    let behaviours =
        |n: usize| if n == 1 { "1 behaviour changes".to_owned() } else { format!("{n} behaviours change") };
    match (certain, possibly) {
        (0, possibly) => format!("possibly {}", behaviours(possibly)),
        (certain, 0) => behaviours(certain),
        (certain, possibly) => format!("{}, and possibly {possibly} more", behaviours(certain)),
    }
}

fn line(out: &mut String, change: &Change, indent: &str, style: Style) {
    let sign = change.kind.sign().to_string();
    let sign = match change.kind {
        Kind::Changed => style.yellow(&sign),
        Kind::New => style.green(&sign),
        Kind::Gone => style.red(&sign),
    };
    let path = if change.path.is_empty() { String::new() } else { format!("{}  ", printable(&change.path)) };
    let when = change.when.as_ref().map(|when| format!("when {}  ", printable(when))).unwrap_or_default();
    let _ =
        writeln!(out, "{indent}    {sign} {path}{when}{} → {}", printable(&change.before), printable(&change.after));
    match (&change.witness, change.possibly) {
        (Some(witness), _) => {
            let _ = writeln!(out, "{indent}        {}", style.dim(&format!("e.g. {}", printable(witness))));
        }
        (None, true) => {
            let why = "possibly: no request was found that shows it, and what it rests on cannot be looked into";
            let _ = writeln!(out, "{indent}        {}", style.dim(why));
        }
        (None, false) => {}
    }
}
