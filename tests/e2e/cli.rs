//! The program on a terminal: `run` beside another, `lint`, `explain`, `routes`, `--help`.

use sluice_tests::sluice::{self, TempDir, program, says, write};
use sluice_tests::{Sluice, wait};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Both streams of a run.
fn text(output: &Output) -> (String, String) {
    let read = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (read(&output.stdout), read(&output.stderr))
}

/// Runs `lint` over one file.
fn lint(content: &str, args: &[&str]) -> Output {
    let dir = TempDir::new();
    let file = dir.path().join("a.route");
    write(&file, content);
    let mut all = vec!["lint"];
    all.extend(args);
    all.push(file.to_str().unwrap());
    sluice::run(&all)
}

const CLEAN: &str = "site a.test {\n    else -> respond 200 \"a\"\n}\n";
const WARNED: &str = "site a.test {\n    /x -> respond 200 \"a\"\n}\n";
const BROKEN: &str = "site a.test {\n    else -> nowhere\n}\n";

/// Runs a second gateway that must end by itself; its exit code and what it said.
#[track_caller]
fn second(sites: &Path, data: &Path) -> (Option<i32>, String) {
    let mut child = Command::new(program())
        .arg("run")
        .arg(sites)
        .arg("--data")
        .arg(data)
        .args(["--workers", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ended = wait::within(wait::PATIENCE, || child.try_wait().unwrap());
    if ended.is_none() {
        let _ = child.kill();
    }
    let output = child.wait_with_output().unwrap();
    assert!(ended.is_some(), "the second gateway runs beside the first: {:?}", text(&output));
    (output.status.code(), text(&output).1)
}

#[test]
fn second_run_on_the_same_ports_fails() {
    let first = Sluice::with(says("a.test", "a"));
    let data = TempDir::new();
    let (code, said) = second(&first.sites(), data.path());
    assert!(code.is_some_and(|c| c != 0), "{said}");
    assert!(said.contains(&first.http.port().to_string()), "it names the port: {said}");
    assert!(!said.contains("panicked") && !said.contains("Os {"), "{said}");
    for _ in 0..20 {
        assert_eq!(first.get("a.test", "/").text(), "a", "all traffic stays with the first");
    }
}

#[test]
fn second_run_on_the_same_data_directory_fails() {
    let first = Sluice::with(says("a.test", "a"));
    let sites = TempDir::new();
    let (http, https) = (sluice_tests::ports::free(), sluice_tests::ports::free());
    let gateway = format!("gateway {{\n    http 127.0.0.1:{http}\n    https 127.0.0.1:{https}\n}}\n");
    write(&sites.path().join("gateway.route"), gateway);
    let (code, said) = second(sites.path(), &first.data());
    assert!(code.is_some_and(|c| c != 0), "{said}");
    assert!(said.contains(first.data().to_str().unwrap()), "it names the directory: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn data_directory_is_free_again_after_a_crash() {
    let mut first = Sluice::with(says("a.test", "a"));
    first.kill();
    first.restart();
    assert_eq!(first.get("a.test", "/").text(), "a");
}

#[test]
fn run_without_its_directory_fails() {
    let dir = TempDir::new();
    let (code, said) = second(&dir.path().join("nowhere"), &dir.path().join("data"));
    assert!(code.is_some_and(|c| c != 0), "{said}");
    assert!(said.contains("nowhere"), "{said}");
}

#[test]
fn lint_exit_codes() {
    assert_eq!(lint(CLEAN, &[]).status.code(), Some(0));
    assert_eq!(lint(WARNED, &[]).status.code(), Some(0));
    assert_eq!(lint(WARNED, &["--deny", "warnings"]).status.code(), Some(1));
    assert_eq!(lint(CLEAN, &["--deny", "warnings"]).status.code(), Some(0));
    assert_eq!(lint(BROKEN, &[]).status.code(), Some(1));
    assert_eq!(sluice::run(&["lint", "/nonexistent/x.route"]).status.code(), Some(2));
    assert_eq!(sluice::run(&["lint", "--format", "sideways"]).status.code(), Some(2));
}

#[test]
fn lint_full() {
    let (out, err) = text(&lint(WARNED, &["--format", "full"]));
    let all = out + &err;
    for part in ["G2005", "a.route:1", "GET https://a.test/", "else -> respond 404"] {
        assert!(all.contains(part), "{part}:\n{all}");
    }
    assert!(!all.contains('\x1b'), "colours are for terminals:\n{all}");
}

#[test]
fn lint_concise() {
    let (out, _) = text(&lint(BROKEN, &["--format", "concise"]));
    let line = out.lines().next().unwrap_or_default();
    assert!(line.contains("a.route:2:13: error[G1002]: "), "{out}");
}

#[test]
fn lint_json() {
    let (out, err) = text(&lint(BROKEN, &["--format", "json"]));
    let value: serde_json::Value = match serde_json::from_str(&out) {
        Ok(value) => value,
        // One object a line is JSON as well.
        Err(_) => out.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON")).collect(),
    };
    assert!(value.to_string().contains("G1002"), "{out}{err}");
    let clean = text(&lint(CLEAN, &["--format", "json"])).0;
    assert!(clean.trim().is_empty() || serde_json::from_str::<serde_json::Value>(&clean).is_ok(), "{clean}");
}

#[test]
fn lint_reports_every_item() {
    let (out, err) = text(&lint(
        "site a.test {\n    else -> nowhere\n}\n\npool = 1\n\nsite b.test {\n    else -> elsewhere\n}\n",
        &["--format", "concise"],
    ));
    let all = out + &err;
    assert!(all.contains(":2:") && all.contains(":5:") && all.contains(":8:"), "{all}");
}

#[test]
fn lint_of_forms_that_come_later() {
    // Refused by name, never ignored.
    for (name, form) in
        [("queue", "    queue 100\n"), ("cache", "    cache 5m\n"), ("compress", "    compress [gzip]\n")]
    {
        let file = format!("pool app = 127.0.0.1:1\n\nsite a.test {{\n{form}    else -> app\n}}\n");
        let output = lint(&file, &[]);
        let (out, err) = text(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {out}{err}");
        assert!((out + &err).contains("not supported by this version"), "{name}");
    }
}

/// Sites for `explain` and `routes`.
fn sites() -> TempDir {
    let dir = TempDir::new();
    let file = "pool app = 127.0.0.1:3000\n\nsite a.test {\n    /admin/* {\n        require client.ip in 10.0.0.0/8 else deny 403\n        -> app\n    }\n    /x when header.beta is \"1\" -> app at /beta\n    /x -> respond 200 \"x\"\n    else -> app\n}\n";
    write(&dir.path().join("a.route"), file);
    dir
}

/// Runs a subcommand in a directory that holds `sites`.
#[track_caller]
fn within(dir: &TempDir, args: &[&str]) -> String {
    let parent = TempDir::new();
    std::os::unix::fs::symlink(dir.path(), parent.path().join("sites")).unwrap();
    let output = Command::new(program()).args(args).current_dir(parent.path()).output().unwrap();
    let (out, err) = text(&output);
    assert!(output.status.success(), "{args:?}: {out}{err}");
    assert!(!out.contains('\x1b'), "colours are for terminals: {out}");
    out
}

#[test]
fn explain_says_why() {
    let dir = sites();
    let plain = within(&dir, &["explain", "GET https://a.test/x"]);
    for part in ["a.test", "a.route:8", "a.route:9", "beta"] {
        assert!(plain.contains(part), "{part}:\n{plain}");
    }
    let beta = within(&dir, &["explain", "GET https://a.test/x", "-H", "beta: 1"]);
    for part in ["app", "/beta", "a.route:8", "127.0.0.1:3000"] {
        assert!(beta.contains(part), "{part}:\n{beta}");
    }
    let admin = within(&dir, &["explain", "GET https://a.test/%61dmin/users"]);
    assert!(admin.contains("a.route:5") && admin.contains("403"), "{admin}");
    let sites = dir.path().to_str().unwrap();
    let nobody = text(&sluice::run(&["explain", "GET https://nobody.test/", "--sites", sites])).0;
    assert!(nobody.contains("404") && nobody.contains("nobody.test"), "{nobody}");
}

#[test]
fn routes_are_a_table() {
    let dir = sites();
    let table = within(&dir, &["routes"]);
    for part in ["a.test", "/admin/*", "/x", "app", "a.route:"] {
        assert!(table.contains(part), "{part}:\n{table}");
    }
}

#[test]
fn help_is_worth_reading() {
    let (out, _) = text(&sluice::run(&["--help"]));
    for part in ["run", "lint", "explain", "routes"] {
        assert!(out.contains(part), "{part}:\n{out}");
    }
    let (out, _) = text(&sluice::run(&["run", "--help"]));
    for part in ["--data", "--workers", "SITES"] {
        assert!(out.contains(part), "{part}:\n{out}");
    }
}

#[test]
fn errors_go_to_stderr() {
    let output = sluice::run(&["serve"]);
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(out.is_empty() && err.contains("serve"), "{out}{err}");
}
