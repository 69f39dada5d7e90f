//! Every finding: its own page, the golden files, and what its help promises.
#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::diagnostic::{Diagnostic, Severity};
use dsl::lint;
use dsl::syntax::span::FileId;
use front::{Files, compile};
use std::path::{Path, PathBuf};

/// The block of route text under a heading of a finding's page.
fn page(text: &str, heading: &str) -> String {
    let after = text.split(&format!("## {heading}\n")).nth(1).expect("every page has all headings");
    after.split("```").nth(1).expect("with a block of text").trim_start_matches("route\n").to_owned()
}

fn with_path(text: &str) -> Files {
    let gateway = text.starts_with("gateway") || text.starts_with("tenant");
    let mut files = Files::one(if gateway { "sites/gateway.route" } else { "sites/a.route" }, text);
    files.0.extend(USERS.map(|(path, text)| (path.to_owned(), text.to_owned())));
    files
}

/// Files that pages speak of.
const USERS: [(&str, &str); 2] = [
    ("sites/old.htpasswd", "ann:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/\n"),
    ("sites/users.htpasswd", "ann:$2y$05$QbCVi9sEz1IpZmmoLPETBOc1tBOL/q4VcV2ju5QhfVCHsWdIH/W/C\n"),
];

#[test]
fn each_page_is_true() {
    let mut failed = Vec::new();
    for rule in lint::rules() {
        let text = rule.explain();
        for heading in ["What", "Why", "Wrong", "Right"] {
            assert!(text.contains(&format!("## {heading}\n")), "{} has no `{heading}`", rule.code);
        }
        // An internal error has no program, hundreds of routes are too long, a cycle, a tenant and a gateway in the wrong file need two, and what
        // is on disk is looked at by the gateway.
        if matches!(
            rule.code,
            "G0003"
                | "G0004"
                | "G1008"
                | "G2017"
                | "G3025"
                | "G4001"
                | "G4003"
                | "G4004"
                | "G4016"
                | "G8002"
                | "G8003"
                | "G8004"
                | "G8005"
                | "G8006"
                | "G8007"
                | "G8008"
                | "G8009"
        ) {
            continue;
        }
        let (wrong, right) = (with_path(&page(&text, "Wrong")), with_path(&page(&text, "Right")));
        let mut found = wrong.compile(0).diagnostics;
        found.extend(by_lint(&wrong));
        let found = lint::allow(found, &[FileId(0)], &wrong);
        if !found.iter().any(|d| d.code == rule.code) {
            failed.push(format!("{} is not found in its wrong way:\n{}", rule.code, wrong.render(&found)));
        }
        let mut found = lint::allow(right.compile(0).diagnostics, &[FileId(0)], &right);
        // Forms that come later are refused beside whatever else is right or wrong with them, and what is
        // right may be better still.
        found.retain(|d| d.code != "G0002" && d.severity > Severity::Info);
        found.extend(by_lint(&right).into_iter().filter(|d| d.code == rule.code));
        if !found.is_empty() {
            failed.push(format!("{}: the right way is wrong:\n{}", rule.code, right.render(&found)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What is said of the proofs of a file, as if it stood alone.
fn proofs(compiled: &dsl::Compiled) -> Vec<Diagnostic> {
    let sites = dsl::reach::Sites::of(compiled.programs.iter().cloned());
    let outcomes = dsl::reach::prove::prove(&compiled.proofs, &sites, &sites.all(), &[], dsl::reach::prove::BUDGET);
    dsl::reach::prove::findings(&outcomes, FileId(0))
}

/// What `sluice lint` says of a file beside what compiling it does: whoever loads a file runs its tests,
/// and whoever has all files sees what no file shows alone.
fn by_lint(files: &Files) -> Vec<Diagnostic> {
    let all: Vec<_> = (0..files.0.len()).map(|n| files.compile(u32::try_from(n).unwrap())).collect();
    let compiled = &all[0];
    let mut coverage = dsl::testing::Coverage::default();
    coverage.expect(compiled.subject());
    let verdicts = dsl::testing::run_covering(&compiled.tests, compiled.subject(), dsl::testing::BUDGET, &mut coverage);
    let mut found = dsl::testing::findings(&verdicts);
    if !compiled.tests.is_empty() {
        found.extend(lint::unreached(&coverage, FileId(0)));
    }
    found.extend(proofs(compiled));
    found.extend(lint::of_all(&compiled.programs));
    let pools: Vec<_> = all.iter().map(|c| &c.pools).collect();
    found.extend(lint::unused_pools(&pools, files));
    let gateway = compiled.gateway.clone().unwrap_or_default();
    let sites: Vec<&dsl::tree::ir::Site> = compiled.programs.iter().map(|p| &**p.site()).collect();
    found.extend(lint::advice(&gateway, &sites, files));
    found.extend(lint::unformatted(FileId(0), &files.0[0].1).filter(|_| compiled.is_sound()));
    found
}

/// Every case: a file, or a folder whose `main.route` is compiled and whose other files it imports.
fn cases() -> Vec<(PathBuf, Files)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint");
    let mut out = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let read = |p: &Path| std::fs::read_to_string(p).unwrap();
        if path.is_dir() {
            let mut names: Vec<String> = std::fs::read_dir(&path)
                .unwrap()
                .map(|e| e.unwrap().file_name().to_str().unwrap().to_owned())
                .filter(|n| n.ends_with(".route"))
                .collect();
            names.sort_by_key(|n| (n != "main.route" && n != "gateway.route", n.clone()));
            let files = names.iter().map(|n| (format!("{name}/{n}"), read(&path.join(n)))).collect();
            out.push((path.join("expected"), Files(files)));
        } else if name.ends_with(".route") {
            out.push((path.with_extension("expected"), Files::one(&name, &read(&path))));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!out.is_empty());
    out
}

/// What a case comes to: the findings of its first file, and those across its files.
fn findings(files: &Files) -> Vec<Diagnostic> {
    let mut all = files.compile(0).diagnostics;
    let others: Vec<_> = (0..files.0.len()).map(|n| files.compile(u32::try_from(n).unwrap())).collect();
    let claims: Vec<_> =
        others.iter().enumerate().map(|(n, c)| (FileId(u32::try_from(n).unwrap()), c.claims.as_slice())).collect();
    for d in lint::cross_file(&claims) {
        if !all.contains(&d) {
            all.push(d);
        }
    }
    // What comes of many files is shown where the case is about it.
    let about = files.0[0].0.get(..5).unwrap_or_default().to_uppercase();
    all.extend(by_lint(files).into_iter().filter(|d| d.code == about && d.code != "G9007"));
    lint::allow(all, &[FileId(0)], files)
}

/// `UPDATE=1` rewrites the golden files; read the difference before it is committed.
#[test]
fn golden_files() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for (expected, files) in cases() {
        let text = files.render(&findings(&files));
        if update {
            std::fs::write(&expected, &text).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Everything that there is to say of a file.
fn all_of(files: &Files) -> Vec<Diagnostic> {
    let mut all = files.compile(0).diagnostics;
    all.extend(by_lint(files));
    all
}

/// Help that is one edit mends what it stands by, and nothing else goes wrong.
#[test]
fn every_edit_mends_its_finding() {
    let pages = lint::rules().iter().filter(|r| {
        !matches!(
            r.code,
            "G0003"
                | "G0004"
                | "G1008"
                | "G2017"
                | "G3025"
                | "G4001"
                | "G4003"
                | "G4004"
                | "G4016"
                | "G8002"
                | "G8003"
                | "G8004"
                | "G8005"
                | "G8006"
                | "G8007"
                | "G8008"
        )
    });
    let pages = pages.map(|r| with_path(&page(&r.explain(), "Wrong")));
    let (mut edits, mut failed) = (0, Vec::new());
    for files in cases().into_iter().map(|(_, files)| files).chain(pages) {
        let before = all_of(&files);
        for d in &before {
            for edit in d.help.iter().filter_map(|h| h.edit.as_ref()) {
                edits += 1;
                let mended = files.edited(edit);
                let after = all_of(&mended);
                let count = |all: &[Diagnostic], code: &str| all.iter().filter(|d| d.code == code).count();
                let said = || format!("{}\n{}", mended.0[0].1, mended.render(&after));
                if count(&after, d.code) >= count(&before, d.code) {
                    failed.push(format!("{} stays:\n{}", d.code, said()));
                }
                if count(&after, "G0001") > count(&before, "G0001") {
                    failed.push(format!("the edit for {} does not parse:\n{}", d.code, said()));
                }
                // What was refused was not looked at any further; what loads gets no worse.
                let worse = |severity| {
                    // Where a route goes, its pool may have no other.
                    let of =
                        |all: &[Diagnostic]| all.iter().filter(|d| d.severity == severity && d.code != "G1007").count();
                    of(&after) > of(&before)
                };
                let sound = before.iter().all(|d| d.severity < Severity::Error);
                if sound && (worse(Severity::Error) || worse(Severity::Warning)) {
                    failed.push(format!("something worse than {} appears:\n{}", d.code, said()));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(edits > 30, "only {edits} edits were tried");
}

/// What a file serves.
fn version(files: &Files) -> dsl::reach::plan::Version {
    let compiled = files.compile(0);
    let mut out = dsl::reach::plan::Version::default();
    out.sites.extend(compiled.programs.into_iter().map(|program| (program, "".into())));
    out.carried.extend(compiled.listening.into_iter().map(|item| (dsl::reach::Carried::Listening(item), "".into())));
    out.carried
        .extend(compiled.passthroughs.into_iter().map(|item| (dsl::reach::Carried::Passthrough(item), "".into())));
    out.gateway = compiled.gateway.map(Into::into);
    out
}

/// Findings that `--fix` mends: of each, an edit is seen here.
const MENDED: &[&str] = &[
    "G1001", "G1002", "G1003", "G1004", "G1006", "G1007", "G1010", "G1011", "G1012", "G1014", "G1015", "G1016",
    "G1020", "G2002", "G2005", "G2006", "G2008", "G2010", "G2013", "G2014", "G2018", "G2019", "G3001", "G3005",
    "G3011", "G3012", "G3021", "G4005", "G4007", "G4009", "G5001", "G6001", "G6005", "G7004", "G9004",
];

/// A safe edit leaves a file that loads as it was, or its page says under `## Fix` what is different then.
#[test]
fn a_safe_edit_changes_nothing_unsaid() {
    let (mut failed, mut mended) = (Vec::new(), std::collections::BTreeSet::new());
    for (_, files) in cases() {
        let safe = |d: &&Diagnostic| d.help.iter().any(|h| h.edit.as_ref().is_some_and(|e| e.safe));
        mended.extend(all_of(&files).iter().filter(safe).map(|d| d.code));
    }
    for rule in lint::rules().iter().filter(|r| !matches!(r.code, "G0003" | "G0004" | "G1008" | "G2017" | "G3025")) {
        let explained = rule.explain();
        let files = with_path(&page(&explained, "Wrong"));
        let before = lint::allow(all_of(&files), &[FileId(0)], &files);
        for d in before.iter().filter(|d| d.code == rule.code) {
            let Some(edit) = d.help.iter().filter_map(|h| h.edit.as_ref()).find(|e| e.safe) else { continue };
            mended.insert(d.code);
            let after = files.edited(edit);
            if before.iter().any(|d| d.severity == Severity::Error) || explained.contains("## Fix\n") {
                continue;
            }
            let found = dsl::reach::plan::difference(&version(&files), &version(&after), dsl::reach::plan::BUDGET);
            if !found.changes.is_empty() || !found.undecided.is_empty() {
                failed.push(format!("{}: {:?}\n{}", d.code, found.changes, after.0[0].1));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let never: Vec<_> = MENDED.iter().filter(|code| !mended.contains(**code)).collect();
    assert!(never.is_empty(), "no edit is made for {never:?}");
}

#[test]
fn every_routing_finding_carries_a_request() {
    for (_, files) in cases() {
        for d in findings(&files) {
            if matches!(d.code, "G2001" | "G2002" | "G2005" | "G2006" | "G2026" | "G3001") {
                let witness = d.witness.as_deref().unwrap_or_default();
                let connection = ["tcp ", "udp ", "tls "].iter().any(|word| witness.starts_with(word));
                assert!(connection || d.possibly || witness.contains("://"), "{}: {witness:?}", d.code);
                assert!(
                    !d.possibly || d.severity < Severity::Error,
                    "{}: a finding that may be none refuses nothing",
                    d.code
                );
            }
            assert_ne!(d.code, "G0003", "program and interpreter disagree");
        }
    }
}

#[test]
fn the_standard_library_is_clean() {
    for (file, path, text) in dsl::stdlib::files() {
        let unit = dsl::Unit { file, path, text, gateway: false, modules: &dsl::NoModules };
        // A hint is for those who write expressions, and matching is linear here.
        let said: Vec<_> =
            dsl::compile(&unit).diagnostics.into_iter().filter(|d| d.severity > Severity::Info).collect();
        assert_eq!(said, [], "{path}");
        assert!(text.contains("## "), "{path} says what its policies do");
    }
}

#[test]
fn a_file_with_an_error_has_no_programs() {
    let text = "site a.example.com {\n    else -> respond 404\n}\n";
    assert_eq!(compile(text).programs.len(), 1);
    let compiled = compile(&format!("{text}\nsite b.example.com {{\n    else -> nowhere\n}}\n"));
    assert!(compiled.programs.is_empty());
    assert_eq!(compiled.claims.len(), 2, "its hosts are claimed all the same");
}

/// Whole programs that nothing is said about.
#[test]
fn good_programs_are_clean() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let files = Files::one(path.to_str().unwrap(), &std::fs::read_to_string(&path).unwrap());
        let compiled = files.compile(0);
        let said: Vec<_> = compiled.diagnostics.iter().filter(|d| d.severity > Severity::Info).cloned().collect();
        assert!(said.is_empty(), "{}", files.render(&said));
        assert!(!compiled.programs.is_empty());
        seen += 1;
    }
    assert!(seen >= 4);
}
