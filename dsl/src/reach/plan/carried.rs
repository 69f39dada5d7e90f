//! `tcp`, `udp` and `passthrough` items, compared: by what they listen on or whose name they take.

use super::same::Both;
use super::{Change, Difference, Home, Kind};
use crate::reach::Carried;
use crate::tree::ir::{Cond, PoolIdx};
use crate::tree::l4::{Entry, Rules, Settings, Step, Target};
use crate::tree::words;
use std::collections::BTreeMap;

/// Adds what differs.
pub(super) fn compare(old: &[(Carried, Home)], new: &[(Carried, Home)], out: &mut Difference) {
    let by_name = |all: &[(Carried, Home)]| -> BTreeMap<String, (Carried, Home)> {
        all.iter().map(|(item, home)| (item.name(), (item.clone(), home.clone()))).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let mut both = Both::default();
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (kind, before, after) = match (old.get(name), new.get(name)) {
            (Some((a, home_a)), Some((b, home_b))) => {
                let (x, y) = (a.rules(), b.rules());
                if plain(x, &home_a.dir, &mut both) == plain(y, &home_b.dir, &mut both) {
                    continue;
                }
                let (before, after) = (shown(x, false), shown(y, false));
                if before == after {
                    (Kind::Changed, shown(x, true), shown(y, true))
                } else {
                    (Kind::Changed, before, after)
                }
            }
            (Some((a, _)), None) => (Kind::Gone, shown(a.rules(), false), "nothing listens".to_owned()),
            (None, Some((b, _))) => (Kind::New, "nothing listens".to_owned(), shown(b.rules(), false)),
            (None, None) => continue,
        };
        let home = new.get(name).or_else(|| old.get(name)).map(|(_, home)| home.tenant.clone());
        out.changes.push(Change { tenant: home.flatten(), ..Change::said(kind, name, before, after) });
    }
}

/// Rules without names and places.
type Plain = (Vec<(Cond, Vec<String>, String)>, Settings);

fn plain(rules: &Rules, dir: &str, both: &mut Both) -> Plain {
    let mut entries = Vec::new();
    for entry in &rules.entries {
        let mut pool = |index: &PoolIdx| both.pool(&rules.pools[index.0 as usize], dir).0;
        let target = match &entry.target {
            Target::Pool(index) => format!("{}", pool(index)),
            Target::Split { shares, by, salt } => {
                let shares: Vec<_> = shares.iter().map(|(share, index)| (*share, pool(index))).collect();
                format!("{shares:?} by {by:?} {}", if by.is_some() { *salt } else { 0 })
            }
            Target::Deny => "deny".to_owned(),
        };
        entries.push((entry.guard.clone(), entry.steps.iter().map(ToString::to_string).collect(), target));
    }
    (entries, rules.settings.clone())
}

/// What it says, in a line; with the endpoints and settings where that is not enough.
fn shown(rules: &Rules, more: bool) -> String {
    let entry = |entry: &Entry| {
        let when = if entry.guard == Cond::Const(true) { String::new() } else { format!("when {} ", entry.guard) };
        let pool = |index: &PoolIdx| {
            let pool = &rules.pools[index.0 as usize];
            if more { format!("{} ({})", pool.name, words::endpoints(pool)) } else { pool.name.to_string() }
        };
        let target = match &entry.target {
            Target::Pool(index) => pool(index),
            Target::Split { shares, .. } => {
                let all = shares.iter().map(|(share, index)| format!("{}% {}", words::percent(*share), pool(index)));
                all.collect::<Vec<_>>().join(", ")
            }
            Target::Deny => "refused".to_owned(),
        };
        let steps: Vec<String> = entry.steps.iter().map(Step::to_string).collect();
        let steps = if steps.is_empty() { String::new() } else { format!(" [{}]", steps.join("; ")) };
        format!("{when}-> {target}{steps}")
    };
    let all = rules.entries.iter().map(entry).collect::<Vec<_>>().join("; ");
    if more { format!("{all}, {:?}", rules.settings) } else { all }
}
