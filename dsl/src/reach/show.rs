//! Requests and conditions, for people.

use crate::tree::calls::Outcome;
use crate::tree::ir::{CallIdx, Cond, Field, Site, Test};
use crate::tree::request::Plain;
use std::sync::Arc;

/// A request as it would be asked of `sluice explain`, and what is supposed of its calls.
#[must_use]
pub fn request(request: &Plain, site: &Site) -> String {
    let shown: Vec<Arc<str>> = site.calls.iter().map(|call| Arc::clone(&call.shown)).collect();
    supposing(request, &shown)
}

/// The same, with calls that are shown so.
pub(crate) fn supposing(request: &Plain, calls: &[Arc<str>]) -> String {
    let mut out = crate::lint::describe(request);
    let yes = |(n, shown): (usize, &Arc<str>)| {
        let call = CallIdx(u32::try_from(n).ok()?);
        matches!(request.calls.outcome(call), Some(Outcome::Yes(_))).then(|| shown.to_string())
    };
    let supposed: Vec<String> = calls.iter().enumerate().filter_map(yes).collect();
    if !supposed.is_empty() {
        out.push_str(&format!(" where {} says yes", supposed.join(" and ")));
    }
    out
}

/// A condition with its calls as they are shown.
pub(crate) fn called(cond: &Cond, calls: &[Arc<str>]) -> Cond {
    let shown = |at: &CallIdx| calls.get(at.0 as usize).cloned().unwrap_or_default();
    match cond {
        Cond::Test(Field::Call(at, _), test) => Cond::Test(Field::Call(*at, shown(at)), test.clone()),
        Cond::Const(_) | Cond::Test(..) | Cond::Relate(..) => cond.clone(),
        Cond::Not(inner) => Cond::Not(Box::new(called(inner, calls))),
        Cond::And(all) => Cond::And(all.iter().map(|cond| called(cond, calls)).collect()),
        Cond::Or(all) => Cond::Or(all.iter().map(|cond| called(cond, calls)).collect()),
    }
}

/// Conditions that all hold, as one would write them; `None` where there is none.
pub(crate) fn all(conds: &[Cond]) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for cond in conds {
        match cond {
            Cond::Const(true) => {}
            Cond::And(inner) => parts.extend(all(inner)),
            Cond::Or(_) => parts.push(format!("({cond})")),
            cond => parts.push(cond.to_string()),
        }
    }
    let mut seen = Vec::new();
    parts.retain(|part| {
        let new = !seen.contains(part);
        seen.push(part.clone());
        new
    });
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// The same with values of one field taken together: those that it may have, without those that it may not.
pub(crate) fn joined(conds: Vec<Cond>) -> Vec<Cond> {
    let refused = |field: &Field, value: &Arc<str>| {
        conds.iter().any(|cond| match cond {
            Cond::Not(inner) => {
                matches!(&**inner, Cond::Test(f, Test::OneOf(values)) if f == field && values.contains(value))
            }
            _ => false,
        })
    };
    let listed = |field: &Field| conds.iter().any(|cond| matches!(cond, Cond::Test(f, Test::OneOf(_)) if f == field));
    let one = |cond: &Cond| match cond {
        Cond::Test(field, Test::OneOf(values)) => {
            let left: Vec<Arc<str>> = values.iter().filter(|value| !refused(field, value)).cloned().collect();
            Some(Cond::Test(field.clone(), Test::OneOf(left)))
        }
        Cond::Not(inner) => match &**inner {
            Cond::Test(field, Test::OneOf(_)) if listed(field) => None,
            _ => Some(cond.clone()),
        },
        other => Some(other.clone()),
    };
    conds.iter().filter_map(one).collect()
}
