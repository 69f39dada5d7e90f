//! The route language of Sluice: text in, program and diagnostics out.
//!
//! INVARIANT: this crate does no I/O, reads no clock, draws no random number, spawns nothing.
//! Everything is a pure function of its arguments.
#![forbid(unsafe_code)]

pub mod body;
pub mod calendar;
mod check;
pub mod diagnostic;
pub mod fmt;
pub mod ide;
pub mod lint;
pub mod reach;
pub mod region;
mod resolve;
pub mod syntax;
pub mod testing;
pub mod tree;

pub use check::unsupported;
pub use resolve::stdlib;

use diagnostic::{Diagnostic, Severity};
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
    /// The module that `importer` calls `module` (`./pools`, `../shared/pools`; `gateway` is gateway.route), parsed.
    ///
    /// # Errors
    /// A short reason, such as `sites/pools.route does not exist`.
    fn find(&self, importer: FileId, module: &str) -> Result<Arc<Parsed>, String>;

    /// The file of rows that a table of `declarer` names, relative to the folder of that file.
    ///
    /// # Errors
    /// A short reason, such as `sites/data/tenants.csv does not exist`.
    fn data(&self, declarer: FileId, path: &str) -> Result<Data, String> {
        let _ = declarer;
        Err(format!("there is nothing at {path}"))
    }

    /// Nobody is shown the lines of this file, which [`Modules::data`] found: there are hashes of passwords in it.
    fn hide(&self, data: FileId) {
        let _ = data;
    }

    /// Whose the file is that is checked, where it is a tenant's.
    fn tenancy(&self) -> Option<ir::Tenancy<'_>> {
        None
    }
}

/// A file of rows.
#[derive(Clone, Debug)]
pub struct Data {
    /// Its number, for messages.
    pub file: FileId,
    /// Its text.
    pub text: Arc<str>,
}

/// Reads the rows of a table anew, by what its declaration says of them. Nothing is compiled, and nothing
/// is changed: what becomes of them is for [`ir::Table::replace`].
///
/// # Errors
/// What is wrong with them. The rows are taken as a whole or not at all.
pub fn read_rows(schema: &ir::Schema, data: &Data) -> Result<tree::rows::Rows, Vec<Diagnostic>> {
    tree::rows::read(schema, &data.text).map_err(|wrong| {
        let loc = |wrong: &tree::rows::Wrong| Loc { file: data.file, span: wrong.span };
        wrong.iter().map(|w| lint::g1029::in_file(loc(w), w)).collect()
    })
}

/// What a file's sites are before they are compiled.
#[derive(Debug, Default)]
pub struct Checked {
    /// Its sites.
    pub sites: Vec<Arc<ir::Site>>,
    /// Its `tcp` and `udp` items.
    pub listening: Vec<Arc<tree::l4::Listening>>,
    /// Its `passthrough` items.
    pub passthroughs: Vec<Arc<tree::l4::Passthrough>>,
    /// What it says about the gateway, in `gateway.route`.
    pub gateway: Option<ir::Gateway>,
    /// Its tests, checked and not run.
    pub tests: Vec<Arc<testing::Test>>,
    /// Its proofs, checked and not decided: they speak of the sites of other files too.
    pub proofs: Vec<Arc<reach::prove::Proof>>,
    /// The hosts it claims, as far as they can be read, whether or not it loads.
    pub claims: Vec<(ir::HostPattern, Loc)>,
    /// Where its `tcp` and `udp` items listen, whether or not it loads.
    pub listeners: Vec<(tree::l4::Transport, ir::Listener)>,
    /// Its tenants, in `gateway.route`.
    pub tenants: Vec<Arc<ir::Tenant>>,
    /// Its tables whose rows stand in files, those of its modules included.
    pub tables: Vec<Arc<ir::Table>>,
    /// The files that it imports, those imported by them included.
    pub imports: Vec<FileId>,
    /// What is wrong, in source order; with an error in it, nothing of the file is to be served.
    pub diagnostics: Vec<Diagnostic>,
}

/// A file to be compiled.
#[derive(Clone, Copy)]
pub struct Unit<'a> {
    /// Its number.
    pub file: FileId,
    /// The path to show, such as `sites/shop.route`.
    pub path: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Whether it is the operator's own file, `gateway.route`.
    pub gateway: bool,
    /// How its imports are found.
    pub modules: &'a dyn Modules,
}

/// A file, compiled.
#[derive(Debug, Default)]
pub struct Compiled {
    /// Its sites, ready to serve; empty when an error stands in the diagnostics.
    pub programs: Vec<Arc<tree::Program>>,
    /// Its `tcp` and `udp` items; empty when an error stands in the diagnostics.
    pub listening: Vec<Arc<tree::l4::Listening>>,
    /// Its `passthrough` items; empty when an error stands in the diagnostics.
    pub passthroughs: Vec<Arc<tree::l4::Passthrough>>,
    /// What it says about the gateway, in `gateway.route`; `None` when an error stands in the diagnostics.
    pub gateway: Option<ir::Gateway>,
    /// Its tests, checked and not run.
    pub tests: Vec<Arc<testing::Test>>,
    /// Its proofs, checked and not decided: they speak of the sites of other files too.
    pub proofs: Vec<Arc<reach::prove::Proof>>,
    /// The hosts it claims, as far as they can be read, whether or not it loads.
    pub claims: Vec<(ir::HostPattern, Loc)>,
    /// Where its `tcp` and `udp` items listen, whether or not it loads.
    pub listeners: Vec<(tree::l4::Transport, ir::Listener)>,
    /// Its tenants, in `gateway.route`.
    pub tenants: Vec<Arc<ir::Tenant>>,
    /// Its tables whose rows stand in files, those of its modules included.
    pub tables: Vec<Arc<ir::Table>>,
    /// The files that it imports, those imported by them included.
    pub imports: Vec<FileId>,
    /// The pools that it declares and names, for [`lint::unused_pools`].
    pub pools: lint::Pools,
    /// Where it reads `client.country` first: `gateway.route` must say where countries are known from.
    pub country: Option<Loc>,
    /// What is wrong, in source order.
    pub diagnostics: Vec<Diagnostic>,
}

