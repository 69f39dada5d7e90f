//! What the linter says of random route files, against brute force over requests that meet them.
//!
//! The texts are small and their words few, so that routes cross and conditions hold as often as not.
//! What is said to be dead nothing reaches; what nothing takes is said; two routes that claim a request
//! are said to; and what lives is shown by a request.

use super::generate::Random;
use crate::diagnostic::{Diagnostic, Severity};
use crate::lint::alternatives;
use crate::region::Algebra;
use crate::region::space::{Region, Space};
use crate::syntax::span::{FileId, Loc};
use crate::tree::interpret::interpret_with;
use crate::tree::ir::*;
use crate::tree::request::{Plain, Request};
use crate::tree::{Decision, Program, compile, eval};
use crate::{NoModules, Unit};
use std::sync::Arc;

const SEGMENTS: &[&str] = &["a", "b", "{x}", "{x:int}", "{x:a|7}", "p{x}", "{x:\"[a-c7]+\"}"];
const TESTS: &[&str] = &[
    "method is GET",
    "method is POST",
    "method in [GET, HEAD]",
    "header.a",
    "header.a is \"1\"",
    "header.a is not \"1\"",
    "header.a starts with \"1\"",
    "header.a matches \"1+\"",
    "header.a has \"2\"",
    "cookie.c is \"1\"",
    "client.ip in [10.0.0.0/8]",
    "client.ip in [10.1.0.0/16]",
    "header.a is cookie.c",
    "request.path starts with \"/a/\"",
];

pub(super) struct Texts {
    pub(super) random: Random,
    text: String,
}

impl Texts {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), text: String::new() }
    }

    fn file(&mut self) -> String {
        self.text = "pool p = 10.0.0.1:80\n\nsite a.example.com {\n".into();
        let count = 1 + self.random.below(4);
        self.routes(count, "", 1);
        self.text.push_str("}\n");
        std::mem::take(&mut self.text)
    }

    fn routes(&mut self, count: usize, base: &str, depth: usize) {
        let indent = "    ".repeat(depth);
        for n in 0..count {
            let mut path = String::new();
            for _ in 0..1 + self.random.below(2) {
                path.push('/');
                let segment = self.random.word(SEGMENTS);
                // Names are distinct within a pattern and its block.
                path.push_str(&segment.replace('x', &format!("x{depth}{}", path.len())));
            }
            let block = depth < 2 && self.random.chance(25);
            if block || self.random.chance(30) {
                path.push_str("/*");
            }
            let when = if self.random.chance(45) { format!(" when {}", self.condition(&path)) } else { String::new() };
            let dot = if depth > 1 { "." } else { "" };
            match block {
                true => {
                    self.text.push_str(&format!("{indent}{dot}{path}{when} {{\n"));
                    let inner = 1 + self.random.below(2);
                    self.routes(inner, &format!("{base}{path}"), depth + 1);
                    self.text.push_str(&format!("{indent}}}\n"));
                }
                false => self.text.push_str(&format!("{indent}{dot}{path}{when} -> respond 200 \"{depth}{n}\"\n")),
            }
        }
        if self.random.chance(40) {
            self.text.push_str(&format!("{indent}else -> respond 200 \"{depth}\"\n"));
        }
    }

    pub(super) fn condition(&mut self, path: &str) -> String {
        let one = |random: &mut Random| match path.find("{x").filter(|_| random.chance(25)) {
            Some(at) => {
                let name: String = path[at + 1..].chars().take_while(char::is_ascii_alphanumeric).collect();
                let rest = &path[at + 1 + name.len()..];
                if rest.starts_with(":int") { format!("{name} is 7") } else { format!("{name} is \"7\"") }
            }
            None => random.word(TESTS).to_owned(),
        };
        let (a, b) = (one(&mut self.random), one(&mut self.random));
        match self.random.below(5) {
            0 => format!("{a} and {b}"),
            1 => format!("{a} or {b}"),
            2 => format!("not ({a})"),
            _ => a,
        }
    }

    pub(super) fn request(&mut self) -> Plain {
        let mut path = String::new();
        for _ in 0..self.random.below(4) {
            path.push('/');
            path.push_str(self.random.word(&["a", "b", "7", "p7", "pa", "c", "zz"]));
        }
        if path.is_empty() || self.random.chance(10) {
            path.push('/');
        }
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        for _ in 0..self.random.below(3) {
            headers.push(("a".into(), self.random.word(&["1", "2", "11"]).into()));
        }
        if self.random.chance(50) {
            headers.push(("cookie".into(), format!("c={}", self.random.word(&["1", "2"])).into()));
        }
        let ip = self.random.word(&["203.0.113.1", "10.0.0.1", "10.1.0.1"]).parse().unwrap();
        Plain {
            method: self.random.word(&["GET", "POST", "HEAD", "PUT"]).into(),
            host: "a.example.com".into(),
            path,
            headers,
            client: (ip, 50_000),
            ..Plain::default()
        }
    }
}

