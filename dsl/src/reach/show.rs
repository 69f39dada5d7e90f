//! Requests and conditions, for people.

use crate::tree::calls::Outcome;
use crate::tree::ir::{CallIdx, Cond, Site};
use crate::tree::request::Plain;

/// A request as it would be asked of `sluice explain`, and what is supposed of its calls.
#[must_use]
pub fn request(request: &Plain, site: &Site) -> String {
    let mut out = crate::lint::describe(request);
    let yes = |n: usize| {
        let call = CallIdx(u32::try_from(n).ok()?);
        matches!(request.calls.outcome(call), Some(Outcome::Yes(_))).then(|| site.calls[n].shown.to_string())
    };
    let supposed: Vec<String> = (0..site.calls.len()).filter_map(yes).collect();
    if !supposed.is_empty() {
        out.push_str(&format!(" where {} says yes", supposed.join(" and ")));
    }
    out
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
