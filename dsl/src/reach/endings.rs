//! The answers that a plan can come to, and what holds of a request then.

use crate::reach::dial::no_row;
use crate::syntax::span::Loc;
use crate::tree::ir::{Answer, Cond, Destination, LimitKey, Missing, Part, Plan, Step, Test, Value};

/// One of the answers of a plan.
pub(crate) struct Ending<'s> {
    pub(crate) answer: &'s Answer,
    /// What the plan asks on the way to it.
    pub(crate) conds: Vec<Cond>,
    /// Steps that are taken by then.
    pub(crate) after: usize,
    pub(crate) loc: Loc,
}

/// Every answer of a plan. What a `limit` refuses is not among them: that depends on what came before.
pub(crate) fn endings(plan: &Plan) -> Vec<Ending<'_>> {
    let mut all = Endings { out: Vec::new(), before: Vec::new(), after: 0 };
    for (n, step) in plan.steps.iter().enumerate() {
        all.after = n;
        all.step(step);
    }
    all.after = plan.steps.len();
    all.answer(&plan.answer, plan.loc);
    all.out
}

struct Endings<'s> {
    out: Vec<Ending<'s>>,
    before: Vec<Cond>,
    after: usize,
}

impl<'s> Endings<'s> {
    fn step(&mut self, step: &'s Step) {
        match step {
            Step::Require { cond, otherwise, loc } => {
                self.before.push(not(cond));
                self.answer(otherwise, *loc);
                self.before.pop();
                self.before.push(cond.clone());
            }
            Step::Header(edit) => self.unless_missing(&[&edit.value], &edit.when, edit.loc),
            Step::Limit(limit) => {
                let keys = limit.key.iter().map(|LimitKey { value, .. }| value);
                let values: Vec<&Value> = limit.cost.iter().chain(keys).collect();
                self.unless_missing(&values, &limit.when, limit.loc);
            }
            Step::Session(session) => {
                let values: Vec<&Value> = session.starts().iter().map(|start| &start.sub).collect();
                self.unless_missing(&values, &session.when, session.loc);
            }
        }
    }

    /// Values of a step that is taken when a condition holds: they may answer instead.
    fn unless_missing(&mut self, values: &[&'s Value], when: &Cond, loc: Loc) {
        for value in values {
            for missing in self.missing(value, loc) {
                // It goes on where the step is not taken, or nothing is missing.
                self.before.push(not(&Cond::And(vec![when.clone(), missing])));
            }
        }
    }

    /// Adds the answers that stand in for what a value lacks; what must be missing for each.
    fn missing(&mut self, value: &'s Value, loc: Loc) -> Vec<Cond> {
        let mut out = Vec::new();
        for part in &value.parts {
            let Part::Hole { field, if_missing, .. } = part else { continue };
            let missing = not(&Cond::Test(field.clone(), Test::Present));
            match if_missing.as_deref() {
                Some(Missing::Answer(answer)) => {
                    self.before.push(missing.clone());
                    self.answer(answer, loc);
                    self.before.pop();
                    out.push(missing);
                }
                Some(Missing::Value(inner)) => {
                    self.before.push(missing.clone());
                    let deeper = self.missing(inner, loc);
                    self.before.pop();
                    out.extend(deeper.into_iter().map(|cond| Cond::And(vec![missing.clone(), cond])));
                }
                None => {}
            }
        }
        out
    }

    fn answer(&mut self, answer: &'s Answer, loc: Loc) {
        let values: Vec<&Value> = match answer {
            Answer::Redirect { to, .. } => vec![to],
            Answer::Respond { body, .. } => vec![body],
            Answer::RespondFile { .. }
            | Answer::Relay { .. }
            | Answer::Deny { .. }
            | Answer::Visit { .. }
            | Answer::NotFound => Vec::new(),
            Answer::Files { at, .. } => at.iter().collect(),
            Answer::Proxy { to, at, host } => {
                let by = match to {
                    Destination::Split { by, .. } => by.as_ref(),
                    Destination::Pool(_) | Destination::Table(_) => None,
                };
                at.iter().chain(host).chain(by).collect()
            }
        };
        let depth = self.before.len();
        for value in values {
            let missing = self.missing(value, loc);
            self.before.extend(missing.iter().map(not));
        }
        if let Answer::Proxy { to: Destination::Table(by), .. } = answer {
            self.before.push(no_row(by));
            self.answer(&by.otherwise, loc);
            self.before.pop();
        }
        self.out.push(Ending { answer, conds: self.before.clone(), after: self.after, loc });
        self.before.truncate(depth);
    }
}

fn not(cond: &Cond) -> Cond {
    Cond::Not(Box::new(cond.clone()))
}
