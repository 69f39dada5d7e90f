//! The route language of Sluice: text in, program and diagnostics out.
//!
//! INVARIANT: this crate does no I/O, reads no clock, draws no random number, spawns nothing.
//! Everything is a pure function of its arguments.
#![forbid(unsafe_code)]

pub mod diagnostic;
pub mod region;
pub mod syntax;
pub mod tree;

use diagnostic::Diagnostic;
use std::sync::Arc;
use syntax::ast;
use syntax::span::{FileId, Loc};
use tree::ir;

/// A file that went through the parser.
#[derive(Debug)]
pub struct Parsed {
    /// Its number.
    pub file: FileId,
    /// Its sound items.
    pub ast: ast::File,
    /// What did not parse.
    pub diagnostics: Vec<Diagnostic>,
}

/// How the checker finds the modules that a file imports. `std/…` is answered by this crate itself
/// and never asked for.
pub trait Modules {
    /// The module that `importer` calls `module` (`./pools`, `../shared/pools`), parsed.
    ///
    /// # Errors
    /// A short reason, such as `sites/pools.route does not exist`.
    fn find(&self, importer: FileId, module: &str) -> Result<Arc<Parsed>, String>;
}

/// What a file's sites are before they are compiled.
#[derive(Debug, Default)]
pub struct Checked {
    /// Its sites.
    pub sites: Vec<Arc<ir::Site>>,
    /// What it says about the gateway, in `gateway.route`.
    pub gateway: Option<ir::Gateway>,
    /// The hosts it claims, as far as they can be read, whether or not it loads.
    pub claims: Vec<(ir::HostPattern, Loc)>,
    /// The files that it imports, those imported by them included.
    pub imports: Vec<FileId>,
    /// What is wrong, in source order; with an error in it, nothing of the file is to be served.
    pub diagnostics: Vec<Diagnostic>,
}
