//! The parts of a request that a plan reads, wherever they stand in it.

use crate::tree::ir::{
    Answer, Call, Cond, Destination, Field, KeyText, Lookup, Missing, Part, Plan, Site, Step, Value,
};
use std::sync::Arc;

/// Hands each field on that a site's plans and conditions read.
pub(crate) struct Reads<'a, F> {
    pub(super) calls: &'a [Arc<Call>],
    pub(super) each: F,
}

impl<'a, F: FnMut(&Field)> Reads<'a, F> {
    pub(crate) fn of(site: &'a Site, each: F) -> Self {
        Self { calls: &site.calls, each }
    }

    /// Steps, answer and catches.
    pub(crate) fn plan(&mut self, plan: &Plan) {
        for step in &plan.steps {
            self.step(step);
        }
        self.answer(&plan.answer);
        for catch in &plan.catches {
            self.answer(&catch.answer);
        }
    }

    pub(super) fn step(&mut self, step: &Step) {
        match step {
            Step::Require { cond, otherwise, .. } => {
                self.cond(cond);
                self.answer(otherwise);
            }
            Step::Header(edit) => {
                self.value(&edit.value);
                self.cond(&edit.when);
            }
            Step::Limit(limit) => {
                self.cond(&limit.when);
                limit.key.iter().for_each(|key| self.value(&key.value));
                limit.cost.iter().for_each(|cost| self.value(cost));
            }
            Step::Session(session) => {
                self.cond(&session.when);
                session.starts().iter().for_each(|start| self.value(&start.sub));
            }
        }
    }

    pub(crate) fn cond(&mut self, cond: &Cond) {
        match cond {
            Cond::Const(_) => {}
            Cond::Test(field, _) => self.field(field),
            Cond::Relate(left, _, right) => {
                self.value(left);
                self.value(right);
            }
            Cond::Not(inner) => self.cond(inner),
            Cond::And(all) | Cond::Or(all) => all.iter().for_each(|c| self.cond(c)),
        }
    }

    pub(super) fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Redirect { to, .. } => self.value(to),
            Answer::Respond { body, .. } => self.value(body),
            Answer::Relay { call } => {
                if let Some(of) = self.calls.get(call.0 as usize) {
                    self.field(&Field::Call(*call, Arc::clone(&of.shown)));
                }
            }
            Answer::RespondFile { .. } | Answer::Deny { .. } | Answer::Visit { .. } | Answer::NotFound => {}
            Answer::Files { at, .. } => at.iter().for_each(|at| self.value(at)),
            Answer::Proxy { to, at, host } => {
                match to {
                    Destination::Pool(_) => {}
                    Destination::Split { by, .. } => by.iter().for_each(|by| self.value(by)),
                    Destination::Table(by) => {
                        self.lookup(&by.lookup);
                        self.answer(&by.otherwise);
                    }
                }
                at.iter().chain(host).for_each(|value| self.value(value));
            }
        }
    }

    pub(super) fn value(&mut self, value: &Value) {
        for part in &value.parts {
            let Part::Hole { field, if_missing, .. } = part else { continue };
            self.field(field);
            match if_missing.as_deref() {
                None => {}
                Some(Missing::Value(value)) => self.value(value),
                Some(Missing::Answer(answer)) => self.answer(answer),
            }
        }
    }

    fn lookup(&mut self, lookup: &Lookup) {
        for part in &lookup.key {
            if let KeyText::Field { field, .. } = part {
                self.field(field);
            }
        }
    }

    fn field(&mut self, field: &Field) {
        (self.each)(field);
        if let Field::Row(lookup) = field {
            self.lookup(lookup);
        }
        if let Field::Call(call, _) | Field::Claim(call, _) = field
            && let Some(call) = self.calls.get(call.0 as usize).map(Arc::clone)
        {
            call.kind.values().for_each(|value| self.value(value));
        }
    }
}
