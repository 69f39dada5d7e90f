//! Random sites whose conditions read calls: the program and the interpreter agree about them, stop at the same
//! call where one failed, and a request that is judged in pieces, each call told when it is asked for, comes to
//! what it comes to when all are told.

use super::generate::Generator;
use crate::syntax::ast::{HeaderOp, Side};
use crate::syntax::span::Loc;
use crate::tree::calls::Outcome;
use crate::tree::eval::BadText;
use crate::tree::guard::graph;
use crate::tree::interpret;
use crate::tree::ir::*;
use crate::tree::judge::{Admit, Edit, Progress, Rendered, Walk};
use crate::tree::program::{Limits, compile_within};
use crate::tree::session::Issue;
use std::sync::Arc;

/// Calls of a site: half of them ask another service, and one reads the body.
const CALLS: u32 = 6;
/// That one.
const BODY: CallIdx = CallIdx(CALLS - 1);

fn field(generator: &mut Generator) -> (Field, Test) {
    let call = CallIdx(generator.random.below(CALLS as usize) as u32);
    let one = |text: &str| Test::OneOf(vec![text.into()]);
    match generator.random.below(6) {
        kind if call == BODY => {
            let test = match kind {
                0..2 => one("a"),
                2 => Test::Has("b".into()),
                3 => Test::StartsWith("a".into()),
                _ => Test::Present,
            };
            (Field::Body(call, "body.text".into()), test)
        }
        0 => (Field::Claim(call, "role".into()), one("a")),
        1 => (Field::Claim(call, "role".into()), Test::Has("a".into())),
        2 => (Field::Claim(call, "role".into()), Test::StartsWith("a".into())),
        _ => (Field::Call(call, format!("call {}", call.0).into()), Test::Present),
    }
}

/// A condition that reads calls: of one call, or of two that are related.
fn leaf(generator: &mut Generator) -> Cond {
    let (field, test) = field(generator);
    if generator.random.chance(85) {
        return Cond::Test(field, test);
    }
    let value = |field| {
        Box::new(Value {
            parts: vec![Part::Hole { field, transform: Transform::None, encode: Encode::Plain, if_missing: None }],
        })
    };
    let (other, _) = self::field(generator);
    Cond::Relate(value(field), Relation::Is, value(other))
}

fn cond(generator: &mut Generator, other: Cond) -> Cond {
    let read = leaf(generator);
    let read = match generator.random.below(8) {
        0 => Cond::And(vec![Cond::Or(vec![read, leaf(generator)]), leaf(generator)]),
        1 => Cond::Or(vec![Cond::And(vec![read, other.clone()]), leaf(generator)]),
        _ => read,
    };
    let read = if generator.random.chance(30) { Cond::Not(Box::new(read)) } else { read };
    match generator.random.below(4) {
        0 => Cond::And(vec![other, read]),
        1 => Cond::Or(vec![read, other]),
        2 => Cond::And(vec![read, other]),
        _ => read,
    }
}

/// A site of the generator's whose guards and policies read calls. The policies of a scope begin with those of
/// the scope around it, as the checker makes them.
fn site(generator: &mut Generator) -> Site {
    let mut site = generator.site();
    for call in 0..CALLS {
        let value = Value { parts: vec![Part::Text("/".into())] };
        let kind = if CallIdx(call) == BODY {
            CallKind::Body(crate::body::Part::Text)
        } else if call % 2 == 0 {
            let ask = Ask {
                pool: PoolIdx(0),
                method: "GET".into(),
                at: value,
                within_ms: 1,
                copy: vec![],
                failed: None,
                keep: None,
            };
            CallKind::Ask(ask)
        } else {
            CallKind::Secret(SecretTest { value, secret: "k".into(), any_line: false })
        };
        site.calls.push(Arc::new(Call {
            kind,
            shown: format!("call {call}").into(),
            loc: Loc::default(),
            relayed: false,
        }));
    }
    policies(generator, &mut site, ScopeIdx(0), &[]);
    site
}

fn policies(generator: &mut Generator, site: &mut Site, scope: ScopeIdx, outer: &[Step]) {
    let mut steps = outer.to_vec();
    for _ in 0..generator.random.below(3) {
        steps.push(step(generator));
    }
    let miss = site.scopes[scope.0 as usize].miss;
    site.plans[miss.0 as usize].steps = steps.clone();
    for at in 0..site.scopes[scope.0 as usize].entries.len() {
        let entry = &mut site.scopes[scope.0 as usize].entries[at];
        let target = entry.target;
        if generator.random.chance(40) {
            let other = std::mem::replace(&mut entry.guard, Cond::Const(true));
            let other = if other == Cond::Const(true) {
                Cond::Test(Field::Method, Test::OneOf(vec!["GET".into()]))
            } else {
                other
            };
            entry.guard = cond(generator, other);
        }
        match target {
            Target::Plan(plan) => site.plans[plan.0 as usize].steps = steps.clone(),
            Target::Scope(inner) => policies(generator, site, inner, &steps),
        }
    }
}

