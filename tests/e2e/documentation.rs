//! What the documentation says is what happens: the README's commands, every example.

use sluice_tests::peer;
use sluice_tests::sluice::{self, TempDir, program, workspace};
use sluice_tests::wait;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Every example, by its folder.
fn examples() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(workspace().join("examples")) else { return Vec::new() };
    let mut all: Vec<_> = entries.map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    all.sort();
    all
}

#[test]
fn shipped_files_are_clean() {
    let mut folders = vec![workspace().join("sites"), workspace().join("stdlib")];
    folders.extend(examples().iter().map(|example| example.join("sites")));
    for path in folders {
        let output = sluice::run(&["lint", "--deny", "warnings", path.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{}: {text}", path.display());
    }
}

#[test]
fn shipped_files_pass_their_tests() {
    let mut folders = vec![workspace().join("sites"), workspace().join("stdlib")];
    folders.extend(examples().iter().map(|example| example.join("sites")));
    for path in folders {
        let output = sluice::run(&["test", path.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{}: {text}", path.display());
    }
}

/// A shell in a group of its own, so that what it starts ends with it.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", "--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

/// Starts a shell line in the background of a directory.
fn background(line: &str, dir: &Path, state: &Path) -> Group {
    use std::os::unix::process::CommandExt;
    let bin = program().parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-c", line]).current_dir(dir).env("PATH", path).env("XDG_STATE_HOME", state);
    shell.env("PYTHON", peer::python().get_program());
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    Group(shell.spawn().unwrap())
}

/// The commands of a page's `console` blocks with what is printed below each.
fn commands(page: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = line.trim_start() == "```console";
        } else if inside {
            match line.trim_start().strip_prefix("$ ") {
                Some(command) => commands.push((command.to_owned(), Vec::new())),
                None if !line.trim().is_empty() => {
                    if let Some((_, printed)) = commands.last_mut() {
                        printed.push(line.trim().to_owned());
                    }
                }
                None => {}
            }
        }
    }
    commands
}

/// Whether a printed line is the one that is written, where `…` stands for anything.
fn is_written(line: &str, wanted: &str) -> bool {
    wanted.split('…').map(str::trim).all(|part| line.contains(part))
}

/// Runs the `curl` lines of a page from the root and compares what they print, line by line.
#[track_caller]
fn curls_print_what_is_written(page: &str, state: &Path) -> usize {
    let mut count = 0;
    for (command, printed) in commands(page).into_iter().filter(|(c, _)| c.starts_with("curl ")) {
        let run = || {
            let mut shell = Command::new("bash");
            shell.args(["-c", &command]).current_dir(workspace()).env("XDG_STATE_HOME", state).env("no_proxy", "*");
            let output = shell.output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let mut last = String::new();
        let found = wait::within(wait::PATIENCE, || {
            let (ok, output) = run();
            last = output;
            let all = printed.iter().all(|wanted| last.lines().any(|line| is_written(line, wanted)));
            (ok && all).then_some(())
        });
        assert!(found.is_some(), "`{command}` prints\n{last}\nand not\n{}", printed.join("\n"));
        count += 1;
    }
    count
}

/// What the README and the examples say, one after the other: they all listen on the same ports.
#[test]
fn documentation_says_what_happens() {
    readme_says_what_happens();
    examples_do_what_they_say();
}

#[track_caller]
fn readme_says_what_happens() {
    let readme = fs::read_to_string(workspace().join("README.md")).expect("README.md");
    let runs: Vec<_> = commands(&readme).into_iter().filter(|(c, _)| c.starts_with("cargo run ")).collect();
    assert!(!runs.is_empty(), "the README says how to run it, in a `console` block");
    let (command, printed) = &runs[0];
    assert_eq!(command.trim_end_matches(" &"), "cargo run --release -- run");
    // Built already: the program itself, where the README stands.
    let state = TempDir::new();
    let log = state.path().join("console");
    let line = format!("exec sluice run > {} 2>&1", log.display());
    let _gateway = background(&line, &workspace(), state.path());
    let curls = curls_print_what_is_written(&readme, state.path());
    assert!(curls > 0, "the README shows what is served");
    for wanted in printed {
        let said = wait::within(wait::PATIENCE, || {
            let console = fs::read_to_string(&log).unwrap();
            console.lines().any(|line| is_written(line, wanted)).then_some(())
        });
        assert!(said.is_some(), "`run` prints\n{}\nand not\n{wanted}", fs::read_to_string(&log).unwrap());
    }
}

#[track_caller]
fn examples_do_what_they_say() {
    let examples = examples();
    assert!(examples.iter().any(|e| e.ends_with("saas")), "{examples:?}");
    for example in examples {
        let readme = fs::read_to_string(example.join("README.md"))
            .unwrap_or_else(|e| panic!("{}: {e}", example.join("README.md").display()));
        let state = TempDir::new();
        let start = example.join("run");
        assert!(start.is_file(), "{} starts the example", start.display());
        let _running = background(&format!("exec {}", start.display()), &workspace(), state.path());
        let curls = curls_print_what_is_written(&readme, state.path());
        assert!(curls > 0, "{} shows what is served", example.display());
    }
}

/// The blocks of a page in their order: what they are marked as, and their text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info.to_owned(), String::new())),
            (Some(_), Some(_)) => out.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    out
}

/// A page that shows route files, and below them what the program says of them, shows what it says.
#[test]
fn pages_print_what_is_written() {
    for (name, least) in [("proofs.md", 3), ("testing.md", 2)] {
        let page = fs::read_to_string(workspace().join("docs").join(name)).unwrap();
        let dir = TempDir::new();
        let mut ran = 0;
        for (info, text) in blocks(&page) {
            if info == "route" {
                let named = text.lines().next().and_then(|line| line.strip_prefix("# "));
                sluice::write(&dir.path().join(named.unwrap_or("sites/shop.route")), &text);
            } else if let Some((command, printed)) = text.strip_prefix("$ sluice ").and_then(|t| t.split_once('\n')) {
                let output =
                    Command::new(program()).args(command.split_whitespace()).current_dir(dir.path()).output().unwrap();
                let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
                let said = format!("{}\n{}", out.trim_end(), err.trim_end());
                assert_eq!(said.trim_end(), printed.trim_end(), "{name}: sluice {command}");
                ran += 1;
            }
        }
        assert!(ran >= least, "{name} shows what is printed");
    }
}
