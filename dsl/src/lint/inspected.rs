//! What is read of a body is read once for a request. Two places where that would mislead are errors of the file:
//!
//! * under `inspect … else pass` a part is taken for missing that was not seen; a block behind it that looks at more,
//!   or lets less pass, would go by that;
//! * in the answer of a `catch` the body is on its way: what nothing read before is not there any more.

use super::reads::Reads;
use crate::body::Inspect;
use crate::diagnostic::Diagnostic;
use crate::region::Algebra;
use crate::syntax::span::Loc;
use crate::tree::fields;
use crate::tree::ir::{
    Answer, CallIdx, CallKind, Entry, Field, PathPattern, Plan, PlanIdx, Scope, ScopeIdx, Site, Target,
};
use crate::tree::order::order;

/// A part that was read under an `inspect` that lets pass, and where.
#[derive(Clone, Copy, PartialEq)]
struct Known {
    call: CallIdx,
    inspect: Inspect,
    loc: Loc,
}

/// What requests have behind them that come to a scope or a plan.
#[derive(Clone, Default)]
struct Behind {
    /// Parts that they may take for missing.
    known: Vec<Known>,
    /// Parts that were perhaps read.
    read: Vec<CallIdx>,
    /// Whether a condition was perhaps waited for: policies of a block come before its conditions then.
    waited: bool,
}

/// A part that a `catch` reads.
struct Caught {
    call: CallIdx,
    loc: Loc,
    /// Whether some route reads it before.
    read: bool,
}

struct Walk<'s> {
    site: &'s Site,
    algebra: Algebra,
    caught: Vec<Caught>,
    found: Vec<Diagnostic>,
}

/// Looks at a site as a whole.
pub(crate) fn run(site: &Site) -> Vec<Diagnostic> {
    // Nearly no site reads bodies.
    if site.scopes.is_empty() || !site.calls.iter().any(|call| matches!(call.kind, CallKind::Body(_))) {
        return Vec::new();
    }
    // Where all look at as much, and no catch is there, nothing can mislead.
    let of_plan = |plan: &Plan| plan.settings.inspect.unwrap_or_default();
    let alike = site.plans.windows(2).all(|two| of_plan(&two[0]) == of_plan(&two[1]));
    if alike && site.plans.iter().all(|plan| plan.catches.is_empty()) {
        return Vec::new();
    }
    let mut walk = Walk { site, algebra: Algebra::paths(), caught: Vec::new(), found: Vec::new() };
    walk.scope(ScopeIdx(0), &Behind::default());
    for caught in std::mem::take(&mut walk.caught) {
        if !caught.read {
            let message = format!(
                "nothing reads {} before this `catch`, where the body is on its way already: read it in a `require` or \
                 `when` of the route",
                walk.shown(caught.call)
            );
            walk.found.push(super::g1024::range(caught.loc, &message));
        }
    }
    walk.found
}

impl<'s> Walk<'s> {
    fn scope(&mut self, at: ScopeIdx, behind: &Behind) {
        let site = self.site;
        let Some(scope) = site.scopes.get(at.0 as usize) else { return };
        let own = self.inspect(scope.miss);
        let asking: Vec<(usize, Vec<CallIdx>)> = (0..scope.entries.len())
            .map(|number| (number, self.read(|reads| reads.cond(&scope.entries[number].guard))))
            .filter(|(_, calls)| !calls.is_empty())
            .collect();
        let waits = |calls: &[CallIdx]| {
            calls.iter().any(|call| site.calls.get(call.0 as usize).is_some_and(|call| call.kind.waits()))
        };
        for (number, calls) in &asking {
            self.differs(behind, calls, own, scope.entries[*number].loc);
        }
        for (number, entry) in scope.entries.iter().enumerate() {
            let mut inner = behind.clone();
            let mut holds = None;
            for (other, calls) in &asking {
                if !self.is_asked(scope, *other, number, &mut holds) {
                    continue;
                }
                inner.waited |= waits(calls);
                inner.learn(calls, own, scope.entries[*other].loc);
                if inner.waited
                    && let Some(plan) = site.plans.get(scope.miss.0 as usize)
                {
                    self.steps(plan).for_each(|(loc, calls)| inner.learn(&calls, own, loc));
                }
            }
            match entry.target {
                Target::Plan(plan) => self.plan(plan, &inner),
                Target::Scope(scope) => self.scope(scope, &inner),
            }
        }
        let mut missed = behind.clone();
        asking.iter().for_each(|(number, calls)| missed.learn(calls, own, scope.entries[*number].loc));
        self.plan(scope.miss, &missed);
    }

