//! `sluice lint`: says what is wrong, before it serves.

mod explain;
mod fix;
pub(crate) mod linted;

use super::{FAILED, FOUND, Failed, print};
use crate::console::colours;
use crate::sites::compile::Drafts;
use clap::{Args, ValueEnum};
use dsl::diagnostic::{Severity, render};
use linted::Linted;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Say what is wrong with route files
///
/// Checks files as `sluice run` does before it serves them: syntax, names, types, routes that are
/// never reached or claim the same request, policies that can be walked around, hosts that two
/// files claim. A finding about routing names a request that shows it.
///
/// A directory is checked as a whole. A file is checked together with the sites directory it lies
/// in (the nearest directory above it that holds gateway.route, or is called `sites`), and what is
/// said concerns that file.
///
/// With --fix, edits that keep what the author can have meant are made, and the files are checked
/// again until nothing is left to mend; no file is written unless it is better than before, and what
/// remains is printed. A warning or hint that is meant is allowed in the file: `# allow G2005: reason`
/// above its line, or above the block it is in.
///
/// Findings go to standard output, the summary to standard error.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  nothing worse than a warning (hints never fail)
  1  an error, or a warning with --deny warnings
  2  it could not run: a wrong argument, a path that cannot be read

Examples:
  sluice lint
  sluice lint sites/shop.route
  sluice lint --format json --deny warnings sites   in CI
  sluice lint --fix                                 mend what can be mended safely
  sluice lint --fix --unsafe --diff                 show what could be mended beside that
  sluice lint --explain G2002                       what a finding means, and what to do")]
pub struct Lint {
    /// Route files and directories [default: sites]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How findings are printed
    #[arg(long, short = 'f', value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Fail on these too
    #[arg(long, value_enum, value_name = "WHAT")]
    deny: Option<Deny>,
    /// Make the safe edits that findings name, then check again
    #[arg(long)]
    fix: bool,
    /// With --fix or --diff: also edits that may change what is meant
    #[arg(long)]
    r#unsafe: bool,
    /// Print what --fix would change, and change nothing; the exit code is about the files as they are
    #[arg(long)]
    diff: bool,
    /// Explain a finding instead
    #[arg(long, value_name = "CODE", conflicts_with_all = ["paths", "deny", "fix", "unsafe", "diff"])]
    explain: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With the lines that are meant, and what to type
    #[value(alias = "full")]
    Text,
    /// One line for each
    Concise,
    /// For programs: an array of objects
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands of GitHub Actions, which it shows beside the lines
    Github,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Deny {
    /// Whatever is not merely a hint
    Warnings,
}

impl Lint {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        if let Some(code) = &self.explain {
            return explain::explain(code);
        }
        if self.r#unsafe && !(self.fix || self.diff) {
            return Err(Failed::new("`--unsafe` says which edits are made: it needs `--fix`, or `--diff`"));
        }
        let paths = if self.paths.is_empty() { vec![PathBuf::from("sites")] } else { self.paths.clone() };
        let mut told = String::new();
        let all = if self.fix || self.diff {
            let fixed = fix::fix(&paths, self.r#unsafe)?;
            let before = if self.diff { Some(Linted::of(&paths, &Drafts::default())?) } else { None };
            told = if self.diff {
                print(&fixed.diff());
                fixed.told("would be fixed")
            } else {
                fixed.write()?;
                fixed.told("fixed")
            };
            before.unwrap_or(fixed.rest)
        } else {
            Linted::of(&paths, &Drafts::default())?
        };
        if !self.diff {
            print(&self.rendered(&all));
        }
        let errors = all.count(Severity::Error);
        let warnings = all.count(Severity::Warning);
        let found = errors > 0 || (self.deny == Some(Deny::Warnings) && warnings > 0);
        let checked = format!("{} checked", super::run::count(all.files, "file"));
        let _ = writeln!(std::io::stderr(), "{told}{checked}: {}", render::summary(&all.findings));
        if all.unreadable {
            return Ok(ExitCode::from(FAILED));
        }
        Ok(if found { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
    }

    fn rendered(&self, all: &Linted) -> String {
        match self.format {
            Format::Text => render::full(&all.findings, all, colours(&std::io::stdout())),
            Format::Concise => render::concise(&all.findings, all),
            Format::Json => render::json(&all.findings, all),
            Format::Sarif => render::sarif(&all.findings, all, env!("CARGO_PKG_VERSION")),
            Format::Github => render::github(&all.findings, all),
        }
    }
}
