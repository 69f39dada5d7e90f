//! The algebra of regions against brute force: what it says of all requests of a random site holds for
//! each of many, and what it says there is can be shown.

use super::generate::Generator;
use crate::region::Undecided;
use crate::region::space::Space;
use crate::tree::interpret::interpret_with;
use crate::tree::ir::*;
use crate::tree::request::Plain;
use crate::tree::{Decision, Program, compile};
use std::sync::Arc;

/// Sites that CI looks at, and requests for each.
const SITES: usize = 300;
const REQUESTS: usize = 40;

#[test]
fn regions_and_brute_force_agree() {
    let mut generator = Generator::new(7);
    let mut algebra = crate::region::Algebra::paths();
    let (mut decided, mut witnesses, mut unmet) = (0, 0, 0);
    for n in 0..SITES {
        let site = Arc::new(generator.site());
        let program = compile(site.clone()).unwrap();
        let space = match Space::of_site(&site) {
            Ok(space) => space,
            Err(Undecided::TooLarge) => continue,
            Err(other) => panic!("site {n}: {other}"),
        };
        let Ok(reached) = space.reached(0) else { continue };
        decided += 1;
        for _ in 0..REQUESTS {
            let request = generator.request(&site);
            if !space.everything(0).contains(0, &request) {
                continue;
            }
            let decision = interpret_with(&site, &request, &mut algebra);
            let there: Vec<PlanIdx> =
                reached.plans.iter().filter(|(_, r)| r.contains(0, &request)).map(|(plan, _)| *plan).collect();
            match decision {
                Decision::Plan(plan) => assert_eq!(there, [plan], "site {n}\n{request:#?}\n{site:#?}"),
                Decision::Conflict(_) => {
                    assert!(reached.conflicts.contains(0, &request), "site {n}\n{request:#?}");
                    assert_eq!(there, [], "site {n}\n{request:#?}");
                }
            }
        }
        for (plan, region) in &reached.plans {
            match region.witness(0) {
                Some(request) => {
                    witnesses += 1;
                    shows(&program, &site, &request, *plan, n);
                }
                None if region.opaque().is_empty() => panic!("site {n}: no witness of {plan:?}: {region:?}\n{site:#?}"),
                None => unmet += 1,
            }
        }
    }
    assert!(decided > SITES * 9 / 10, "{decided} of {SITES} sites were decided");
    println!("{decided} sites, {witnesses} witnesses, {unmet} opaque without");
}

fn shows(program: &Program, site: &Site, request: &Plain, plan: PlanIdx, n: usize) {
    let mut algebra = crate::region::Algebra::paths();
    let expected = interpret_with(site, request, &mut algebra);
    assert_eq!(program.decide(request), expected, "site {n}");
    assert_eq!(expected, Decision::Plan(plan), "site {n}\n{request:#?}");
}