    /// Whether the condition of one entry may be asked of a request that then comes to the other: its own, and those
    /// before it (LANGUAGE rule 8). `holds`: whether some entry lies in the other, once that was looked at.
    fn is_asked(&mut self, scope: &Scope, one: usize, other: usize, holds: &mut Option<bool>) -> bool {
        let pattern = |at: usize| &scope.entries[at].pattern;
        let (a, b) = (pattern(one), pattern(other));
        if a == b {
            return one <= other;
        }
        // What cannot be decided may be so; the site is refused for it besides.
        if self.algebra.path_overlap(a, b) == Ok(None) {
            return false;
        }
        let mut inside = |a: &PathPattern, b: &PathPattern| self.algebra.path_inside(a, b).unwrap_or(true);
        match (inside(a, b), inside(b, a)) {
            (true, true) => one < other,
            (true, false) => true,
            (false, true) => false,
            // By their kinds, unless the other has to wait for one that lies in it.
            (false, false) => {
                let lies_in = |entry: &Entry| entry.pattern != *b && inside(&entry.pattern, b);
                *holds.get_or_insert_with(|| scope.entries.iter().any(lies_in))
                    || order(&[a, b], &mut self.algebra).map_or(true, |order| order[0] == 0)
            }
        }
    }

    fn plan(&mut self, at: PlanIdx, behind: &Behind) {
        let site = self.site;
        let Some(plan) = site.plans.get(at.0 as usize) else { return };
        let own = self.inspect(at);
        let mut read = behind.read.clone();
        for (loc, calls) in self.steps(plan).collect::<Vec<_>>() {
            self.differs(behind, &calls, own, loc);
            read.extend(calls);
        }
        let of_answer = self.of_answer(&plan.answer);
        self.differs(behind, &of_answer, own, plan.loc);
        // What fails is caught where the plan's own answer is a pool.
        if !matches!(plan.answer, Answer::Proxy { .. }) {
            return;
        }
        read.extend(of_answer);
        for catch in &plan.catches {
            let calls = self.of_answer(&catch.answer);
            self.differs(behind, &calls, own, catch.loc);
            for call in calls.into_iter().filter(|call| is_of_body(site, *call)) {
                let is_read = read.contains(&call);
                match self.caught.iter_mut().find(|caught| caught.call == call && caught.loc == catch.loc) {
                    Some(caught) => caught.read |= is_read,
                    None => self.caught.push(Caught { call, loc: catch.loc, read: is_read }),
                }
            }
        }
    }

    /// What was let pass before is read again where less may pass, or where more would be seen.
    fn differs(&mut self, behind: &Behind, calls: &[CallIdx], own: Inspect, loc: Loc) {
        let site = self.site;
        let stricter = |known: &&Known| !own.pass || own.bytes > known.inspect.bytes;
        for call in calls.iter().filter(|call| is_of_body(site, **call)) {
            let Some(before) = behind.known.iter().filter(|known| known.call == *call).find(stricter) else { continue };
            let shown = self.shown(*call);
            let message = format!(
                "{shown} was read before it under another `inspect … else pass`: what was taken for missing there would \
                 be missing here; say one `inspect` around both"
            );
            let told = super::g1024::range(loc, &message);
            // A policy that conditions of its block have come first is read before in the same line.
            let told = if before.loc == loc { told } else { told.label(before.loc, "it is read here first") };
            if !self.found.contains(&told) {
                self.found.push(told);
            }
        }
    }

    fn inspect(&self, plan: PlanIdx) -> Inspect {
        let plan = self.site.plans.get(plan.0 as usize);
        plan.and_then(|plan| plan.settings.inspect).unwrap_or_default()
    }

    fn shown(&self, call: CallIdx) -> String {
        self.site.calls.get(call.0 as usize).map_or_else(|| "it".to_owned(), |call| format!("`{}`", call.shown))
    }

    /// The steps of a plan: where the site says them, and what they read.
    fn steps(&self, plan: &'s Plan) -> impl Iterator<Item = (Loc, Vec<CallIdx>)> + use<'s> {
        let site = self.site;
        plan.steps.iter().enumerate().map(move |(at, step)| {
            let loc = plan.uses_of(at).next().map_or_else(|| step.loc(), |used| used.loc);
            (loc, calls_of(site, |reads| reads.step(step)))
        })
    }

    fn of_answer(&self, answer: &Answer) -> Vec<CallIdx> {
        self.read(|reads| reads.answer(answer))
    }

    fn read(&self, walk: impl FnOnce(&mut Reads<'_, &mut dyn FnMut(&Field)>)) -> Vec<CallIdx> {
        calls_of(self.site, walk)
    }
}

fn is_of_body(site: &Site, call: CallIdx) -> bool {
    site.calls.get(call.0 as usize).is_some_and(|call| matches!(call.kind, CallKind::Body(_)))
}

/// The calls that are read, with those that they read themselves.
fn calls_of(site: &Site, walk: impl FnOnce(&mut Reads<'_, &mut dyn FnMut(&Field)>)) -> Vec<CallIdx> {
    let mut found = Vec::new();
    let mut each = |field: &Field| found.extend(fields::call_of(field));
    let each: &mut dyn FnMut(&Field) = &mut each;
    walk(&mut Reads::of(site, each));
    found
}

impl Behind {
    fn learn(&mut self, calls: &[CallIdx], inspect: Inspect, loc: Loc) {
        for call in calls {
            if !self.read.contains(call) {
                self.read.push(*call);
            }
            let known = Known { call: *call, inspect, loc };
            let is_new = !self.known.iter().any(|known| known.call == *call && known.inspect == inspect);
            if inspect.pass && is_new {
                self.known.push(known);
            }
        }
    }
}