#[test]
fn findings_and_brute_force_agree() {
    let (files, requests) = (super::programs(), 16);
    let mut texts = Texts::new(11);
    let mut algebra = Algebra::paths();
    let (mut judged, mut dead_ones, mut parts_dead, mut quarrels) = (0, 0, 0, 0);
    for n in 0..files {
        let text = texts.file();
        let unit = Unit { file: FileId(0), path: "a.route", text: &text, gateway: false, modules: &NoModules };
        let checked = crate::check(&unit);
        let [site] = &*checked.sites else { continue };
        let Ok(program) = compile(site.clone()) else { continue };
        let found = crate::compile(&unit).diagnostics;
        // A file whose meaning is in doubt is not judged.
        let ours = ["G1013", "G2001", "G2002", "G2003", "G2004", "G3001"];
        let error = |d: &Diagnostic| d.severity == Severity::Error && !ours.contains(&d.code);
        if found.iter().any(error) {
            continue;
        }
        judged += 1;
        assert!(!found.iter().any(|d| d.code == "G0003"), "file {n}: {found:?}\n{text}");
        let said = |codes: &[&str], loc: Loc| found.iter().any(|d| codes.contains(&d.code) && d.primary.loc == loc);
        let entries: Vec<&Entry> = site.scopes.iter().flat_map(|scope| &scope.entries).collect();
        for _ in 0..requests {
            let request = texts.request();
            let decision = interpret_with(site, &request, &mut algebra);
            assert_eq!(program.decide(&request), decision, "file {n}\n{request:?}\n{text}");
            let Decision::Plan(plan) = decision else { continue };
            for (at, scope) in site.scopes.iter().enumerate().filter(|(_, scope)| scope.miss == plan) {
                let code = if at == 0 { "G2005" } else { "G2006" };
                assert!(said(&[code], scope.loc), "file {n}: {code} is missing\n{request:?}\n{text}");
            }
            for entry in entries.iter().filter(|entry| entry.target == Target::Plan(plan)) {
                let dead = found.iter().any(|d| {
                    let whole =
                        d.severity == Severity::Error || told(d).starts_with("this condition") || d.code == "G2001";
                    matches!(d.code, "G2001" | "G2004") && whole && d.primary.loc == entry.loc
                });
                assert!(!dead && !never(&found, entry), "file {n}: it lives\n{request:?}\n{text}");
            }
            parts_dead += parts(site, &found, &request, plan, n);
            quarrels += usize::from(quarrel(site, &request, plan, &mut algebra, |a, b| {
                let codes = &["G2002", "G2003"];
                assert!(said(codes, a.loc) || said(codes, b.loc), "file {n}: no quarrel\n{request:?}\n{text}");
            }));
        }
        // What is not said to be dead can be shown to live. A space of its own costs as much as all else.
        if n % 3 != 0 {
            continue;
        }
        let Ok(space) = Space::of_site(site) else { continue };
        let Ok(reached) = space.reached(0) else { continue };
        for (scope, s) in (0..).map(ScopeIdx).zip(&site.scopes) {
            for (at, entry) in s.entries.iter().enumerate() {
                let lives = reached.entries.get(&(scope, at));
                dead_ones += usize::from(lives.is_none());
                if let Some(region) = lives
                    && region.opaque().is_empty()
                {
                    assert!(region.witness(0).is_some(), "file {n}: {}\n{text}", entry.pattern);
                }
                if let Some(region) = lives {
                    living_parts(&space, &program, region, &found, (scope, at), n);
                }
                let outer = site.scopes.iter().flat_map(|s| &s.entries).any(|e| e.target == Target::Scope(scope));
                let whole = found.iter().any(|d| matches!(d.code, "G2001" | "G2004" | "G1013" | "G2018"));
                assert!(lives.is_some() || whole || outer, "file {n}: dead and not said\n{text}");
            }
        }
    }
    assert!(parts_dead > files / 100, "{parts_dead} times a part that is said to be dead was asked about");
    assert!(judged > files / 2 && dead_ones > files / 150 && quarrels > files / 50, "{judged} {dead_ones} {quarrels}");
}

/// What a finding says, whether it is marked as possible or not.
fn told(found: &Diagnostic) -> &str {
    found.message.trim_start_matches("possibly: ")
}

