//! The dials of a class of paths: which pools its requests can reach, under what, behind what.

use super::dial::{self, How};
use super::rows::ClassRows;
use super::solve;
use crate::syntax::span::Loc;
use crate::tree::Program;
use crate::tree::ir::{CallIdx, Cond, Plan, PlanIdx, PoolIdx, ScopeIdx, Site};
use crate::tree::request::Plain;

/// A pool that requests of a class can reach.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) pool: PoolIdx,
    pub(crate) how: How,
    pub(crate) loc: Loc,
    /// The plan that dials. Of a question in a guard it is the plan of its block where nothing in it holds.
    pub(crate) plan: PlanIdx,
    /// The condition of the route.
    pub(crate) guard: Cond,
    /// Everything that holds of such a request.
    pub(crate) conds: Vec<Cond>,
    /// What of it the plan asks on the way to the dial.
    pub(crate) own: Vec<Cond>,
    /// Steps of the plan that are taken by then.
    pub(crate) after: usize,
}

impl Event {
    /// The plan.
    pub(crate) fn of<'s>(&self, site: &'s Site) -> &'s Plan {
        &site.plans[self.plan.0 as usize]
    }

    /// Whether a request dials so: program and interpreter are asked.
    pub(crate) fn shown_by(&self, program: &Program, request: &Plain) -> bool {
        let there = match self.how {
            How::Route | How::Table | How::Instead | How::Catch | How::Mirror => {
                solve::comes_to(program, request, self.plan)
            }
            How::Ask => true,
        };
        there && solve::hold(if self.how == How::Ask { &self.conds } else { &self.own }, request)
    }
}

/// Every dial of a class of paths to a pool that is looked for.
pub(crate) fn events(site: &Site, class: &ClassRows, wanted: &dyn Fn(PoolIdx) -> bool) -> Vec<Event> {
    let mut out = Vec::new();
    for (n, (guard, plan)) in class.rows.iter().enumerate() {
        let dials = dial::dials(&site.plans[plan.0 as usize], site);
        let dials: Vec<_> = dials.into_iter().filter(|dial| wanted(dial.pool)).collect();
        if dials.is_empty() {
            continue;
        }
        let Some(taken) = class.taken(n) else { continue };
        out.extend(dials.into_iter().map(|dial| Event {
            pool: dial.pool,
            how: dial.how,
            loc: dial.loc,
            plan: *plan,
            guard: guard.clone(),
            conds: taken.iter().chain(&dial.conds).cloned().collect(),
            own: dial.conds,
            after: dial.after,
        }));
    }
    in_guards(site, class, wanted, &mut out);
    out
}

/// Questions that guards ask: behind the policies of their block (LANGUAGE rule 4).
fn in_guards(site: &Site, class: &ClassRows, wanted: &dyn Fn(PoolIdx) -> bool, out: &mut Vec<Event>) {
    for (scope, at) in &class.class.matching[0] {
        let of: &ScopeIdx = scope;
        let block = &site.scopes[of.0 as usize];
        let entry = &block.entries[*at as usize];
        for (call, pool) in asked(site, &entry.guard).into_iter().filter(|(_, pool)| wanted(*pool)) {
            let reads = |cond: &Cond| {
                let mut calls = Vec::new();
                dial::calls(cond, &mut calls);
                calls.contains(&call)
            };
            let Some(first) = class.rows.iter().position(|(cond, _)| reads(cond)) else { continue };
            let before = class.rows[..first].iter().map(|(cond, _)| Cond::Not(Box::new(cond.clone())));
            out.push(Event {
                pool,
                how: How::Ask,
                loc: entry.loc,
                plan: block.miss,
                guard: Cond::Const(true),
                conds: before.collect(),
                own: Vec::new(),
                after: site.plans[block.miss.0 as usize].steps.len(),
            });
        }
    }
}

/// The questions in a condition, and whom they ask.
fn asked(site: &Site, cond: &Cond) -> Vec<(CallIdx, PoolIdx)> {
    let mut calls = Vec::new();
    dial::calls(cond, &mut calls);
    let ask = |call: CallIdx| Some((call, site.calls.get(call.0 as usize)?.kind.ask()?.pool));
    calls.into_iter().filter_map(ask).collect()
}

/// Whether a site can dial a pool at all.
pub(crate) fn can_dial(site: &Site, wanted: &dyn Fn(PoolIdx) -> bool) -> bool {
    (0..site.pools.len()).any(|n| u32::try_from(n).is_ok_and(|n| wanted(PoolIdx(n))))
}
