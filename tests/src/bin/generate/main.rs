//! Writes the documentation that follows from the code: the findings, the forms that this version
//! refuses and their table in the README, what the program prints about mistakes, and the words of the editors'
//! grammars. `--check` writes nothing and fails when something is stale.

mod textmate;
mod treesitter;

use sluice_tests::pages;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const BEGIN: &str = "<!-- generated: forms that are errors -->";
const END: &str = "<!-- end of generated -->";
const LINT_BEGIN: &str = "<!-- generated: what lint prints -->";
const LINT_END: &str = "<!-- end of what lint prints -->";

fn main() -> ExitCode {
    let check = std::env::args().any(|a| a == "--check");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate stands in the workspace");
    let mut stale = Vec::new();
    for (path, text) in documents(root) {
        if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        if !check && let Err(e) = std::fs::write(&path, text) {
            eprintln!("generate: {}: {e}", path.display());
            return ExitCode::from(2);
        }
        stale.push(path);
    }
    for path in &stale {
        let verb = if check { "is stale: run tests/generate" } else { "written" };
        eprintln!("generate: {} {verb}", path.strip_prefix(root).unwrap_or(path).display());
    }
    if check && !stale.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn documents(root: &Path) -> Vec<(PathBuf, String)> {
    let mut documents =
        vec![(root.join("docs/unsupported.md"), unsupported()), (root.join("docs/findings.md"), findings())];
    documents.push((root.join("docs/mistakes.md"), pages::mistakes::page(root)));
    let editor = root.join("docs/editor");
    documents.push((editor.join("vscode/syntaxes/sluice.tmLanguage.json"), textmate::grammar()));
    documents.push((editor.join("tree-sitter-sluice/keywords.js"), treesitter::keywords()));
    documents.push((root.join("docs/stdlib.md"), pages::stdlib::page()));
    let readme = root.join("README.md");
    if let Ok(text) = std::fs::read_to_string(&readme)
        && let Some(new) = between(&text, BEGIN, END, &forms_in_a_line())
        && let Some(new) = between(&new, LINT_BEGIN, LINT_END, &lint_of_the_readme(root))
    {
        documents.push((readme, new));
    }
    documents
}

/// What `lint` prints about the file that the README shows.
fn lint_of_the_readme(root: &Path) -> String {
    let route = std::fs::read_to_string(root.join("docs/readme.route")).expect("docs/readme.route is there");
    let printed = pages::printed("sites/shop.route", &route, "sluice lint");
    format!("Take this file:\n\n```route\n{route}```\n\n```text\n$ sluice lint\n{printed}```")
}

fn between(text: &str, begin: &str, end: &str, new: &str) -> Option<String> {
    let begin = text.find(begin)? + begin.len();
    let end = text[begin..].find(end)? + begin;
    Some(format!("{}\n{new}\n{}", &text[..begin], &text[end..]))
}

/// The README has no room for what each will do: that stands in docs/unsupported.md.
fn forms_in_a_line() -> String {
    let forms: Vec<String> = dsl::unsupported::forms().iter().map(|f| format!("`{}`", f.form)).collect();
    forms.join(" · ")
}

fn unsupported() -> String {
    let mut out = String::from(
        "# Forms that this version refuses\n\n\
         Generated from the code by `tests/generate`. Each of these parses, is checked, and is then error G0002: it is never ignored.\n\n\
         | form | what a later version will do |\n|---|---|\n",
    );
    for form in dsl::unsupported::forms() {
        let _ = writeln!(out, "| `{}` | {} |", form.form.replace('|', "\\|"), form.does);
    }
    out
}

fn findings() -> String {
    let mut out = String::from(
        "# Findings\n\nGenerated from the code by `tests/generate`. What `sluice lint` can say, by code.\n\n| code | |\n|---|---|\n",
    );
    for rule in dsl::lint::rules() {
        let _ = writeln!(out, "| [{0}](#{1}) | {2} |", rule.code, rule.code.to_lowercase(), rule.summary);
    }
    for rule in dsl::lint::rules() {
        let _ = write!(out, "\n## {}\n\n{}\n", rule.code, rule.explain().replace("## ", "### ").trim());
    }
    out.push_str(
        "\n## Planned\n\nNot made by this version. Each comes with what it speaks of.\n\n| code | | comes with |\n|---|---|---|\n",
    );
    for planned in dsl::lint::planned() {
        let _ = writeln!(out, "| {} | {} | {} |", planned.code, planned.summary, planned.with);
    }
    out
}
