//! `sluice fmt`: the one way to write a route file.

use super::replace::replace;
use super::{FAILED, FOUND, Failed, diff, print, run};
use crate::sites::tree;
use clap::Args;
use dsl::syntax::span::FileId;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What standard input is called in messages.
const STDIN: &str = "<stdin>";

/// Write route files the one way
///
/// Four blanks for a level, one blank line at most, the arrows and `=` of neighbouring lines below
/// each other, long lists with one element a line. There is nothing to choose. Comments stay where
/// they are, and what a file says stays what it says.
///
/// An item that does not parse is left byte for byte; the others of its file are formatted. A file
/// that is formatted already is not touched.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  done, or nothing to do
  1  with --check or --diff: a file is not formatted
  2  it could not run: a wrong argument, a path that cannot be read or written

Examples:
  sluice fmt
  sluice fmt sites/shop.route
  sluice fmt --check sites                  in CI: names the files that are not formatted
  sluice fmt --diff sites                   what would change
  sluice fmt - < sites/shop.route           from standard input to standard output")]
pub struct Fmt {
    /// Route files and directories, or `-` for standard input [default: sites]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write nothing; name the files that are not formatted, and fail if there are any
    #[arg(long)]
    check: bool,
    /// Write nothing; print what would change, and fail if anything would
    #[arg(long)]
    diff: bool,
}

#[derive(Default)]
struct Seen {
    files: usize,
    changed: usize,
    /// Files or directories that could not be read or written.
    failed: bool,
}

impl Fmt {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let paths = if self.paths.is_empty() { vec![PathBuf::from("sites")] } else { self.paths.clone() };
        let stdin = paths.iter().any(|path| path.as_os_str() == "-");
        if stdin && paths.len() > 1 {
            return Err(Failed::new("`-` stands alone: standard input is formatted, or files are"));
        }
        let mut seen = Seen::default();
        if stdin {
            self.stdin(&mut seen)?;
        } else {
            for path in &paths {
                self.path(path, &mut seen);
            }
            let (files, changed) = (run::count(seen.files, "file"), seen.changed);
            let _ = match (self.check || self.diff, changed) {
                (_, 0) => writeln!(std::io::stderr(), "{files} formatted already"),
                (true, _) => writeln!(std::io::stderr(), "{changed} of {files} not formatted: run sluice fmt"),
                (false, _) => writeln!(std::io::stderr(), "{changed} of {files} formatted, the others were already"),
            };
        }
        Ok(match (seen.failed, (self.check || self.diff) && seen.changed > 0) {
            (true, _) => ExitCode::from(FAILED),
            (false, true) => ExitCode::from(FOUND),
            (false, false) => ExitCode::SUCCESS,
        })
    }

    fn stdin(&self, seen: &mut Seen) -> Result<(), Failed> {
        let mut text = String::new();
        let read = std::io::stdin().lock().read_to_string(&mut text);
        read.map_err(|e| Failed::new(format!("cannot read standard input: {e}")))?;
        let new = dsl::fmt::format(&text);
        broken(STDIN, &text);
        seen.changed += usize::from(new != text);
        match (self.check, self.diff) {
            (false, false) => print(&new),
            _ => self.tell(STDIN, &text, &new),
        }
        Ok(())
    }

    /// A file, or every route file of a directory.
    fn path(&self, path: &Path, seen: &mut Seen) {
        if !path.is_dir() {
            return self.file(path, seen);
        }
        let scan = tree::scan(path, Path::new(""), &mut |_, _| {});
        for (dir, e) in &scan.unreadable {
            cannot("read", &path.join(dir), e, seen);
        }
        for (file, _) in &scan.files {
            self.file(&path.join(file), seen);
        }
    }

    fn file(&self, path: &Path, seen: &mut Seen) {
        let old = match tree::read(path) {
            Ok(read) => read.text,
            Err(e) => return cannot("read", path, &e, seen),
        };
        seen.files += 1;
        let shown = path.display().to_string();
        broken(&shown, &old);
        let new = dsl::fmt::format(&old);
        if *new == *old {
            return;
        }
        seen.changed += 1;
        if self.check || self.diff {
            self.tell(&shown, &old, &new);
        } else if let Err(e) = replace(path, &old, &new) {
            cannot("write", path, &e, seen);
        }
    }

    /// Says that a text is not formatted.
    fn tell(&self, shown: &str, old: &str, new: &str) {
        if old == new {
            return;
        }
        if self.diff {
            print(&diff::unified(shown, old, new));
        } else {
            print(&format!("{shown}\n"));
        }
    }
}

fn cannot(what: &str, path: &Path, why: &std::io::Error, seen: &mut Seen) {
    seen.failed = true;
    let _ = writeln!(std::io::stderr(), "error: cannot {what} `{}`: {why}", path.display());
}

/// Says what was left as it is, because it does not parse.
fn broken(shown: &str, text: &str) {
    let parsed = dsl::syntax::parse(FileId(0), text);
    if let Some(first) = parsed.diagnostics.first() {
        let line = crate::sites::report::line_of(text, first.primary.loc.span.start);
        let _ = writeln!(
            std::io::stderr(),
            "warning: {shown}:{line}: {}; what does not parse is left as it is",
            first.message
        );
    }
}
