//! What a row comes to: an answer, and what is done to the request and its answer on the way.

use super::same::Numbers;
use super::words;
use crate::reach::endings::{Ending, endings};
use crate::syntax::ast::{HeaderOp, Side};
use crate::tree::ir::{
    Answer, ByAnswer, Catch, Cond, Limit, LimitBound, LimitKey, Part, Plan, Session, SessionDoes, SessionStart,
    Settings, Site, Step, Value,
};
use std::sync::Arc;

/// An outcome, comparable with those of other versions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) answer: Answer,
    /// What is done on the way. Edits of one header keep their order; different ones have none.
    pub(super) edits: Vec<Edit>,
    /// Limits and sessions, in their order.
    pub(super) kept: Vec<Kept>,
    pub(super) catches: Vec<(Vec<u16>, Answer)>,
    pub(super) settings: Settings,
}

/// An edit of a header.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edit {
    pub(super) side: Side,
    pub(super) name: Arc<str>,
    pub(super) op: HeaderOp,
    pub(super) value: Value,
    /// It is made only then.
    pub(super) when: Cond,
}

/// Something that is counted or issued.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kept {
    Limit {
        bound: LimitBound,
        cost: Option<Value>,
        answer: ByAnswer,
        key: Vec<LimitKey>,
        tell: bool,
        shadow: bool,
        when: Cond,
    },
    Session {
        cookie: Arc<str>,
        does: SessionDoes,
        when: Cond,
    },
}

/// A way through a plan to an answer.
pub(super) struct Branch {
    /// What the plan asks on the way, in the numbers of both versions.
    pub(super) conds: Vec<Cond>,
    /// The same as it is written.
    pub(super) shown: Vec<Cond>,
    /// What is asked on the way besides, for edits, limits and sessions, whatever it comes to.
    pub(super) asked: Vec<Cond>,
    pub(super) outcome: Outcome,
    /// The answer and what is done besides, in words.
    pub(super) words: (String, Vec<String>),
    /// Whether somebody is served: not refused, and not told that nothing is there.
    pub(super) serves: bool,
}

/// The branches of a plan.
pub(super) fn branches(plan: &Plan, site: &Site, numbers: &Numbers) -> Vec<Branch> {
    endings(plan).iter().map(|ending| branch(ending, plan, site, numbers)).collect()
}

/// What requests come to that no site answers, in words.
pub const NOBODY: &str = "404, no site";

/// What requests come to that no site answers.
pub(super) fn nobody() -> Branch {
    Branch {
        conds: Vec::new(),
        shown: Vec::new(),
        asked: Vec::new(),
        outcome: Outcome {
            answer: Answer::NotFound,
            edits: Vec::new(),
            // Told apart from a site without a route by this.
            kept: Vec::new(),
            catches: vec![(Vec::new(), Answer::NotFound)],
            settings: Settings::default(),
        },
        words: (NOBODY.to_owned(), Vec::new()),
        serves: false,
    }
}

fn branch(ending: &Ending<'_>, plan: &Plan, site: &Site, numbers: &Numbers) -> Branch {
    let proxied = matches!(ending.answer, Answer::Proxy { .. });
    let steps = &plan.steps[..ending.after];
    // What fails is caught where the plan's own answer is a pool.
    let caught: &[Catch] = if proxied { &plan.catches } else { &[] };
    let mut edits = Vec::new();
    let mut kept = Vec::new();
    for step in steps {
        match step {
            Step::Require { .. } => {}
            Step::Header(edit) => edits.push(Edit {
                side: edit.side,
                name: Arc::clone(&edit.name),
                op: edit.op,
                value: numbers.value(&edit.value),
                when: numbers.cond(&edit.when),
            }),
            Step::Limit(limit) => kept.push(limited(limit, numbers)),
            Step::Session(session) => kept.push(issued(session, numbers)),
        }
    }
    // What is done to a request matters where one is sent on, or where its text could not be made.
    edits.retain(|edit| proxied || edit.side == Side::Response || has_holes(&edit.value));
    let serves = match ending.answer {
        Answer::Relay { .. } | Answer::Deny { .. } | Answer::NotFound | Answer::Visit { .. } => false,
        Answer::Respond { status, .. } | Answer::RespondFile { status, .. } => *status < 400,
        Answer::Redirect { .. } | Answer::Files { .. } | Answer::Proxy { .. } => true,
    };
    let settings = numbers.settings(&plan.settings, proxied);
    let details = words::details(steps, caught, &settings, plan, site);
    Branch {
        conds: ending.conds.iter().map(|cond| numbers.cond(cond)).collect(),
        shown: ending.conds.clone(),
        asked: steps.iter().filter_map(asked).map(|cond| numbers.cond(cond)).collect(),
        outcome: Outcome {
            answer: numbers.answer(ending.answer),
            edits: settled(edits),
            kept,
            catches: caught.iter().map(|c| (c.statuses.clone(), numbers.answer(&c.answer))).collect(),
            settings,
        },
        words: (words::answer(ending.answer, site), details),
        serves,
    }
}

