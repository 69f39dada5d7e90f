//! What the documentation shows as route text is route text: it compiles without an error.
//!
//! A block that begins with ```` ```route ```` is a file. What it leaves out (a pool, a policy of its neighbour's) is
//! given to it here, unless it declares it. ```` ```route site ````, `pool` and `tcp` are lines of such a place.
#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::diagnostic::{Diagnostic, Severity};
use front::Files;
use std::fs;
use std::path::{Path, PathBuf};

/// Pools that the pages speak of.
const POOLS: &[&str] = &[
    "web",
    "api",
    "admin",
    "beta",
    "legacy",
    "old-version",
    "chat",
    "pg",
    "pg-a",
    "vault",
    "turn",
    "game",
    "p",
    "backoffice",
];

/// Files that the pages speak of.
const BESIDE: [(&str, &str); 2] = [
    ("sites/users.htpasswd", "ann:$2y$05$QbCVi9sEz1IpZmmoLPETBOc1tBOL/q4VcV2ju5QhfVCHsWdIH/W/C\n"),
    ("sites/keys.csv", "sha256,owner,scopes\n"),
];

/// The pages that are written by hand, and the README.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let generated = ["findings.md", "mistakes.md", "stdlib.md", "unsupported.md"];
    let mut all: Vec<PathBuf> = fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "md"))
        .filter(|path| !generated.iter().any(|name| path.ends_with(name)))
        .chain([root.join("README.md")])
        .collect();
    all.sort();
    all
}

/// The route blocks of a page: the line where each begins, the place that it is of, its text.
fn blocks(page: &str) -> Vec<(usize, String, String)> {
    let mut out = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(info)) => open = Some((number, info.to_owned(), String::new())),
            (Some(_), Some(_)) => out.extend(open.take()),
            (Some((_, _, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    let next = out.clone().into_iter().skip(1).map(Some).chain([None]);
    let followed: Vec<_> = out.into_iter().zip(next).collect();
    followed
        .into_iter()
        .filter_map(|((number, info, text), next)| {
            let place = info.strip_prefix("route")?;
            // What is shown with all that is wrong with it: `tests/generate` writes that.
            let wrong = next.is_some_and(|(_, _, next)| next.starts_with("$ sluice lint"));
            (!wrong).then(|| (number, place.trim().to_owned(), text))
        })
        .collect()
}

/// A block as a file: what it lacks stands behind it, so that its lines keep their numbers.
fn file(place: &str, text: &str) -> Files {
    let whole = match place {
        "" => text.to_owned(),
        "site" => format!("site docs.example.com {{\n{text}    else -> web\n}}\n"),
        "pool" => format!("pool docs {{\n    10.0.0.1:80\n    10.0.0.2:80\n{text}}}\n"),
        "tls pool" => format!("pool docs {{\n    https://10.0.0.1:443\n{text}}}\n"),
        "tcp" => format!("tcp :1 {{\n{text}    -> web\n}}\n"),
        other => panic!("```route {other}"),
    };
    let mut out = whole.clone();
    for name in POOLS {
        let declared = whole
            .lines()
            .any(|line| line.strip_prefix("pool ").is_some_and(|rest| rest.split_whitespace().next() == Some(*name)));
        if !declared {
            out.push_str(&format!("pool {name} = 10.99.0.1:80\n"));
        }
    }
    let gateway = text.lines().any(|line| line.starts_with("gateway ") || line.starts_with("tenant "));
    let mut files = Files::one(if gateway { "sites/gateway.route" } else { "sites/docs.route" }, &out);
    files.0.extend(BESIDE.map(|(path, text)| (path.to_owned(), text.to_owned())));
    files
}

fn errors(files: &Files) -> Vec<Diagnostic> {
    let found = files.compile(0).diagnostics;
    // What is on disk beside the page is not here.
    found.into_iter().filter(|d| d.severity == Severity::Error && d.code != "G8008").collect()
}

#[test]
fn route_blocks_compile() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for path in pages() {
        for (line, place, text) in blocks(&fs::read_to_string(&path).unwrap()) {
            seen += 1;
            let files = file(&place, &text);
            let found = errors(&files);
            if !found.is_empty() {
                wrong.push(format!("{}:{line}\n{}", path.display(), files.render(&found)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 30, "only {seen} blocks were found");
}

/// Text that is shown as something else is not route text that escaped the test above.
#[test]
fn route_text_is_marked_as_such() {
    let begins = ["site ", "pool ", "tcp :", "udp :", "passthrough ", "gateway {", "tenant ", "table ", "policy "];
    let mut wrong = Vec::new();
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let mut lines = (1..).zip(page.lines());
        while let Some((number, line)) = lines.next() {
            let Some(info) = line.trim_start().strip_prefix("```") else { continue };
            let text: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| !line.trim_start().starts_with("```")).collect();
            let route = text.first().is_some_and(|first| begins.iter().any(|begin| first.starts_with(begin)));
            if route && info.is_empty() {
                wrong.push(format!("{}:{number}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