impl Compiled {
    /// Whether it loads.
    pub fn is_sound(&self) -> bool {
        !self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    /// What its tests are about.
    pub fn subject(&self) -> testing::Subject<'_> {
        let Self { programs, listening, passthroughs, .. } = self;
        testing::Subject { programs, listening, passthroughs }
    }
}

/// A finder for files that import nothing but `std/…`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoModules;

impl Modules for NoModules {
    fn find(&self, _: FileId, module: &str) -> Result<Arc<Parsed>, String> {
        Err(format!("{module} does not exist"))
    }
}

/// Parses and checks a file, and lowers its sites to route IR. The lints are not run.
pub fn check(unit: &Unit<'_>) -> Checked {
    let outcome = outcome(unit, &parse(unit));
    let mut diagnostics = outcome.diagnostics;
    sort(&mut diagnostics, unit.file);
    Checked {
        sites: outcome.sites.into_iter().map(|(site, _)| site).collect(),
        listening: outcome.listening.into_iter().map(|(item, _)| item).collect(),
        passthroughs: outcome.passthroughs.into_iter().map(|(item, _)| item).collect(),
        gateway: outcome.gateway,
        tests: outcome.tests,
        proofs: outcome.proofs,
        claims: outcome.claims,
        listeners: outcome.listeners,
        tenants: outcome.tenants,
        tables: outcome.tables,
        imports: outcome.imports,
        diagnostics,
    }
}

/// Text to programs: parse, resolve, check, lower, compile, lint. A file with an error has no
/// programs: it loads whole or not at all.
pub fn compile(unit: &Unit<'_>) -> Compiled {
    compile_parsed(unit, &parse(unit))
}

/// [`compile`] for a text that was parsed already.
pub fn compile_parsed(unit: &Unit<'_>, parsed: &Arc<Parsed>) -> Compiled {
    let outcome = outcome(unit, parsed);
    let mut diagnostics = outcome.diagnostics;
    let mut programs = Vec::new();
    let mut findings = Vec::new();
    for (site, info) in &outcome.sites {
        match tree::compile(Arc::clone(site)) {
            Ok(program) => {
                let program = Arc::new(program);
                findings.push((site.loc, lint::site(&program, info, unit.text)));
                programs.push(program);
            }
            Err(why) => {
                let mut d = Diagnostic::error(why.code, why.loc, why.message);
                if let Some(other) = why.other {
                    d = d.label(other, "the other route");
                }
                diagnostics.push(d);
            }
        }
    }
    let mut findings = lint::of_sites(findings);
    findings.extend(lint::l4::items(&outcome.listening, &outcome.passthroughs, unit.text));
    let listening: Vec<_> = outcome.listening.into_iter().map(|(item, _)| item).collect();
    let passthroughs: Vec<_> = outcome.passthroughs.into_iter().map(|(item, _)| item).collect();
    let sites: Vec<&ir::Site> = outcome.sites.iter().map(|(site, _)| &**site).collect();
    findings.extend(lint::together(&lint::Together {
        gateway: outcome.gateway.as_ref(),
        listening: &listening,
        passthroughs: &passthroughs,
        sites: &sites,
    }));
    findings.extend(lint::across(&programs));
    lint::without_consequences(&mut findings, &diagnostics);
    diagnostics.extend(findings);
    diagnostics.extend(lint::cross_file(&[(unit.file, &outcome.claims)]));
    sort(&mut diagnostics, unit.file);
    let mut compiled = Compiled {
        programs,
        listening,
        passthroughs,
        gateway: outcome.gateway,
        tests: outcome.tests,
        proofs: outcome.proofs,
        claims: outcome.claims,
        listeners: outcome.listeners,
        tenants: outcome.tenants,
        tables: outcome.tables,
        imports: outcome.imports,
        pools: outcome.pools,
        country: outcome.country,
        diagnostics,
    };
    compiled.pools.sound = compiled.is_sound();
    if !compiled.is_sound() {
        compiled.programs.clear();
        compiled.listening.clear();
        compiled.passthroughs.clear();
        compiled.gateway = None;
        compiled.tenants.clear();
    }
    compiled
}

fn parse(unit: &Unit<'_>) -> Arc<Parsed> {
    Arc::new(syntax::parse(unit.file, unit.text))
}

fn outcome(unit: &Unit<'_>, parsed: &Arc<Parsed>) -> check::Outcome {
    check::run(parsed, unit.path, unit.text, unit.gateway, unit.modules)
}

/// In source order, the file's own findings first, each once: a site with several layouts of hosts is
/// several trees, and what is wrong with it is said once.
fn sort(diagnostics: &mut Vec<Diagnostic>, own: FileId) {
    diagnostics.sort_by_key(|d| (d.primary.loc.file != own, d.primary.loc, d.code));
    diagnostics.dedup_by(|b, a| a.code == b.code && a.primary.loc == b.primary.loc);
}