fn step(generator: &mut Generator) -> Step {
    let loc = Loc::default();
    let get = Cond::Test(Field::Method, Test::OneOf(vec!["GET".into()]));
    match generator.random.below(4) {
        0 => {
            let ask = CallIdx(2 * generator.random.below(3) as u32);
            let relayed = generator.random.chance(40);
            let otherwise = if relayed { Answer::Relay { call: ask } } else { Answer::Deny { status: 401 } };
            Step::Require { cond: cond(generator, get), otherwise, loc }
        }
        1 => Step::Limit(Arc::new(Limit {
            bound: LimitBound::AtOnce(1),
            cost: None,
            answer: ByAnswer::No,
            key: Vec::new(),
            tell: false,
            name: format!("limit {}", generator.random.below(1000)).into(),
            shadow: false,
            when: cond(generator, get),
            loc,
        })),
        2 => {
            let (field, _) = field(generator);
            let answer = Missing::Answer(Answer::Deny { status: 402 });
            let hole = Part::Hole {
                field,
                transform: Transform::None,
                encode: Encode::Header,
                if_missing: generator.random.chance(80).then(|| Box::new(answer)),
            };
            let value = Value { parts: vec![hole] };
            let when = cond(generator, get);
            let (op, side) = (HeaderOp::Set, Side::Request);
            Step::Header(Arc::new(HeaderEdit { op, side, name: "x".into(), value, when, loc }))
        }
        _ => Step::Session(Arc::new(Session {
            cookie: "sid".into(),
            does: SessionDoes::End,
            when: cond(generator, get),
            loc,
        })),
    }
}

/// What a walk was told, in order.
#[derive(Default)]
struct Told(Vec<String>);

impl<'p> Walk<'p> for Told {
    fn edit(&mut self, edit: Edit<'p>) -> Result<(), BadText> {
        self.0.push(format!("{}: {}", edit.name, edit.value));
        Ok(())
    }
    fn limit(&mut self, limit: &'p Arc<Limit>, _: Vec<u8>, _: u64) -> Admit {
        self.0.push(limit.name.to_string());
        Admit::Pass
    }
    fn session(&mut self, session: &'p Arc<Session>, _: Issue<'_>) {
        self.0.push(session.cookie.to_string());
    }
    fn asked(&mut self, cond: &'p Cond, held: bool, _: Loc) {
        self.0.push(format!("{cond}: {held}"));
    }
}

fn outcomes(generator: &mut Generator) -> Vec<Outcome> {
    let role = |text: &str| (Arc::from("role"), Arc::from(text));
    (0..CALLS)
        .map(|_| match generator.random.below(12) {
            0..3 => Outcome::No,
            3 => Outcome::Failed,
            4..8 => Outcome::Yes(vec![role("a")].into()),
            8 => Outcome::Yes(vec![role("a"), role("b")].into()),
            9 => Outcome::Yes(vec![role("ab")].into()),
            _ => Outcome::Yes(Vec::new().into()),
        })
        .collect()
}

/// With which status a call said no, if it did.
fn said(call: CallIdx) -> Option<u16> {
    (call.0 < 4).then_some(401 + call.0 as u16)
}

/// Now and then the slower forms.
fn limits(seed: u64) -> Limits {
    match seed % 7 {
        5 => Limits { states: Some(1), ..Limits::default() },
        6 => Limits { graph: graph::Limits { nodes: 0, steps: 0 }, ..Limits::default() },
        _ => Limits::default(),
    }
}

#[test]
fn judged_in_pieces_a_request_comes_to_the_same() {
    let (mut pieces, mut guards, mut stops, mut relayed, mut kept_in) = (0, 0, 0, 0, 0);
    for seed in 0..super::programs() as u64 {
        // Few of them are large: what counts is the order in which calls are asked.
        let mut generator = if seed % 10 == 0 { Generator::new(seed) } else { Generator::small(seed) };
        let site = Arc::new(site(&mut generator));
        let Ok(program) = compile_within(Arc::clone(&site), &limits(seed)) else { continue };
        for _ in 0..4 {
            let plain = generator.request(&site);
            let outcomes = outcomes(&mut generator);
            let mut known = plain.clone();
            for (call, outcome) in (0..).map(CallIdx).zip(&outcomes) {
                known.calls.tell(call, outcome.clone());
                known.calls.tell_said(call, said(call));
            }
            for request in [&known, &plain] {
                let decided = (program.decide(request), request.calls.stopped());
                let meant = (interpret(&site, request), request.calls.stopped());
                assert_eq!(decided.1, meant.1, "seed {seed}: {request:?} {outcomes:?}");
                match decided.1 {
                    None => assert_eq!(decided.0, meant.0, "seed {seed}: {request:?} {outcomes:?}"),
                    Some(_) => stops += 1,
                }
            }
            let mut at_once = Told::default();
            let whole = program.judge(&known, &mut || 0, &mut at_once, &mut Progress::default());

            let (mut in_pieces, mut progress, mut asked) = (Told::default(), Progress::default(), plain.clone());
            let last = loop {
                let judged = program.judge(&asked, &mut || 0, &mut in_pieces, &mut progress);
                let Rendered::Pending(call) = judged.answer else { break judged };
                guards += usize::from(judged.plan.is_none());
                assert!(asked.calls.outcome(call).is_none(), "seed {seed}: a call is asked once");
                asked.calls.tell(call, outcomes[call.0 as usize].clone());
                asked.calls.tell_said(call, said(call));
                pieces += 1;
            };
            match whole.answer {
                Rendered::Relay { call, status } => {
                    relayed += 1;
                    assert_eq!((&outcomes[call.0 as usize], status), (&Outcome::No, said(call)));
                }
                // No yes of a service is anybody's answer.
                Rendered::Deny { status: 403 } => kept_in += 1,
                _ => {}
            }
            assert_eq!(last.answer, whole.answer, "seed {seed}: {plain:?} {outcomes:?}");
            assert_eq!(in_pieces.0, at_once.0, "seed {seed}: {plain:?} {outcomes:?}");
        }
    }
    assert!(pieces > 500 && guards > 100, "{pieces} calls were asked, {guards} by guards");
    assert!(stops > 1000, "{stops} decisions stopped at a call");
    assert!(relayed > 50 && kept_in > 50, "{relayed} answers were passed on, {kept_in} said yes");
}
