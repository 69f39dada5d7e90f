//! What `explain` is told.

use crate::syntax::span::{FileId, Loc, Span};
use crate::tree::ir::*;
use crate::tree::request::Plain;
use crate::tree::{Candidate, compile};
use std::sync::Arc;

fn loc(line: usize) -> Loc {
    Loc { file: FileId(1), span: Span::new(line, line) }
}

fn entry(line: usize, texts: &[&str], splat: bool, guard: Cond, target: Target) -> Entry {
    let segments = texts.iter().map(|t| if *t == "{}" { Segment::any() } else { Segment::Lit((*t).into()) });
    Entry {
        pattern: PathPattern { segments: segments.collect(), splat },
        guard,
        target,
        pathless: false,
        loc: loc(line),
        names: Vec::new(),
    }
}

fn is(field: Field, text: &str) -> Cond {
    Cond::Test(field, Test::OneOf(vec![text.into()]))
}

/// ```text
/// /checkout/* {                                                      # 1
///     when cookie.canary is "always" and method in [GET] -> next     # 2
///     /checkout/{step} when not (method is PUT or method is DELETE)  # 3
/// }
/// else -> web                                                        # 4
/// ```
fn site() -> Site {
    let to = |n| Target::Plan(PlanIdx(n));
    let canary = Cond::And(vec![is(Field::Cookie("canary".into()), "always"), is(Field::Method, "GET")]);
    let safe = Cond::Not(Box::new(Cond::Or(vec![is(Field::Method, "PUT"), is(Field::Method, "DELETE")])));
    let scope = |splat: &[&str], entries, miss, line| Scope {
        pattern: entry(line, splat, true, Cond::Const(true), to(0)).pattern,
        entries,
        miss: PlanIdx(miss),
        protected: false,
        loc: loc(line),
    };
    let root = vec![
        entry(4, &[], true, Cond::Const(true), to(3)),
        entry(1, &["checkout"], true, Cond::Const(true), Target::Scope(ScopeIdx(1))),
    ];
    let block = vec![entry(2, &["checkout"], true, canary, to(1)), entry(3, &["checkout", "{}"], false, safe, to(2))];
    Site {
        hosts: Vec::new(),
        scopes: vec![scope(&[], root, 0, 0), scope(&["checkout"], block, 4, 1)],
        plans: Vec::new(),
        pools: Vec::new(),
        calls: Vec::new(),
        providers: Vec::new(),
        on_demand: None,
        via: None,
        settings: SiteSettings {
            tls: Tls::Auto,
            http_allowed: false,
            default: false,
            paths: Paths::Canonical,
            semicolon: false,
            walls: Default::default(),
            handshake: Handshake::default(),
        },
        loc: loc(0),
    }
}

fn explained(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<Candidate> {
    let headers = headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
    let request = Plain { method: method.into(), path: path.into(), headers, ..Plain::default() };
    compile(Arc::new(site())).unwrap().candidates(&request)
}

/// Line, depth, what refused, whether taken, plan.
type Line<'a> = (usize, usize, Option<&'a str>, bool, Option<u32>);

fn lines(candidates: &[Candidate]) -> Vec<Line<'_>> {
    fn line(candidate: &Candidate) -> Line<'_> {
        let Candidate { loc, depth, refused, taken, plan, .. } = candidate;
        (loc.span.start as usize, *depth, refused.as_ref().map(|r| &*r.part), *taken, plan.map(|p| p.0))
    }
    candidates.iter().map(line).collect()
}

#[test]
fn candidates_stand_in_order_with_what_refused_them() {
    let all = explained("GET", "/checkout/pay", &[]);
    assert_eq!(lines(&all), [(1, 0, None, true, Some(2)), (3, 1, None, true, Some(2))]);
    assert_eq!(all[0].pattern, "/checkout/*");
    assert!(all[0].block && !all[1].block);
    assert_eq!(all[1].condition.as_deref(), Some("not (method is PUT or method is DELETE)"));

    let all = explained("PUT", "/checkout/pay", &[]);
    assert_eq!(
        lines(&all),
        [
            (1, 0, None, true, Some(4)),
            (3, 1, Some("method is not PUT"), false, None),
            (2, 1, Some("cookie.canary is \"always\""), false, None),
        ],
        "the block answers, though nothing in it does"
    );

    let all = explained("POST", "/checkout", &[("cookie", "canary=always")]);
    assert_eq!(lines(&all), [(1, 0, None, true, Some(4)), (2, 1, Some("method is GET"), false, None)]);

    let all = explained("GET", "/else", &[]);
    assert_eq!(lines(&all), [(4, 0, None, true, Some(3))]);
    assert_eq!(all[0].condition, None);
}

#[test]
fn a_refused_request_has_no_candidates() {
    assert_eq!(explained("GET", "/checkout", &[("cookie", "canary=a; canary=b")]), []);
}