/// The alternatives of a condition that are said to be fulfilled by nothing, or asked of nobody.
fn dead_parts(found: &[Diagnostic], entry: &Entry) -> Vec<Cond> {
    let dead = |shown: &str| {
        let name = entry.names.iter().fold(shown.to_owned(), |text, (c, name)| text.replace(&c.to_string(), name));
        let parts = [format!("`{name}` never holds beside"), format!("`{name}` is never asked here")];
        let here = |d: &&Diagnostic| matches!(d.code, "G1013" | "G2004") && d.primary.loc == entry.loc;
        found.iter().filter(here).any(|d| parts.iter().any(|part| told(d).starts_with(part)))
    };
    alternatives(&entry.guard).into_iter().filter(|(shown, _)| dead(shown)).map(|(_, cond)| cond).collect()
}

/// Nobody is asked a part that is said to be dead; how many there were.
fn parts(site: &Site, found: &[Diagnostic], request: &Plain, plan: PlanIdx, n: usize) -> usize {
    let mut count = 0;
    for entry in site.scopes.iter().flat_map(|scope| &scope.entries) {
        let behind = match entry.target {
            Target::Plan(own) => own == plan,
            Target::Scope(scope) => within(site, scope, plan),
        };
        for part in dead_parts(found, entry) {
            count += 1;
            let asked = behind && eval::holds(&part, request);
            assert!(!asked, "file {n}: {part} of {} is asked\n{request:?}\n{found:#?}", entry.pattern);
        }
    }
    count
}

fn within(site: &Site, scope: ScopeIdx, plan: PlanIdx) -> bool {
    let scope = &site.scopes[scope.0 as usize];
    scope.miss == plan
        || scope.entries.iter().any(|entry| match entry.target {
            Target::Plan(own) => own == plan,
            Target::Scope(inner) => within(site, inner, plan),
        })
}

/// A part of a condition that nobody calls dead is asked of some request.
fn living_parts(
    space: &Arc<Space>,
    program: &Program,
    region: &Region,
    found: &[Diagnostic],
    (scope, at): (ScopeIdx, usize),
    n: usize,
) {
    let site = program.site();
    let entry = &site.scopes[scope.0 as usize].entries[at];
    let dead = dead_parts(found, entry);
    for (shown, part) in alternatives(&entry.guard) {
        // Values of lists are none of the space's tests.
        let Ok(asked) = space.of_cond(0, &part).and_then(|part| part.intersect(region)) else { continue };
        // Several errors hide what else there is; those of the whole condition hide its parts.
        let whole = found.iter().any(|d| d.severity == Severity::Error) || never(found, entry);
        assert!(
            asked.is_empty() == dead.contains(&part) || whole,
            "file {n}: `{shown}` of {}\n{found:#?}",
            entry.pattern
        );
        if asked.opaque().is_empty() && !asked.is_empty() {
            let request = asked.witness(0).unwrap_or_else(|| panic!("file {n}: nothing shows `{shown}`"));
            assert!(eval::holds(&part, &request));
            let Decision::Plan(plan) = program.decide(&request) else { panic!("file {n}: {request:?}") };
            assert!(match entry.target {
                Target::Plan(own) => own == plan,
                Target::Scope(inner) => within(site, inner, plan),
            });
        }
    }
}

/// Whether a condition is said to be fulfilled by nothing, as a whole.
fn never(found: &[Diagnostic], entry: &Entry) -> bool {
    found.iter().any(|d| d.code == "G1013" && d.primary.loc == entry.loc && d.message.starts_with("this condition"))
}

/// Two entries of one scope that both claim a request, neither in the other, one of which answers it:
/// nobody inside both took it.
fn quarrel(site: &Site, request: &Plain, plan: PlanIdx, algebra: &mut Algebra, each: impl Fn(&Entry, &Entry)) -> bool {
    let mut any = false;
    for scope in &site.scopes {
        let claims = |e: &&Entry| e.pattern.matches(request.path()) && eval::holds(&e.guard, request);
        let claiming: Vec<&Entry> = scope.entries.iter().filter(claims).collect();
        let Some(winner) = claiming.iter().find(|e| e.target == Target::Plan(plan)) else { continue };
        for other in &claiming {
            let inside = |algebra: &mut Algebra, a: &Entry, b: &Entry| algebra.path_inside(&a.pattern, &b.pattern);
            let apart = inside(algebra, winner, other) == Ok(false) && inside(algebra, other, winner) == Ok(false);
            if apart && matches!(other.target, Target::Plan(_)) && !same(site, winner, other) {
                each(winner, other);
                any = true;
            }
        }
    }
    any
}

/// Whether two entries answer alike.
fn same(site: &Site, a: &Entry, b: &Entry) -> bool {
    let answer = |e: &Entry| match e.target {
        Target::Plan(plan) => Some(&site.plans[plan.0 as usize].answer),
        Target::Scope(_) => None,
    };
    answer(a) == answer(b)
}
