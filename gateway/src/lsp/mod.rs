//! `sluice lsp`: the language server, over standard input and output.
//!
//! One thread reads messages, one answers them in the order they came. Findings are made when no
//! message waits, so that a burst of keystrokes costs one check; what they are depends on the texts
//! alone. What names mean is asked of `dsl::ide`, what is wrong of the code behind `sluice lint`.
//!
//! INVARIANT: nothing here writes to a route file: editors make the edits that they are told of.

mod actions;
mod complete;
mod diagnostics;
mod format;
mod goto;
mod hints;
mod hover;
mod lens;
mod rename;
mod server;
mod symbols;
mod text;
mod wire;
mod world;

pub use server::run;
