//! The command line: what can be asked of `sluice`, and how it ends.
//!
//! Results go to standard output, everything about how the command went to standard error.

mod certs;
mod diff;
mod explain;
mod fmt;
mod hash;
pub(crate) mod lint;
mod lsp;
pub(crate) mod offline;
mod plan;
mod replace;
mod routes;
pub(crate) mod run;
mod story;
mod test;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// How a command ends when it did what it was asked, but the answer is bad news.
const FOUND: u8 = 1;
/// How a command ends that could not do what it was asked.
const FAILED: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  sluice run                                         serve the directory `sites`
  sluice lint                                        check it
  sluice explain 'GET https://shop.example.com/cart'  where would this request go, and why
  sluice routes                                      everything that is served, as a table
  sluice test                                        run the tests that stand in route files
  sluice plan old/sites sites                        which requests are treated otherwise
  sluice certs                                       certificates: what there is, what is to come
  sluice hash key --owner ann                        draw an API key, and the line it is known by
  sluice fmt                                         write route files the one way

A route file is a few lines. Save these as sites/hello.route while `sluice run` is up:

  site hello.localhost {
      http allowed
      else -> respond 200 \"hello\"
  }

and ask: curl http://hello.localhost:8080/";

/// An edge gateway whose routes are checked before they serve.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, after_long_help = EXAMPLES, propagate_version = true)]
#[command(arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Lint(lint::Lint),
    Fmt(fmt::Fmt),
    Lsp(lsp::Lsp),
    Explain(explain::Explain),
    Routes(routes::Routes),
    Test(test::Test),
    Plan(plan::Plan),
    Certs(certs::Certs),
    Hash(hash::Hash),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    // clap prints help to standard output and mistakes to standard error, and exits with 0 or 2.
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Run(run) => run.run(),
        Command::Lint(lint) => lint.run(),
        Command::Fmt(fmt) => fmt.run(),
        Command::Lsp(lsp) => lsp.run(),
        Command::Explain(explain) => explain.run(),
        Command::Routes(routes) => routes.run(),
        Command::Test(test) => test.run(),
        Command::Plan(plan) => plan.run(),
        Command::Certs(certs) => certs.run(),
        Command::Hash(hash) => hash.run(),
    };
    done.unwrap_or_else(|failed| {
        let style = crate::console::Style { colours: crate::console::colours(&std::io::stderr()) };
        let _ = writeln!(std::io::stderr(), "{} {}", style.red("error:"), failed.0);
        ExitCode::from(FAILED)
    })
}

/// Why a command could not do what it was asked, in words for whoever asked.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

impl Failed {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// Writes a result. Whoever closes the pipe early (`head`) has seen enough.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
