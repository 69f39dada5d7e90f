//! Program and interpreter agree; a compiler that makes a mistake is found out.

use super::generate::{Generator, Random};
use crate::region::Algebra;
use crate::tree::fault::{FAULT, Fault};
use crate::tree::interpret::interpret_with;
use crate::tree::ir::*;
use crate::tree::program::{Limits, compile_within};
use crate::tree::request::Plain;
use crate::tree::request::Request;
use crate::tree::{Decision, HostIndex, eval};
use std::collections::BTreeMap;
use std::sync::Arc;

const REQUESTS: usize = 20;

/// Compares some sites with this many requests each; the first pair that differs, and how many agreed.
fn disagreement(
    seed: u64,
    sites: usize,
    limits: &Limits,
    mut each: impl FnMut(&Site, &Plain, &Decision),
) -> Option<usize> {
    let mut generator = Generator::new(seed);
    let mut algebra = Algebra::paths();
    let mut pairs = 0;
    for _ in 0..sites {
        let site = Arc::new(generator.site());
        let program = compile_within(site.clone(), limits).unwrap();
        for _ in 0..REQUESTS {
            pairs += 1;
            let request = generator.request(&site);
            let expected = interpret_with(&site, &request, &mut algebra);
            let got = program.decide(&request);
            if got != expected {
                if FAULT.get().is_none() {
                    panic!("seed {seed}, pair {pairs}: {got:?} instead of {expected:?}\n{request:#?}\n{site:#?}");
                }
                return Some(pairs);
            }
            if pairs % 10 == 0 {
                // What `explain` says leads to the same place.
                let candidates = program.candidates(&request);
                let plan = candidates.iter().find(|c| c.taken).map_or(site.scopes[0].miss, |c| c.plan.unwrap());
                assert!(
                    matches!(&got, Decision::Conflict(_)) || got == Decision::Plan(plan),
                    "seed {seed}, pair {pairs}"
                );
            }
            each(&site, &request, &expected);
        }
    }
    None
}

#[test]
fn program_and_interpreter_agree() {
    let mut seen = Coverage::default();
    disagreement(1, super::programs(), &Limits::default(), |site, request, decision| seen.add(site, request, decision));
    seen.assert_complete();
}

#[test]
fn the_slower_forms_mean_the_same() {
    let sets = Limits { states: Some(1), ..Limits::default() };
    disagreement(2, super::programs() / 25, &sets, |_, _, _| {});
    let lists = Limits { graph: crate::tree::guard::graph::Limits { nodes: 0, steps: 0 }, ..Limits::default() };
    disagreement(3, super::programs() / 25, &lists, |_, _, _| {});
}

/// `paths raw`: segments may be empty, and only a splat takes those.
#[test]
fn raw_paths_mean_the_same_to_both() {
    let (mut generator, mut random, mut algebra) = (Generator::new(7), Random::new(8), Algebra::paths());
    let (mut empty, mut taken) = (0, 0);
    for n in 0..super::programs() / 5 {
        let mut site = generator.site();
        site.settings.paths = Paths::Raw;
        let site = Arc::new(site);
        let states = if n % 10 == 0 { Some(1) } else { Limits::default().states };
        let program = compile_within(site.clone(), &Limits { states, ..Limits::default() }).unwrap();
        for _ in 0..REQUESTS {
            let plain = generator.request(&site);
            let more =
                |c: char, random: &mut Random| if c == '/' && random.chance(15) { "//".into() } else { c.to_string() };
            let path: String = plain.path.chars().map(|c| more(c, &mut random)).collect();
            let request = Plain { path, raw_paths: true, ..plain };
            let expected = interpret_with(&site, &request, &mut algebra);
            assert_eq!(program.decide(&request), expected, "{request:#?}\n{site:#?}");
            empty += usize::from(request.path.contains("//"));
            taken += usize::from(request.path.contains("//") && expected != Decision::Plan(site.scopes[0].miss));
        }
    }
    assert!(empty > 1000 && taken > 100, "{empty} paths with empty segments, {taken} of them taken by a splat");
}

