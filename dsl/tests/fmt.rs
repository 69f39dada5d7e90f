//! The formatter: cases with what they come to, and what holds of every text.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use dsl::fmt::format;
use dsl::syntax::ast::{Block, Body, File, ItemKind, Stmt, StmtKind};
use dsl::syntax::{parse, span::FileId};
use std::fs;
use std::path::{Path, PathBuf};

/// Every route file of the repository.
fn route_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["dsl", "sites", "stdlib", "examples", "gateway", "tests"].iter().map(|dir| root.join(dir)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "route") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 100);
    found
}

/// The tree without places, rule 1 applied: `else -> x` alone in its block is `-> x`.
fn tree(text: &str) -> String {
    let File { mut items, .. } = parse(FileId(0), text).ast;
    for item in &mut items {
        match &mut item.kind {
            ItemKind::Site(site) => rule_1(&mut site.body),
            ItemKind::Policy(policy) => policy.body.stmts.iter_mut().for_each(inner),
            ItemKind::Passthrough(p) => body(&mut p.body),
            ItemKind::L4(l4) => body(&mut l4.body),
            _ => {}
        }
    }
    without_places(&format!("{items:?}"))
}

fn body(body: &mut Body) {
    if let Body::Block(block) = body {
        rule_1(block);
    }
}

fn inner(stmt: &mut Stmt) {
    match &mut stmt.kind {
        StmtKind::Route { body: b, .. } | StmtKind::When { body: b, .. } | StmtKind::Else(b) => body(b),
        _ => {}
    }
}

fn rule_1(block: &mut Block) {
    block.stmts.iter_mut().for_each(inner);
    let used = block.stmts.iter().any(|stmt| matches!(stmt.kind, StmtKind::Use { .. }));
    let is_route = |stmt: &Stmt| {
        matches!(stmt.kind, StmtKind::Route { .. } | StmtKind::When { .. } | StmtKind::Else(_) | StmtKind::Arrow(_))
    };
    let routes: Vec<usize> = (0..block.stmts.len()).filter(|n| is_route(&block.stmts[*n])).collect();
    let elses = block.stmts.iter().filter(|stmt| matches!(stmt.kind, StmtKind::Else(_))).count();
    let bare: Vec<usize> =
        routes.iter().copied().filter(|n| matches!(block.stmts[*n].kind, StmtKind::Arrow(_))).collect();
    if let ([only], false) = (routes.as_slice(), used)
        && let StmtKind::Else(Body::Action(action)) = &block.stmts[*only].kind
    {
        block.stmts[*only].kind = StmtKind::Arrow(action.clone());
    } else if let ([one], 2.., 0) = (bare.as_slice(), routes.len(), elses)
        && let StmtKind::Arrow(action) = &block.stmts[*one].kind
    {
        block.stmts[*one].kind = StmtKind::Else(Body::Action(action.clone()));
    }
}

fn without_places(tree: &str) -> String {
    let mut out = String::new();
    let mut rest = tree;
    while let Some(at) = rest.find(['@', 'S']) {
        out.push_str(&rest[..at]);
        let here = &rest[at..];
        let after = if let Some(place) = here.strip_prefix('@') {
            let end = place.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(place.len());
            (place[..end].contains("..") && place.starts_with(|c: char| c.is_ascii_digit())).then(|| &place[end..])
        } else {
            here.strip_prefix("Span { start: ").map(|place| &place[place.find('}').unwrap() + 1..])
        };
        rest = after.unwrap_or_else(|| {
            out.push_str(&here[..1]);
            &here[1..]
        });
    }
    out.push_str(rest);
    out
}

/// The comments of a text whose quotes are sound, in order, as printed.
fn comments(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let (mut quoted, mut before, mut escaped) = (false, ' ', false);
        for (at, c) in line.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '#' if !quoted && " \t{})],\"".contains(before) => {
                    found.push(line[at..].trim_end().to_owned());
                    break;
                }
                _ => {}
            }
            before = c;
        }
    }
    found
}