/// The condition under which a step does what it does.
fn asked(step: &Step) -> Option<&Cond> {
    let when = match step {
        Step::Require { .. } => return None,
        Step::Header(edit) => &edit.when,
        Step::Limit(limit) => &limit.when,
        Step::Session(session) => &session.when,
    };
    (*when != Cond::Const(true)).then_some(when)
}

fn has_holes(value: &Value) -> bool {
    value.parts.iter().any(|part| matches!(part, Part::Hole { .. }))
}

fn limited(limit: &Limit, numbers: &Numbers) -> Kept {
    Kept::Limit {
        bound: limit.bound,
        cost: limit.cost.as_ref().map(|cost| numbers.value(cost)),
        answer: limit.answer.clone(),
        key: limit.key.iter().map(|key| numbers.key(key)).collect(),
        tell: limit.tell,
        shadow: limit.shadow,
        when: numbers.cond(&limit.when),
    }
}

fn issued(session: &Session, numbers: &Numbers) -> Kept {
    let does = match &session.does {
        SessionDoes::Start(start) => {
            SessionDoes::Start(SessionStart { sub: numbers.value(&start.sub), ..start.clone() })
        }
        SessionDoes::Keep { key, token } => SessionDoes::Keep { key: Arc::clone(key), token: numbers.call(*token) },
        SessionDoes::End => SessionDoes::End,
    };
    Kept::Session { cookie: Arc::clone(&session.cookie), does, when: numbers.cond(&session.when) }
}

/// Edits in an order that depends on what they do alone: by header, and what a later `set` or `remove`
/// undoes left out.
pub(super) fn settled(edits: Vec<Edit>) -> Vec<Edit> {
    let alike = |name: &str| name.replace('_', "-");
    let mut out: Vec<Edit> = Vec::new();
    for edit in edits {
        let undoes = edit.op != HeaderOp::Add && edit.when == Cond::Const(true);
        if undoes {
            out.retain(|e| {
                // What cannot be made is answered 400, whatever comes after it.
                has_holes(&e.value) || e.side != edit.side || alike(&e.name) != alike(&edit.name)
            });
        }
        out.push(edit);
    }
    let side = |edit: &Edit| edit.side == Side::Response;
    out.sort_by_key(|a| (side(a), alike(&a.name)));
    out
}

impl Outcome {
    /// The conditions of its edits, limits and sessions.
    pub(super) fn conditions(&self) -> Vec<&Cond> {
        let kept = self.kept.iter().map(|kept| match kept {
            Kept::Limit { when, .. } | Kept::Session { when, .. } => when,
        });
        self.edits.iter().map(|edit| &edit.when).chain(kept).filter(|when| **when != Cond::Const(true)).collect()
    }

    /// What it is for requests of which it is known whether conditions hold.
    pub(super) fn given(&self, known: &[(Cond, bool)]) -> Self {
        let holds = |when: &Cond| known.iter().find(|(cond, _)| cond == when).map(|(_, holds)| *holds);
        let now = |when: &mut Cond| match holds(when) {
            Some(true) => {
                *when = Cond::Const(true);
                true
            }
            Some(false) => false,
            None => true,
        };
        let mut out = self.clone();
        out.edits.retain_mut(|edit| now(&mut edit.when));
        out.edits = settled(out.edits);
        out.kept.retain_mut(|kept| match kept {
            Kept::Limit { when, .. } | Kept::Session { when, .. } => now(when),
        });
        out
    }
}
