//! `docs/editor`: the grammars colour every route file of the repository, and the extension is whole.

use sluice_tests::peer;
use sluice_tests::sluice::{TempDir, workspace};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Every route file that parses.
fn route_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["dsl/tests", "sites", "stdlib", "examples"].iter().map(|dir| workspace().join(dir)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "route") {
                let text = fs::read_to_string(&path).unwrap();
                let parsed = dsl::syntax::parse(dsl::syntax::span::FileId(0), &text);
                found.extend(parsed.diagnostics.is_empty().then_some(path));
            }
        }
    }
    found.sort();
    assert!(found.len() > 60, "{}", found.len());
    found
}

#[track_caller]
fn succeeds(command: &mut std::process::Command) {
    let output = peer::run_for(command, Duration::from_secs(300));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.ends_with("files: ok\n"), "{out}\n{err}");
}

#[test]
fn textmate_colours_every_route_file() {
    let grammar = workspace().join("docs/editor/vscode/syntaxes/sluice.tmLanguage.json");
    succeeds(peer::node("grammar_textmate.js").arg(peer::node_modules()).arg(grammar).args(route_files()));
}

#[test]
fn tree_sitter_parses_every_route_file() {
    let folder = TempDir::new();
    let mut python = peer::python();
    python.arg(workspace().join("tests/e2e/programs/grammar_tree_sitter.py"));
    python.arg(workspace().join("docs/editor/tree-sitter-sluice")).arg(folder.path()).args(route_files());
    succeeds(&mut python);
}

#[test]
fn the_extension_names_files_that_are_there() {
    let folder = workspace().join("docs/editor/vscode");
    let package = fs::read_to_string(folder.join("package.json")).unwrap();
    let package: serde_json::Value = serde_json::from_str(&package).unwrap();
    for pointer in ["/main", "/contributes/languages/0/configuration", "/contributes/grammars/0/path"] {
        let named = package.pointer(pointer).and_then(|v| v.as_str()).unwrap();
        assert!(folder.join(named).is_file(), "{pointer}: {named}");
    }
    let grammar = fs::read_to_string(folder.join("syntaxes/sluice.tmLanguage.json")).unwrap();
    let grammar: serde_json::Value = serde_json::from_str(&grammar).unwrap();
    assert_eq!(grammar["scopeName"], package.pointer("/contributes/grammars/0/scopeName").unwrap().clone());
    let configuration = fs::read_to_string(folder.join("language-configuration.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&configuration).unwrap();
    let checked = peer::run(peer::command("node", "nodejs").arg("--check").arg(folder.join("extension.js")));
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