fn holds(text: &str, name: &str) {
    let once = format(text);
    assert_eq!(format(&once), once, "{name}: formatting twice");
    assert_eq!(tree(&once), tree(text), "{name}: the tree");
    let before = parse(FileId(0), text).diagnostics.len();
    assert_eq!(parse(FileId(0), &once).diagnostics.len(), before, "{name}: findings");
    assert!(once.is_empty() || once.ends_with('\n'), "{name}: the last line ends");
}

#[test]
fn every_route_file_keeps_its_tree_and_its_comments() {
    for path in route_files() {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let name = path.display().to_string();
        holds(&text, &name);
        if parse(FileId(0), &text).diagnostics.is_empty() {
            assert_eq!(comments(&format(&text)), comments(&text), "{name}: comments");
        }
    }
}

#[test]
fn the_corpus_of_the_fuzzer_holds() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/fmt");
    let mut files = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        holds(&String::from_utf8_lossy(&fs::read(&path).unwrap()), &path.display().to_string());
        files += 1;
    }
    assert!(files > 5);
}

#[test]
fn every_cut_of_a_file_keeps_its_tree() {
    for path in route_files() {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let step = if text.len() > 400 { 97 } else { 11 };
        for (at, _) in text.char_indices().step_by(step).take(20) {
            holds(&text[..at], &format!("{} cut at {at}", path.display()));
        }
    }
}

/// A small generator (xorshift64*): a failure comes back.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % bound.max(1)
    }

    /// Puts blanks, line breaks and comments where they may stand, and pieces of language anywhere.
    fn change(&mut self, text: &str) -> String {
        const ANYWHERE: [&str; 14] =
            [" ", "\n", "\n\n", "# c\n", " # c\n", "\t", "}", "{", "\"", ",", "else -> a\n", "-> a\n", "\r\n", "[1, "];
        const INSIDE: [&str; 6] = ["\n", " # c\n", "\n\n    # c\n", "  ", " # c\n # d\n", "\n\n"];
        let mut out = text.to_owned();
        for _ in 0..=self.below(4) {
            let inside = self.below(3) > 0;
            let places: Vec<usize> = match inside {
                true => out.match_indices([',', '(', '[', ' ']).map(|(at, found)| at + found.len()).collect(),
                false => out.char_indices().map(|(at, _)| at).collect(),
            };
            let Some(at) = places.get(self.below(places.len())).copied() else { continue };
            match self.below(8) {
                0 => {
                    let end = places.iter().copied().filter(|end| *end > at).nth(self.below(4)).unwrap_or(at);
                    out.replace_range(at..end, "");
                }
                _ if inside => out.insert_str(at, INSIDE[self.below(INSIDE.len())]),
                _ => out.insert_str(at, ANYWHERE[self.below(ANYWHERE.len())]),
            }
        }
        out
    }
}

#[test]
fn changed_files_keep_their_trees_and_comments() {
    let cases = std::env::var("SLUICE_FUZZ_CASES").map_or(600, |n| n.parse().unwrap());
    let texts: Vec<String> =
        route_files().iter().map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()).collect();
    let mut random = Random(0x51_1ce);
    let mut sound = 0;
    for case in 0..cases {
        let text = random.change(&texts[case % texts.len()]);
        let name = format!("case {case}: {text}");
        holds(&text, &name);
        if parse(FileId(0), &text).diagnostics.is_empty() {
            assert_eq!(comments(&format(&text)), comments(&text), "{name}: comments");
            sound += 1;
        }
    }
    assert!(sound > cases / 8, "{sound} of {cases} parse");
}

#[test]
fn cases() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fmt");
    let mut seen = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "route") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let got = format(&text);
        let beside = path.with_extension("formatted");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&beside, &got).unwrap();
        }
        assert_eq!(got, fs::read_to_string(&beside).unwrap_or_default(), "{}", path.display());
        seen += 1;
    }
    assert!(seen > 5);
}
