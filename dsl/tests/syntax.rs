//! Every case under `tests/syntax`: what parses, and what is said of what does not.
//!
//! One file is one case; beside it stands what came out: the tree of a good one, the report on a bad
//! one. `UPDATE=1 cargo test -p sluice-dsl --test syntax` writes them anew; then read them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use dsl::diagnostic::Sources;
use dsl::diagnostic::render;
use dsl::syntax::{parse, span::FileId};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

struct One<'a>(&'a str, &'a str);

impl Sources for One<'_> {
    fn source(&self, _: FileId) -> Option<(&str, &str)> {
        Some((self.0, self.1))
    }
}

fn cases(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/syntax").join(kind);
    let mut cases: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|e| e == "route"));
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Compares with the file beside the case, or writes it.
fn golden(case: &Path, extension: &str, got: &str, differing: &mut String) {
    let path = case.with_extension(extension);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, got).unwrap();
        return;
    }
    let want = fs::read_to_string(&path).unwrap_or_default();
    if want != got {
        writeln!(differing, "=== {} differs; wanted\n{want}\ngot\n{got}", path.display()).unwrap();
    }
}

/// No span of the tree begins or ends with a blank, and none is empty.
fn spans_are_exact(tree: &str, text: &str) {
    let tree = tree.replace("Span { start: ", "@").replace(", end: ", "..");
    for (at, _) in tree.match_indices('@') {
        let end = tree[at + 1..].find(|c: char| !(c.is_ascii_digit() || c == '.')).map_or(tree.len(), |n| at + 1 + n);
        let Some((from, to)) = tree[at + 1..end].split_once("..") else { continue };
        let (Ok(from), Ok(to)) = (from.parse::<usize>(), to.parse::<usize>()) else { continue };
        let piece = &text[from..to];
        assert!(!piece.is_empty() && piece.trim() == piece, "{piece:?} at {from}..{to}");
    }
}

#[test]
fn good_cases_parse_without_a_word() {
    let mut differing = String::new();
    for path in cases("good") {
        let text = fs::read_to_string(&path).unwrap();
        let parsed = parse(FileId(0), &text);
        let report = render::concise(&parsed.diagnostics, &One(name(&path), &text));
        assert!(report.is_empty(), "{report}");
        assert!(parsed.ast.broken.is_empty());
        let tree: String = parsed.ast.items.iter().map(|item| format!("{item:?}\n")).collect();
        spans_are_exact(&tree, &text);
        golden(&path, "tree", &tree, &mut differing);
    }
    assert!(differing.is_empty(), "{differing}");
}

#[test]
fn bad_cases_say_what_is_wrong() {
    let mut differing = String::new();
    for path in cases("bad") {
        let text = fs::read_to_string(&path).unwrap();
        let parsed = parse(FileId(0), &text);
        assert!(!parsed.diagnostics.is_empty(), "{} parses", path.display());
        let mut report = render::full(&parsed.diagnostics, &One(name(&path), &text), false);
        writeln!(report, "{}", render::summary(&parsed.diagnostics)).unwrap();
        golden(&path, "txt", &report, &mut differing);
    }
    assert!(differing.is_empty(), "{differing}");
}
