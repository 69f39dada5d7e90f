//! Pages of the documentation that show what the program prints: written by `tests/generate`, which runs it.

pub mod mistakes;
pub mod stdlib;

use crate::sluice::{TempDir, program};
use std::process::Command;

/// What a command prints in a directory that has one route file: standard output, then standard error, as a
/// terminal shows them.
///
/// # Panics
/// The program cannot be run.
pub fn printed(path: &str, text: &str, command: &str) -> String {
    let dir = TempDir::new();
    crate::sluice::write(&dir.path().join(path), text);
    let words = command.strip_prefix("sluice ").expect("commands of pages are the program's").split_whitespace();
    let mut run = Command::new(program());
    run.args(words).current_dir(dir.path()).env("NO_COLOR", "1").env_remove("CREDENTIALS_DIRECTORY");
    let output = run.output().expect("the program can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let gap = if out.is_empty() || out.ends_with("\n\n") || !err.contains("checked") { "" } else { "\n" };
    format!("{out}{gap}{err}").trim_end().to_owned() + "\n"
}