#[test]
fn broken_compilers_are_caught_within_1000_pairs() {
    for fault in [
        Fault::SwapRows,
        Fault::IgnoreSuffix,
        Fault::DropInherited,
        Fault::ForgetSplats,
        Fault::MissingIsTrue,
        Fault::OpenBlocks,
        Fault::IgnoreConflicts,
        Fault::HalfEdges,
    ] {
        FAULT.set(Some(fault));
        let caught = disagreement(4, 1_000 / REQUESTS, &Limits::default(), |_, _, _| {});
        FAULT.set(None);
        assert!(caught.is_some(), "{fault:?} went unnoticed");
    }
}

/// What was generated, and which tests were both true and false.
#[derive(Default)]
struct Coverage {
    count: BTreeMap<String, usize>,
}

impl Coverage {
    fn see(&mut self, what: impl Into<String>) {
        *self.count.entry(what.into()).or_default() += 1;
    }

    fn add(&mut self, site: &Site, request: &Plain, decision: &Decision) {
        match decision {
            Decision::Plan(plan) => {
                let miss = site.scopes.iter().position(|s| s.miss == *plan);
                self.see(match miss {
                    Some(0) => "decision: miss of the site",
                    Some(_) => "decision: miss of a block",
                    None => "decision: entry",
                });
            }
            Decision::Conflict(_) => self.see("decision: conflict"),
        }
        for entry in site.scopes.iter().flat_map(|s| &s.entries) {
            if entry.pattern.matches(request.path()) {
                for segment in &entry.pattern.segments {
                    self.segment(segment);
                }
                self.see(if entry.pattern.splat { "splat" } else { "exact" });
                self.cond(&entry.guard, request);
            }
        }
    }

    fn segment(&mut self, segment: &Segment) {
        match segment {
            Segment::Lit(_) => self.see("segment: literal"),
            Segment::Capture { prefix, class, suffix } => {
                let affixed = if prefix.is_empty() && suffix.is_empty() { "" } else { " affixed" };
                let class = match class {
                    Class::Any => "any",
                    Class::Set(_) => "set",
                    Class::Int => "int",
                    Class::Uuid => "uuid",
                    Class::Regex(_) => "regex",
                };
                self.see(format!("segment: {class}{affixed}"));
            }
        }
    }

    fn cond(&mut self, cond: &Cond, request: &Plain) {
        let holds = eval::holds(cond, request);
        match cond {
            Cond::Const(value) => self.see(format!("const: {value}")),
            Cond::Test(field, test) => {
                self.see(format!("{}: {holds}", name_of_field(field)));
                self.see(format!("{}: {holds}", name_of_test(test)));
            }
            Cond::Relate(_, relation, _) => self.see(format!("relation {relation:?}: {holds}")),
            Cond::Not(inner) => {
                self.see("not");
                self.cond(inner, request);
            }
            Cond::And(all) => {
                self.see(format!("and: {holds}"));
                all.iter().for_each(|c| self.cond(c, request));
            }
            Cond::Or(all) => {
                self.see(format!("or: {holds}"));
                all.iter().for_each(|c| self.cond(c, request));
            }
        }
    }

    fn assert_complete(&self) {
        let mut wanted: Vec<String> = [
            "decision: miss of the site",
            "decision: miss of a block",
            "decision: entry",
            "decision: conflict",
            "splat",
            "exact",
            "not",
            "segment: literal",
            "segment: any",
            "segment: set",
            "segment: int",
            "segment: uuid",
            "segment: regex",
            "segment: any affixed",
            "segment: set affixed",
            "segment: int affixed",
            "segment: regex affixed",
        ]
        .map(String::from)
        .into();
        let twice = ["const", "and", "or", "relation Is", "relation StartsWith", "relation EndsWith", "relation Has"];
        let fields = [
            "method",
            "path",
            "uri",
            "query string",
            "size",
            "version",
            "host",
            "client ip",
            "client port",
            "tls sni",
            "tls version",
            "tls alpn",
            "tls cert",
            "header",
            "cookie",
            "query",
            "segment",
            "splat capture",
            "host capture",
        ];
        let tests = [
            "present",
            "one of",
            "starts with",
            "ends with",
            "has",
            "matches",
            "in nets",
            "number Eq",
            "number Lt",
            "number Le",
            "number Gt",
            "number Ge",
        ];
        for name in twice.iter().chain(&fields).chain(&tests) {
            wanted.extend([format!("{name}: true"), format!("{name}: false")]);
        }
        let missing: Vec<&String> = wanted.iter().filter(|w| self.count.get(*w).is_none_or(|n| *n < 10)).collect();
        assert!(missing.is_empty(), "seldom or never: {missing:?}\n{:#?}", self.count);
    }
}

