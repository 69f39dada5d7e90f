//! What `gateway.route` lets tenants do, compared. Whose files are whose is told by what they serve.

use super::{Change, Difference, Kind};
use crate::tree::ir::Tenant;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Adds what differs.
pub(super) fn compare(old: &[Arc<Tenant>], new: &[Arc<Tenant>], out: &mut Difference) {
    let names: BTreeSet<&Arc<str>> = old.iter().chain(new).map(|tenant| &tenant.name).collect();
    for name in names {
        let named = |all: &[Arc<Tenant>]| all.iter().find(|tenant| tenant.name == *name).map(|tenant| facts(tenant));
        let mut say = |kind, before, after| {
            let change = Change::said(kind, "tenant", before, after);
            out.changes.push(Change { tenant: Some(Arc::clone(name)), ..change });
        };
        match (named(old), named(new)) {
            (Some(before), Some(after)) => {
                for (before, after) in before.into_iter().zip(after).filter(|(before, after)| before != after) {
                    say(Kind::Changed, before, after);
                }
            }
            (None, Some(after)) => say(Kind::New, "no such tenant".to_owned(), after.join(", ")),
            (Some(before), None) => say(Kind::Gone, before.join(", "), "no such tenant".to_owned()),
            (None, None) => {}
        }
    }
}

/// What it may do, each by its name.
fn facts(tenant: &Tenant) -> Vec<String> {
    let list = |name: &str, all: BTreeSet<String>| {
        if all.is_empty() {
            return format!("{name} nothing");
        }
        format!("{name} {}", all.into_iter().collect::<Vec<_>>().join(", "))
    };
    let dials = tenant.dials.nets.iter().map(ToString::to_string);
    let dials = dials.chain(tenant.dials.sockets.iter().map(|socket| format!("unix:{socket}"))).collect();
    let quota = &tenant.quota;
    let most = |what: &str, most: Option<u64>| match most {
        Some(most) => format!("{what} {most}"),
        None => format!("{what} not bounded"),
    };
    vec![
        list("owns", tenant.owns.iter().map(|(pattern, _)| pattern.to_string()).collect()),
        list("dials", dials),
        list("reads secrets", tenant.secrets.iter().map(ToString::to_string).collect()),
        most("routes", quota.routes),
        most("table-rows", quota.rows),
        most("regex-states", quota.states),
    ]
}
