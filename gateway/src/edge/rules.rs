//! Who refused a request: the statement of a route file, by its name and its place.
//!
//! A rule is a statement as it is used: `auth.session` of line 14 and `auth.session` of line 30 are two. What it
//! refused is counted once for all workers, over reloads that leave name and place as they are.

use crate::upstream::Table;
use dsl::syntax::span::Loc;
use dsl::tree::ir::{Answer, Plan, Site};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Rules that are told apart in metrics; what others refused is told in one sum.
const TOLD: usize = 1_000;

/// A statement that can refuse requests.
#[derive(Debug)]
pub struct Rule {
    /// As people call it: `auth.session`, `waf.basic/injection`, the name of a limit, `require`, `deny`.
    pub name: Arc<str>,
    /// Where it is used: `sites/a.route:14`.
    pub place: Arc<str>,
    /// Where it stands itself, if that is elsewhere: `std/auth.route:8`.
    pub statement: Option<Arc<str>>,
    refused: AtomicU64,
}

impl Rule {
    /// Counts a request that it refused.
    pub fn refuses(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// The rules of all sites, so that counts go on over a reload. One per process, asked by the control plane only.
#[derive(Default)]
pub struct RuleTable(Mutex<Table<Identity, Rule>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    name: Arc<str>,
    place: Arc<str>,
    statement: Option<Arc<str>>,
}

impl fmt::Debug for RuleTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleTable").finish_non_exhaustive()
    }
}

/// What a rule has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals {
    /// Its name and place; `None` for all that are not told apart.
    pub rule: Option<(Arc<str>, Arc<str>)>,
    /// How many requests.
    pub refused: u64,
}

impl RuleTable {
    fn intern(&self, name: Arc<str>, place: Arc<str>, statement: Option<Arc<str>>) -> Arc<Rule> {
        let identity = Identity { name, place, statement };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&identity).unwrap_or_else(|| {
            let Identity { name, place, statement } = identity.clone();
            let made = Arc::new(Rule { name, place, statement, refused: AtomicU64::new(0) });
            known.insert(identity, &made);
            made
        })
    }

    /// What rules in force have refused, those that did: the busiest first, and in one sum what is beyond a thousand.
    /// Statements of one policy at one place are one.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusals> {
        let live = self.0.lock().unwrap_or_else(PoisonError::into_inner).live();
        let mut by_place: HashMap<(Arc<str>, Arc<str>), u64> = HashMap::new();
        for rule in live {
            let refused = rule.refused.load(Ordering::Relaxed);
            if refused > 0 {
                *by_place.entry((Arc::clone(&rule.name), Arc::clone(&rule.place))).or_default() += refused;
            }
        }
        let mut all: Vec<_> = by_place.into_iter().collect();
        all.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
        let others: u64 = all.drain(all.len().min(TOLD)..).map(|(_, refused)| refused).sum();
        let each = all.into_iter().map(|(rule, refused)| Refusals { rule: Some(rule), refused });
        each.chain((others > 0).then_some(Refusals { rule: None, refused: others })).collect()
    }
}

/// The rules of a site, by where they are used and where they stand.
#[derive(Debug, Default)]
pub struct Rules(HashMap<(Loc, Loc), Arc<Rule>>);

impl Rules {
    /// Those of a site. `shown`: a place as people read it.
    #[must_use]
    pub fn new(site: &Site, shown: &dyn Fn(Loc) -> String, table: &RuleTable) -> Self {
        let mut rules = HashMap::new();
        for plan in &site.plans {
            let of_steps = plan.steps.iter().enumerate().map(|(at, step)| (Some(at), key(plan, at, step.loc())));
            let of_route = matches!(plan.answer, Answer::Deny { .. } | Answer::Relay { .. });
            let of_route = of_route.then_some((None, (plan.loc, plan.loc)));
            for (step, (used, own)) in of_steps.chain(of_route) {
                rules.entry((used, own)).or_insert_with(|| {
                    let of_route = if matches!(plan.answer, Answer::Relay { .. }) { "respond" } else { "deny" };
                    let name = step.map_or_else(|| of_route.to_owned(), |at| plan.rule(at));
                    let statement = (used != own).then(|| shown(own).into());
                    table.intern(name.into(), shown(used).into(), statement)
                });
            }
        }
        Self(rules)
    }

    /// The rule that a step of a plan is; of the route itself where that refuses.
    #[must_use]
    pub fn of(&self, plan: &Plan, step: Option<usize>) -> Option<&Arc<Rule>> {
        let key = match step {
            Some(at) => key(plan, at, plan.steps.get(at)?.loc()),
            None => (plan.loc, plan.loc),
        };
        self.0.get(&key)
    }
}

fn key(plan: &Plan, step: usize, own: Loc) -> (Loc, Loc) {
    (plan.uses_of(step).next().map_or(own, |used| used.loc), own)
}