fn name_of_field(field: &Field) -> &'static str {
    match field {
        Field::Method => "method",
        Field::Path => "path",
        Field::Uri => "uri",
        Field::QueryString => "query string",
        Field::Size => "size",
        Field::Version => "version",
        Field::Host => "host",
        Field::ClientIp => "client ip",
        Field::ClientPort => "client port",
        Field::ClientCountry => "client country",
        Field::TlsSni => "tls sni",
        Field::TlsVersion => "tls version",
        Field::TlsAlpn => "tls alpn",
        Field::TlsCert(_) => "tls cert",
        Field::Header(_) => "header",
        Field::Cookie(_) => "cookie",
        Field::Query(_) => "query",
        Field::Capture(Capture::Segment { .. }) => "segment",
        Field::Capture(Capture::Splat { .. }) => "splat capture",
        Field::Capture(Capture::Host { .. }) => "host capture",
        Field::Call(..) => "call",
        Field::Row(_) => "row",
        Field::Claim(..) => "claim",
        Field::Body(..) => "body",
    }
}

fn name_of_test(test: &Test) -> String {
    match test {
        Test::Present => "present".into(),
        Test::OneOf(_) => "one of".into(),
        Test::StartsWith(_) => "starts with".into(),
        Test::EndsWith(_) => "ends with".into(),
        Test::Has(_) => "has".into(),
        Test::Matches(_) => "matches".into(),
        Test::InNets(_) => "in nets".into(),
        Test::Number(order, _) => format!("number {order:?}"),
    }
}

