//! Why a request goes where it goes: each candidate in order, and what refused it.

use super::eval;
use super::ir::{Cond, Entry, PlanIdx, ScopeIdx, Site, Target};
use super::program::{Decision, Program};
use super::request::Request;
use crate::syntax::span::Loc;

/// A candidate of a request's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// How many blocks it stands in.
    pub depth: usize,
    /// Its line.
    pub loc: Loc,
    /// Its pattern, absolute.
    pub pattern: String,
    /// Its condition, where it has one.
    pub condition: Option<String>,
    /// What refused the request; `None` when its condition holds.
    pub refused: Option<Refusal>,
    /// Whether it was taken: blocks that were entered, and the route.
    pub taken: bool,
    /// What answers, where this took the request and led there.
    pub plan: Option<PlanIdx>,
    /// The block it leads into.
    pub block: bool,
}

/// Why a candidate did not take a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The part of the condition that did not hold, as it would be written.
    pub part: String,
}

impl Program {
    /// The candidates of a request's path, in order, up to the one that takes it. Inside a block that
    /// was entered and that has no answer of its own, the block's miss is the plan of the last
    /// candidate taken.
    ///
    /// Empty for a request that [`Program::decide`] refuses.
    pub fn candidates(&self, req: &impl Request) -> Vec<Candidate> {
        let mut found = Vec::new();
        if let Decision::Plan(_) = self.decide(req) {
            self.explain(ScopeIdx(0), 0, req, &mut found);
        }
        found
    }

    fn explain(&self, scope: ScopeIdx, depth: usize, req: &impl Request, found: &mut Vec<Candidate>) -> PlanIdx {
        for entry in self.scope_candidates(scope, req.path()) {
            let refused = refusal(&entry.guard, req).map(|r| Refusal { part: entry.named(&r.part) });
            let at = found.len();
            found.push(candidate(entry, depth, refused));
            if found[at].taken {
                let plan = match entry.target {
                    Target::Plan(plan) => plan,
                    Target::Scope(inner) => self.explain(inner, depth + 1, req, found),
                };
                found[at].plan = Some(plan);
                return plan;
            }
        }
        miss(self.site(), scope)
    }
}

fn miss(site: &Site, scope: ScopeIdx) -> PlanIdx {
    site.scopes[scope.0 as usize].miss
}

fn candidate(entry: &Entry, depth: usize, refused: Option<Refusal>) -> Candidate {
    Candidate {
        depth,
        loc: entry.loc,
        pattern: entry.shown(),
        condition: (entry.guard != Cond::Const(true)).then(|| entry.named(&entry.guard.to_string())),
        taken: refused.is_none(),
        refused,
        plan: None,
        block: matches!(entry.target, Target::Scope(_)),
    }
}

/// The part of a condition that does not hold: the first of an `and`, the whole of an `or`.
pub(super) fn refusal(cond: &Cond, req: &impl Request) -> Option<Refusal> {
    if eval::holds(cond, req) {
        return None;
    }
    let part = match cond {
        Cond::And(all) => return all.iter().find_map(|c| refusal(c, req)),
        Cond::Not(inner) => match &**inner {
            // `not (a or b)` fails by the one that holds.
            Cond::Or(any) => {
                any.iter().find(|c| eval::holds(c, req)).map(|c| Cond::Not(Box::new(c.clone())).to_string())
            }
            Cond::Not(inner) => return refusal(inner, req),
            Cond::Const(_) | Cond::Test(..) | Cond::Relate(..) | Cond::And(_) => None,
        },
        Cond::Const(_) | Cond::Test(..) | Cond::Relate(..) | Cond::Or(_) => None,
    };
    Some(Refusal { part: part.unwrap_or_else(|| cond.to_string()) })
}
