//! The renderers, on findings made by hand.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use dsl::diagnostic::{Diagnostic, Edit, Sources, render};
use dsl::syntax::span::{FileId, Loc, Span};

struct Two;

const SHOP: &str = "pool a = 10.0.0.1:80\nsite größe.example {\n    -> 世界 chekout\n}\n";
const TEAM: &str = "site b.example.com {\r\n    -> a\r\n}";

impl Sources for Two {
    fn source(&self, file: FileId) -> Option<(&str, &str)> {
        match file.0 {
            0 => Some(("sites/shop.route", SHOP)),
            1 => Some(("sites/team.route", TEAM)),
            _ => None,
        }
    }
}

fn at(file: u32, start: usize, end: usize) -> Loc {
    Loc { file: FileId(file), span: Span::new(start, end) }
}

fn word(file: u32, text: &str, word: &str) -> Loc {
    let start = text.find(word).unwrap();
    at(file, start, start + word.len())
}

fn finding() -> Diagnostic {
    let place = word(0, SHOP, "chekout");
    Diagnostic::error("G1002", place, "no pool named `chekout`; did you mean `checkout`?")
        .at("not a pool")
        .label(word(1, TEAM, "b.example.com"), "also named here")
        .label(word(0, SHOP, "pool a"), "the pools of this file")
        .note("pools are not shared between files")
        .help("did you mean", "checkout", Some(Edit { loc: place, text: "checkout".to_owned(), safe: true }))
        .help("or declare it", "pool chekout {\n    10.0.0.1:80\n}", None)
        .witness("GET https://shop.example.com/x")
}

#[test]
fn full_shows_every_part_and_every_file() {
    let expected = r#"error[G1002]: no pool named `chekout`; did you mean `checkout`?
 --> sites/shop.route:3:11
  |
1 | pool a = 10.0.0.1:80
  | ------ the pools of this file
2 | site größe.example {
3 |     -> 世界 chekout
  |             ^^^^^^^ not a pool
  |
 ::: sites/team.route:1:6
  |
1 | site b.example.com {
  |      ------------- also named here
  |
  = note: pools are not shared between files
  = help: did you mean `checkout`
  = help: or declare it:
              pool chekout {
                  10.0.0.1:80
              }
  = witness: GET https://shop.example.com/x

"#;
    assert_eq!(render::full(&[finding()], &Two, false), expected);
}

#[test]
fn concise_counts_characters_from_one() {
    assert_eq!(
        render::concise(&[finding()], &Two),
        "sites/shop.route:3:11: error[G1002]: no pool named `chekout`; did you mean `checkout`?\n"
    );
    let second = Diagnostic::warning("G2005", at(1, 22, 23), "in a file with CRLF");
    assert_eq!(render::concise(&[second], &Two), "sites/team.route:2:1: warning[G2005]: in a file with CRLF\n");
}

#[test]
fn json_has_the_documented_fields() {
    let json: serde_json::Value = serde_json::from_str(&render::json(&[finding()], &Two)).unwrap();
    let start = SHOP.find("chekout").unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "code": "G1002",
            "severity": "error",
            "possibly": false,
            "message": "no pool named `chekout`; did you mean `checkout`?",
            "path": "sites/shop.route",
            "start": { "line": 3, "column": 11, "offset": start },
            "end": { "line": 3, "column": 18, "offset": start + 7 },
            "text": "not a pool",
            "labels": [
                {
                    "path": "sites/team.route",
                    "start": { "line": 1, "column": 6, "offset": 5 },
                    "end": { "line": 1, "column": 19, "offset": 18 },
                    "text": "also named here",
                },
                {
                    "path": "sites/shop.route",
                    "start": { "line": 1, "column": 1, "offset": 0 },
                    "end": { "line": 1, "column": 7, "offset": 6 },
                    "text": "the pools of this file",
                },
            ],
            "notes": ["pools are not shared between files"],
            "help": [
                {
                    "text": "did you mean",
                    "paste": "checkout",
                    "edit": {
                        "path": "sites/shop.route",
                        "start": { "line": 3, "column": 11, "offset": start },
                        "end": { "line": 3, "column": 18, "offset": start + 7 },
                        "text": "checkout",
                        "applicability": "safe",
                    },
                },
                { "text": "or declare it", "paste": "pool chekout {\n    10.0.0.1:80\n}", "edit": null },
            ],
            "witness": "GET https://shop.example.com/x",
            "fingerprint": "8b633d3194c20031",
        }])
    );
    assert_eq!(render::json(&[], &Two), "[]\n");
}

#[test]
fn spans_that_lie_nowhere_are_shown_at_the_nearest_place() {
    let end = SHOP.len();
    for loc in [
        at(0, end, end),
        at(0, end + 5, end + 9),
        at(0, 9, 3),
        at(0, 28, 29),
        at(7, 3, 9),
        at(1, TEAM.len(), TEAM.len()),
        at(1, 20, 21),
    ] {
        let finding = Diagnostic::error("G0001", loc, "x").label(loc, "here");
        for color in [false, true] {
            assert!(render::full(std::slice::from_ref(&finding), &Two, color).contains("G0001"));
        }
        assert!(render::concise(std::slice::from_ref(&finding), &Two).ends_with(": error[G0001]: x\n"));
        assert!(render::json(&[finding], &Two).contains("\"offset\""));
    }
    assert_eq!(
        render::concise(&[Diagnostic::error("G0001", at(0, end, end), "x")], &Two),
        "sites/shop.route:5:1: error[G0001]: x\n"
    );
}

#[test]
fn a_file_cannot_drive_the_terminal() {
    let finding =
        Diagnostic::error("G0001", at(0, 0, 1), "unknown \u{1b}[31m").note("\u{7}").help("write", "\u{1b}[0m", None);
    assert!(!render::full(std::slice::from_ref(&finding), &Two, false).contains(['\u{1b}', '\u{7}']));
    assert!(!render::concise(std::slice::from_ref(&finding), &Two).contains('\u{1b}'));
    assert!(!render::json(&[finding], &Two).contains('\u{1b}'));
}

#[test]
fn the_summary_counts() {
    let error = Diagnostic::error("G0001", at(0, 0, 1), "x");
    let warning = Diagnostic::warning("G0001", at(1, 0, 1), "x");
    assert_eq!(render::summary(&[]), "nothing to report");
    assert_eq!(render::summary(std::slice::from_ref(&error)), "1 error in 1 file");
    assert_eq!(render::summary(&[error.clone(), error, warning]), "2 errors, 1 warning in 2 files");
}