#[test]
fn host_index_and_plain_matching_agree() {
    let mut random = Random::new(5);
    let any = |p: &str, class: &Class, s: &str| {
        HostHead::Label(Segment::Capture { prefix: p.into(), class: class.clone(), suffix: s.into() })
    };
    let regex = Class::Regex(Regex::new("[a-c]+").unwrap());
    let set = Class::Set(["a".into(), "pr-7".into()].into());
    let labels = ["a", "b", "pr-7", "pr-x", "7", "x-eu", "pr-7-eu", "cc"];
    let heads = [
        HostHead::Many,
        any("", &Class::Any, ""),
        any("pr-", &Class::Any, ""),
        any("pr-", &Class::Int, ""),
        any("", &Class::Any, "-eu"),
        any("", &regex, ""),
        any("", &set, ""),
        any("", &Class::Int, ""),
    ];
    let mut algebra = Algebra::hosts();
    for _ in 0..400 {
        let mut index = HostIndex::seeded(random.next());
        let mut patterns: Vec<HostPattern> = Vec::new();
        for _ in 0..random.below(12) {
            let parent = (0..random.below(3)).map(|_| *random.pick(&["b", "a", "com"])).collect::<Vec<_>>().join(".");
            let pattern = match random.below(3) {
                0 => HostPattern::of_literal(format!("{}.{parent}", random.pick(&labels)).trim_end_matches('.')),
                _ => HostPattern { head: random.pick(&heads).clone(), parent: parent.as_str().into() },
            };
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        for (at, pattern) in patterns.iter().enumerate() {
            index.insert(pattern, at);
        }
        for gone in (0..patterns.len()).filter(|_| random.chance(10)).collect::<Vec<_>>().into_iter().rev() {
            assert!(index.remove(&patterns[gone]).is_some());
            patterns.remove(gone);
            for (at, pattern) in patterns.iter().enumerate() {
                index.insert(pattern, at);
            }
        }
        assert_eq!(index.len(), patterns.len());
        for _ in 0..60 {
            let depth = 1 + random.below(4);
            let all = ["a", "b", "com", "pr-7", "pr-x", "7", "x-eu", "pr-7-eu", "cc"];
            let host = (0..depth).map(|_| *random.pick(&all)).collect::<Vec<_>>().join(".");
            let matching: Vec<usize> = (0..patterns.len()).filter(|at| patterns[*at].matches(&host)).collect();
            match index.get(&host) {
                None => assert!(matching.is_empty(), "{host}: {patterns:?}"),
                Some(found) => {
                    assert!(patterns[*found].matches(&host));
                    // Nothing that matches lies strictly inside what was found.
                    for other in matching {
                        let (a, b) = (&patterns[other], &patterns[*found]);
                        let inside = algebra.host_inside(a, b).unwrap() && !algebra.host_inside(b, a).unwrap();
                        assert!(!inside, "{host}: {a} is more specific than {b}");
                    }
                }
            }
        }
    }
}

#[test]
fn canonical_paths_and_plain_spelling_agree() {
    use crate::tree::canonical;
    let mut random = Random::new(6);
    let pieces = [
        "/", "/", ".", "..", "a", "b", "%2e", "%2E", "%41", "%2f", "%2F", "%5c", "%00", "%", "%7", "%zz", "%c3%a9",
        "é", "\\", "//", "%25", "%20", ";", "%3b", "?", "#", " ", "\t", "~", "%7e", "{", "|",
    ];
    let mut fine = 0;
    for _ in 0..50_000 {
        let raw: String = std::iter::once("/").chain((0..random.below(9)).map(|_| *random.pick(&pieces))).collect();
        for paths in [Paths::Canonical, Paths::OpaqueSlash] {
            let expected = plainly(&raw, paths);
            let got = canonical::path(raw.as_bytes(), paths);
            assert_eq!(got.as_deref().ok(), expected.as_deref(), "{raw}");
            if let Ok(path) = got {
                fine += 1;
                assert_eq!(canonical::path(path.as_bytes(), paths).as_deref(), Ok(&*path), "{raw}: once is enough");
                assert!(!path.contains("//") && !path.split('/').any(|s| s == "." || s == ".."), "{raw}: {path}");
            }
        }
    }
    assert!(fine > 10_000, "{fine} of the paths were acceptable");
}

/// LANGUAGE section 4, step by step and with no regard to speed.
fn plainly(raw: &str, paths: Paths) -> Option<String> {
    // Decode what is unreserved, upper-case the other escapes, escape what cannot stand in a path.
    let mut text = String::new();
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let (byte, escaped) = match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                (u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?, true)
            }
            byte => (byte, false),
        };
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        match (byte, escaped) {
            (0..0x20 | 0x7f | b'\\', _) => return None,
            (b'/', true) if paths == Paths::Canonical => return None,
            (b'?' | b'#' | b' ', false) => return None,
            (b'/', false) => text.push('/'),
            (byte, true) if !unreserved => text.push_str(&format!("%{byte:02X}")),
            (byte, false) if !unreserved && !b"!$&'()*+,;=:@".contains(&byte) => text.push_str(&format!("%{byte:02X}")),
            (byte, _) => text.push(byte.into()),
        }
    }
    // Collapse, then resolve.
    while text.contains("//") {
        text = text.replace("//", "/");
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut folder = false;
    for segment in text.split('/').skip(1) {
        folder = matches!(segment, "." | ".." | "");
        match segment {
            "." | "" => {}
            ".." => {
                kept.pop()?;
            }
            segment => kept.push(segment),
        }
    }
    let slash = if folder && !kept.is_empty() { "/" } else { "" };
    Some(format!("/{}{slash}", kept.join("/")))
}
