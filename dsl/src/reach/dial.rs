//! Where a plan dials: every pool that a request on it may reach, and what it passed before.

use crate::syntax::span::Loc;
use crate::tree::fields;
use crate::tree::ir::{
    Answer, ByTable, CallIdx, CallKind, Cond, Destination, Field, LimitKey, Missing, Part, Plan, PoolIdx, Site, Step,
    Test, Use, Value,
};
use std::sync::Arc;

/// How a pool is reached (LANGUAGE rule 30: every dial counts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum How {
    /// A route, or a share of one.
    Route,
    /// A row of a table: every pool of the declared set, whatever the rows are at the moment.
    Table,
    /// What stands behind the `else` of a table.
    Instead,
    /// `catch`
    Catch,
    /// `mirror`
    Mirror,
    /// `ask`
    Ask,
}

impl How {
    /// In a word or two, for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Table => "table",
            Self::Instead => "else",
            Self::Catch => "catch",
            Self::Mirror => "mirror",
            Self::Ask => "ask",
        }
    }
}

/// A pool that a plan dials.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) pool: PoolIdx,
    pub(crate) how: How,
    /// What must hold of a request of the plan.
    pub(crate) conds: Vec<Cond>,
    /// How many steps it has taken by then.
    pub(crate) after: usize,
    /// The line that says so.
    pub(crate) loc: Loc,
}

/// The policies of a plan that a request has passed after so many steps, with the condition of each.
pub(crate) fn passed(plan: &Plan, after: usize) -> impl Iterator<Item = &Use> {
    plan.policies.iter().filter(move |used| used.through <= after)
}

/// Every dial of a plan.
pub(crate) fn dials(plan: &Plan, site: &Site) -> Vec<Dial> {
    let mut out = Dials { site, out: Vec::new(), before: Vec::new(), after: 0 };
    for (n, step) in plan.steps.iter().enumerate() {
        out.after = n;
        out.step(step);
    }
    out.after = plan.steps.len();
    out.answer(&plan.answer, How::Route, plan.loc);
    if out.proxied(&plan.answer) {
        for catch in &plan.catches {
            out.answer(&catch.answer, How::Catch, catch.loc);
        }
        if let Some(mirror) = plan.settings.mirror {
            out.dial(mirror.pool, How::Mirror, plan.loc);
        }
    }
    out.out
}

/// The calls that a condition reads.
pub(crate) fn calls(cond: &Cond, out: &mut Vec<CallIdx>) {
    fields::each_read(cond, &mut |field| out.extend(fields::call_of(field)));
}

/// Whether no row of a table answers.
pub(crate) fn no_row(by: &ByTable) -> Cond {
    Cond::Not(Box::new(Cond::Test(Field::Row(Arc::clone(&by.lookup)), Test::Present)))
}

struct Dials<'s> {
    site: &'s Site,
    out: Vec<Dial>,
    /// What held so far.
    before: Vec<Cond>,
    after: usize,
}

impl Dials<'_> {
    fn dial(&mut self, pool: PoolIdx, how: How, loc: Loc) {
        self.out.push(Dial { pool, how, conds: self.before.clone(), after: self.after, loc });
    }

    /// With a condition more while something is looked at.
    fn when(&mut self, cond: Cond, look: impl FnOnce(&mut Self)) {
        self.before.push(cond);
        look(self);
        self.before.pop();
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Require { cond, otherwise, loc } => {
                self.asks(cond, *loc);
                self.when(Cond::Not(Box::new(cond.clone())), |dials| dials.answer(otherwise, How::Instead, *loc));
                self.before.push(cond.clone());
            }
            Step::Header(edit) => {
                self.asks(&edit.when, edit.loc);
                self.when(edit.when.clone(), |dials| dials.value(&edit.value, edit.loc));
            }
            Step::Limit(limit) => {
                self.asks(&limit.when, limit.loc);
                self.when(limit.when.clone(), |dials| {
                    limit.cost.iter().for_each(|cost| dials.value(cost, limit.loc));
                    limit.key.iter().for_each(|LimitKey { value, .. }| dials.value(value, limit.loc));
                });
            }
            Step::Session(session) => {
                self.asks(&session.when, session.loc);
                self.when(session.when.clone(), |dials| {
                    session.starts().iter().for_each(|start| dials.value(&start.sub, session.loc));
                });
            }
        }
    }

    fn asks(&mut self, cond: &Cond, loc: Loc) {
        let mut all = Vec::new();
        calls(cond, &mut all);
        all.into_iter().for_each(|call| self.ask(call, loc));
    }

    fn ask(&mut self, call: CallIdx, loc: Loc) {
        if let Some(CallKind::Ask(ask)) = self.site.calls.get(call.0 as usize).map(|call| &call.kind) {
            self.dial(ask.pool, How::Ask, loc);
        }
    }

    fn value(&mut self, value: &Value, loc: Loc) {
        for part in &value.parts {
            let Part::Hole { field, if_missing, .. } = part else { continue };
            let mut asked = Vec::new();
            fields::each_read_by(field, &mut |field| asked.extend(fields::call_of(field)));
            asked.into_iter().for_each(|call| self.ask(call, loc));
            let missing = Cond::Not(Box::new(Cond::Test(field.clone(), Test::Present)));
            match if_missing.as_deref() {
                Some(Missing::Answer(answer)) => self.when(missing, |dials| dials.answer(answer, How::Instead, loc)),
                Some(Missing::Value(value)) => self.when(missing, |dials| dials.value(value, loc)),
                None => {}
            }
        }
    }

    fn answer(&mut self, answer: &Answer, how: How, loc: Loc) {
        match answer {
            Answer::Redirect { to, .. } => self.value(to, loc),
            Answer::Respond { body, .. } => self.value(body, loc),
            Answer::Relay { call } => self.ask(*call, loc),
            Answer::RespondFile { .. } | Answer::Deny { .. } | Answer::Visit { .. } | Answer::NotFound => {}
            Answer::Files { at, .. } => at.iter().for_each(|at| self.value(at, loc)),
            Answer::Proxy { to, at, host } => {
                at.iter().chain(host).for_each(|value| self.value(value, loc));
                match to {
                    Destination::Pool(pool) => self.dial(*pool, how, loc),
                    Destination::Split { shares, by, salt: _ } => {
                        by.iter().for_each(|by| self.value(by, loc));
                        let reached = shares.iter().filter(|(share, _)| *share > 0);
                        reached.for_each(|(_, pool)| self.dial(*pool, how, loc));
                    }
                    Destination::Table(by) => {
                        by.among.iter().for_each(|pool| self.dial(*pool, How::Table, loc));
                        self.when(no_row(by), |dials| dials.answer(&by.otherwise, How::Instead, loc));
                    }
                }
            }
        }
    }

    fn proxied(&self, answer: &Answer) -> bool {
        matches!(answer, Answer::Proxy { .. })
    }
}
