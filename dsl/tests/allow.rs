//! `# allow CODE: reason`, and what findings are known by when lines move.
#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::diagnostic::{Diagnostic, render};
use dsl::lint;
use dsl::syntax::span::FileId;
use front::Files;

fn found(text: &str) -> Vec<Diagnostic> {
    let files = Files::one("sites/a.route", text);
    lint::allow(files.compile(0).diagnostics, &[FileId(0)], &files)
}

/// Code and line of what is left.
fn left(text: &str) -> Vec<(&'static str, usize)> {
    let line = |d: &Diagnostic| text[..d.primary.loc.span.start as usize].matches('\n').count() + 1;
    found(text).iter().map(|d| (d.code, line(d))).collect()
}

const BLOCKS: &str = "site a.example.com {
    /a/* {
        /a/x -> respond 200
    }
    /b/* {
        /b/x -> respond 200
    }
    else -> respond 404
}
";

#[test]
fn a_comment_covers_the_line_below_it_or_its_own() {
    assert_eq!(left(BLOCKS), [("G2006", 2), ("G2006", 5)]);
    let above =
        BLOCKS.replace("    /a/* {", "    # allow G2006: only x is there\n    # beside it nothing is\n    /a/* {");
    assert_eq!(left(&above), [("G2006", 7)]);
    let behind = BLOCKS.replace("/b/* {", "/b/* { # allow G2006: only x is there");
    assert_eq!(left(&behind), [("G2006", 2)]);
}

#[test]
fn above_or_behind_a_head_it_covers_the_whole() {
    let site = format!("# allow G2006: the blocks say what they have\n{BLOCKS}");
    assert_eq!(left(&site), []);
    let behind = BLOCKS.replace("example.com {", "example.com { # allow G2006: the blocks say what they have");
    assert_eq!(left(&behind), []);
    // An empty line ends what is above it.
    let apart = format!("# allow G2006: the blocks say what they have\n\n{BLOCKS}");
    assert_eq!(left(&apart), [("G2006", 4), ("G2006", 7), ("G9003", 1)]);
}

#[test]
fn without_a_reason_or_a_finding_it_is_said() {
    let one = BLOCKS.replace("    /b/* {\n        /b/x -> respond 200\n    }\n", "");
    let text = one.replace("    /a/* {", "    # allow G2006\n    /a/* {");
    assert_eq!(left(&text), [("G2006", 3), ("G9003", 2)]);
    let text = one.replace("    /a/x", "    # allow G2005: nothing is missing\n        /a/x");
    assert_eq!(left(&text), [("G2006", 2), ("G9003", 3)]);
    let said = found(&one.replace("    /a/* {", "    # allow G206: a slip\n    /a/* {"));
    assert_eq!(said[1].message, "there is no finding G206; did you mean G2006?");
    // Words about allowing, and text that is none of ours.
    let text = one.replace("    /a/* {", "    # allow the office in\n    /a/* {");
    assert_eq!(left(&text), [("G2006", 3)]);
    let text = "site a.example.com {\n    else -> respond 200 \"# allow G2005: text\"\n}\n";
    assert_eq!(left(text), []);
}

#[test]
fn errors_are_not_allowed() {
    let text = "site a.example.com {\n    # allow G1002: it will come\n    else -> nowhere\n}\n";
    let said = found(text);
    assert_eq!(said.iter().map(|d| d.code).collect::<Vec<_>>(), ["G1002", "G9003"]);
    assert_eq!(said[1].message, "G1002 is an error here, and errors cannot be allowed");
}

#[test]
fn a_fingerprint_stays_while_lines_move() {
    let of = |path: &str, text: &str| {
        let files = Files::one(path, text);
        lint::fingerprints(&files.compile(0).diagnostics, &files)
    };
    let before = of("sites/a.route", BLOCKS);
    assert_eq!(before.len(), 2);
    assert_ne!(before[0], before[1], "two patterns");
    let moved =
        BLOCKS.replace("    /a/* {\n", "\n    # a comment\n    /a/*   {\n        set response header x-a = \"1\"\n");
    assert_eq!(of("sites/b.route", &moved), before);
    let other = of("sites/a.route", &BLOCKS.replace("/b/", "/c/"));
    assert_eq!((&other[0], other[1] == before[1]), (&before[0], false));
    let twice = "site a.example.com {\n    /x -> wbe\n    /y -> wbe\n    when method is GTE -> respond 200\n}\n";
    let prints = of("sites/a.route", twice);
    assert_eq!(prints.iter().collect::<std::collections::BTreeSet<_>>().len(), prints.len(), "each has its own");
}

#[test]
fn sarif_has_rules_fixes_witness_and_fingerprint() {
    let text =
        "pool web = 10.0.0.1:80\n\nsite a.example.com {\n    /x -> wbe\n}\n\nsite b.example.com {\n    /é -> web\n}\n";
    let files = Files::one("./sites/a b.route", text);
    let found = files.compile(0).diagnostics;
    let log: serde_json::Value = serde_json::from_str(&render::sarif(&found, &files, "1.2.3")).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["version"], "1.2.3");
    let (rules, results) = (&run["tool"]["driver"]["rules"], run["results"].as_array().unwrap());
    assert_eq!(results.len(), found.len());
    for (result, d) in results.iter().zip(&found) {
        assert_eq!(result["ruleId"], d.code);
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], d.code, "the index leads to the rule");
        assert!(rules[index]["help"]["markdown"].as_str().unwrap().contains("## Right"));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "sites/a%20b.route");
        assert_eq!(place["region"]["byteOffset"], d.primary.loc.span.start);
        assert_eq!(result["partialFingerprints"]["sluice/v1"].as_str().unwrap().len(), 16);
        assert_eq!(result["properties"]["witness"].as_str(), d.witness.as_deref());
    }
    let name = results.iter().find(|r| r["ruleId"] == "G1002").unwrap();
    assert_eq!(name["level"], "error");
    let change = &name["fixes"][0]["artifactChanges"][0];
    assert_eq!(change["artifactLocation"]["uri"], "sites/a%20b.route");
    let replacement = &change["replacements"][0];
    assert_eq!(replacement["insertedContent"]["text"], "web");
    let region = &replacement["deletedRegion"];
    assert_eq!([&region["startLine"], &region["startColumn"], &region["endColumn"]], [4, 11, 14]);
    assert!(results.iter().any(|r| r["properties"]["witness"].is_string()), "a routing finding is among them");
}
