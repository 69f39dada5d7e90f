//! `sluice lsp`: for editors.

use super::{FOUND, Failed};
use clap::Args;
use std::process::ExitCode;

/// Serve an editor (Language Server Protocol)
///
/// Editors start this and speak with it over standard input and output: findings while you type,
/// hover, definitions, references, renaming, completion, formatting, fixes, tests. How to set it up
/// for yours: docs/editor/README.md.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  the editor said goodbye
  1  the editor was gone without a word
  2  what came was no message of the protocol")]
pub struct Lsp {
    /// Over standard input and output, which is the only way; some clients say so
    #[arg(long)]
    stdio: bool,
}

impl Lsp {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let Self { stdio: _ } = self;
        let goodbye = crate::lsp::run().map_err(|e| Failed::new(format!("the editor cannot be understood: {e}")))?;
        Ok(if goodbye { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
    }
}
