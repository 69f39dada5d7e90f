//! In which order conditions read calls.
//!
//! What is at hand comes first: a condition that it settles reads no call. Of the calls on which one still
//! depends, that is read which is written first; what it came to is at hand from then on, for this condition
//! and for all after it.
//!
//! INVARIANT: the guard graph is built in this order, and lists of rows and the interpreter go by it.
//! Whoever decides about a request, and whether its calls are told one by one or all at once, the same call
//! stops it.

use super::calls::Calls;
use super::eval;
use super::fields;
use super::ir::{CallIdx, Cond, PlanIdx};
use super::request::Request;

/// What was read of a request's calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    calls: Vec<CallIdx>,
    /// Leaves that were asked and read calls by the way.
    leaves: Vec<Cond>,
}

impl Known {
    /// Whether a condition holds, calls being read as far as it depends on them. `None`: one stopped it.
    pub(crate) fn holds(&mut self, cond: &Cond, req: &impl Request) -> Option<bool> {
        loop {
            let leaf = match self.settled(cond, req) {
                Ok(held) => return Some(held),
                Err(leaf) => leaf,
            };
            eval::holds(leaf, req);
            let stopped = !req.calls().is_none_or(Calls::is_running);
            match call_of(leaf) {
                Some(call) if !stopped => self.calls.push(call),
                Some(_) => {}
                // Of several calls that it reads, the first may have been known where it stopped at another.
                None => self.leaves.push(leaf.clone()),
            }
            if stopped {
                return None;
            }
        }
    }

    /// Whether one of them is such a call, or may be.
    pub(crate) fn any(&self, of: &dyn Fn(CallIdx) -> bool) -> bool {
        self.calls.iter().any(|call| of(*call)) || self.leaves.iter().any(|leaf| fields::reads_call(leaf, of))
    }

    /// Whether a condition holds, as far as what is known settles it.
    ///
    /// # Errors
    /// The first leaf that it still depends on.
    fn settled<'c>(&self, cond: &'c Cond, req: &impl Request) -> Result<bool, &'c Cond> {
        // One that is the strong value settles it, whatever the open ones are.
        let join = |all: &'c [Cond], strong: bool| {
            let mut open = None;
            for cond in all {
                match self.settled(cond, req) {
                    Ok(held) if held == strong => return Ok(strong),
                    Ok(_) => {}
                    Err(leaf) => open = open.or(Some(leaf)),
                }
            }
            open.map_or(Ok(!strong), Err)
        };
        match cond {
            Cond::Const(held) => Ok(*held),
            Cond::Test(..) | Cond::Relate(..) if self.has(cond) => Ok(eval::holds(cond, req)),
            Cond::Test(..) | Cond::Relate(..) => Err(cond),
            Cond::Not(inner) => self.settled(inner, req).map(|held| !held),
            Cond::And(all) => join(all, false),
            Cond::Or(all) => join(all, true),
        }
    }

    /// Whether a leaf reads no call that was not read before.
    fn has(&self, leaf: &Cond) -> bool {
        !fields::reads_call(leaf, &|call| !self.calls.contains(&call))
            || self.leaves.iter().any(|known| one_subject(known, leaf))
    }
}

/// The plan of the first row that holds; `None` where none does, or a call stopped it.
pub(crate) fn first<'c>(rows: impl Iterator<Item = (&'c Cond, PlanIdx)>, req: &impl Request) -> Option<PlanIdx> {
    let mut known = Known::default();
    for (cond, plan) in rows {
        if known.holds(cond, req)? {
            return Some(plan);
        }
    }
    None
}

/// The call that a leaf tests for itself. What relates values, or looks a row up by a claim, may read calls
/// or not: of those only the leaf is known once it was asked.
pub(crate) fn call_of(leaf: &Cond) -> Option<CallIdx> {
    match leaf {
        Cond::Test(field, _) => fields::call_of(field),
        Cond::Const(_) | Cond::Relate(..) | Cond::Not(_) | Cond::And(_) | Cond::Or(_) => None,
    }
}

/// Whether asking one leaf reads what the other reads.
pub(crate) fn one_subject(a: &Cond, b: &Cond) -> bool {
    match (a, b) {
        (Cond::Test(a, _), Cond::Test(b, _)) => a == b,
        _ => a == b,
    }
}
