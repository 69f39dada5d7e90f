//! The algebra of regions against brute force: what it says of all requests of a random site holds for
//! each of many, and what it says there is can be shown.

use super::generate::Generator;
use super::programs;
use crate::region::Undecided;
use crate::region::space::{Region, Space};
use crate::tree::interpret::interpret_with;
use crate::tree::ir::*;
use crate::tree::request::Plain;
use crate::tree::request::Request;
use crate::tree::{Decision, Program, compile, eval};
use std::sync::Arc;

const REQUESTS: usize = 10;

#[test]
fn regions_and_brute_force_agree() {
    let sites = programs();
    let mut generator = Generator::small(7);
    let (mut decided, mut witnesses, mut unmet) = (0, 0, 0);
    for n in 0..sites {
        let site = Arc::new(generator.site());
        let [d, w, u] = agree(&mut generator, &site, n);
        (decided, witnesses, unmet) = (decided + d, witnesses + w, unmet + u);
    }
    assert!(decided > sites * 9 / 10, "{decided} of {sites} sites were decided");
    assert!(witnesses > 2 * sites && unmet < witnesses / 3, "{witnesses} witnesses, {unmet} regions without");
}

#[test]
fn regions_of_larger_sites_and_brute_force_agree() {
    let mut generator = Generator::new(8);
    let mut decided = 0;
    for n in 0..programs() / 50 {
        let site = Arc::new(generator.site());
        decided += agree(&mut generator, &site, n)[0];
    }
    assert!(decided > 0);
}

/// Asks some requests of a site; whether it was decided, how many regions were shown, how many not.
fn agree(generator: &mut Generator, site: &Arc<Site>, n: usize) -> [usize; 3] {
    let program = compile(site.clone()).unwrap();
    let space = match Space::of_site(site) {
        Ok(space) => space,
        Err(Undecided::TooLarge) => return [0; 3],
        Err(other) => panic!("site {n}: {other}"),
    };
    let Ok(reached) = space.reached(0) else { return [0; 3] };
    let everything = space.everything(0);
    let mut algebra = crate::region::Algebra::paths();
    for _ in 0..REQUESTS {
        let request = generator.request(site);
        if !everything.contains(0, &request) {
            continue;
        }
        let decision = interpret_with(site, &request, &mut algebra);
        assert_eq!(program.decide(&request), decision, "site {n}\n{request:#?}\n{site:#?}");
        let there = |(plan, region): &(PlanIdx, Region)| region.contains(0, &request).then_some(*plan);
        let there: Vec<PlanIdx> = reached.plans.iter().filter_map(there).collect();
        let refused = reached.conflicts.contains(0, &request);
        match decision {
            Decision::Plan(plan) => assert!(there == [plan] && !refused, "site {n}\n{request:#?}\n{site:#?}"),
            Decision::Conflict(_) => assert!(there.is_empty() && refused, "site {n}\n{request:#?}\n{site:#?}"),
        }
        // Conditions and patterns, and what the algebra makes of them.
        let scope = &site.scopes[generator.random.below(site.scopes.len())];
        if let [first, .., last] = &*scope.entries {
            conditions(&space, &everything, first, last, &request, n);
        }
    }
    let (mut witnesses, mut unmet) = (0, 0);
    for (plan, region) in &reached.plans {
        match region.witness(0) {
            Some(request) => {
                witnesses += 1;
                shows(&program, site, &request, *plan, n);
            }
            // A handshake without a name is one that a plain request cannot say.
            None if region.opaque().is_empty() && !format!("{site:?}").contains("TlsSni") => {
                panic!("site {n}: no witness of {plan:?}: {region:?}\n{site:#?}")
            }
            None => unmet += 1,
        }
    }
    [1, witnesses, unmet]
}

fn conditions(space: &Arc<Space>, all: &Region, a: &Entry, b: &Entry, request: &Plain, n: usize) {
    let region = |entry: &Entry| -> Result<Region, Undecided> {
        let paths = space.of_pattern(&entry.pattern)?.intersect(all)?;
        paths.intersect(&space.of_cond(0, &entry.guard)?)
    };
    let (Ok(first), Ok(second)) = (region(a), region(b)) else { return };
    let holds = |entry: &Entry| entry.pattern.matches(request.path()) && eval::holds(&entry.guard, request);
    let is = [holds(a), holds(b)];
    assert_eq!([first.contains(0, request), second.contains(0, request)], is, "site {n}\n{a:#?}\n{b:#?}\n{request:#?}");
    for (made, expected) in [
        (first.intersect(&second), is[0] && is[1]),
        (first.minus(&second), is[0] && !is[1]),
        (first.union(&second), is[0] || is[1]),
    ] {
        let Ok(made) = made else { continue };
        assert_eq!(made.contains(0, request), expected, "site {n}\n{a:#?}\n{b:#?}\n{request:#?}");
        // Never true, and follows from: said only where nothing speaks against it.
        assert!(!expected || !made.is_empty(), "site {n}");
    }
}

fn shows(program: &Program, site: &Site, request: &Plain, plan: PlanIdx, n: usize) {
    let mut algebra = crate::region::Algebra::paths();
    let expected = interpret_with(site, request, &mut algebra);
    assert_eq!(program.decide(request), expected, "site {n}");
    assert_eq!(expected, Decision::Plan(plan), "site {n}\n{request:#?}");
}

/// An empty capture is none, also where the text that it may be is written with an escape.
#[test]
fn an_empty_capture_is_none() {
    let mut site = Generator::small(0).site();
    let optional = Class::Regex(Regex::new("(?: )?").unwrap());
    let capture = Segment::Capture { prefix: "v".into(), class: optional, suffix: "".into() };
    let rest = Field::Capture(Capture::Segment { index: 1, prefix: 1, suffix: 0 });
    let blank = Cond::Test(rest, Test::OneOf(vec!["a b".into(), "".into()]));
    let entry = |last: Segment, guard: Cond, plan: u32| Entry {
        pattern: PathPattern { segments: vec![Segment::Lit("x".into()), last], splat: false },
        guard,
        target: Target::Plan(PlanIdx(plan)),
        pathless: false,
        loc: Default::default(),
        names: Vec::new(),
    };
    site.scopes.truncate(1);
    site.scopes[0].miss = PlanIdx(0);
    site.scopes[0].entries = vec![
        entry(capture, Cond::Const(true), 1),
        entry(Segment::Lit("v".into()), blank, 2),
        entry(Segment::any(), Cond::Const(true), 3),
    ];
    site.plans = vec![site.plans[0].clone(); 4];
    let site = Arc::new(site);
    let program = compile(site.clone()).unwrap();
    let empty = Plain { host: "a.example".into(), path: "/x/v".into(), ..Plain::default() };
    assert_eq!(program.decide(&empty), Decision::Plan(PlanIdx(3)));
    let reached = Space::of_site(&site).unwrap().reached(0).unwrap();
    let plans: Vec<u32> = reached.plans.iter().map(|(plan, _)| plan.0).collect();
    assert_eq!(plans, [0, 1, 3]);
    for (plan, region) in &reached.plans {
        shows(&program, &site, &region.witness(0).expect("nothing is opaque"), *plan, 0);
    }
}
