//! Types, missing values, order of statements; and the lowering of a file to route IR.
//!
//! Policies, `let`s and functions are inlined here, so that everything behind it is exact. A mistake
//! is reported once: what it stood in becomes [`val::Val::Opaque`], about which nothing more is said.

mod acme;
mod answer;
mod calls;
pub(crate) mod cond;
mod expr;
mod gateway;
mod handshake;
mod header;
pub(crate) mod l4;
mod later;
mod limit;
mod names;
mod negation;
mod pattern;
mod policy;
mod pools;
mod provider;
mod route;
pub(crate) mod seen;
mod session;
mod settings;
mod site;
mod tables;
mod template;
mod tenants;
mod testing;
mod tls;
pub(crate) mod ty;
pub mod unsupported;
pub(crate) mod val;

use crate::diagnostic::Diagnostic;
use crate::reach::prove::Proof;
use crate::resolve::{Linked, ModIdx};
use crate::syntax::ast::{self, ItemKind};
use crate::syntax::span::{FileId, Loc, Span};
use crate::testing::Test;
use crate::tree::ir::{self, Capture, Field};
use crate::tree::l4::{Listening, Passthrough, Transport};
use crate::{Modules, Parsed};
use seen::Names;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use ty::Ty;
use val::Val;

pub(crate) use acme::SETTINGS as ACME_SETTINGS;
pub(crate) use calls::{BODY_CALLS, BODY_PARTS};
pub(crate) use expr::FUNCTIONS;
pub(crate) use gateway::of_the_gateway;
pub(crate) use l4::settings::KNOWN as CONNECTION_SETTINGS;
pub(crate) use names::{METHODS, member_names};
pub(crate) use pools::SETTINGS as POOL_SETTINGS;
pub(crate) use provider::SETTINGS as PROVIDER_SETTINGS;
pub(crate) use settings::of_sites;
pub(crate) use site::{EntryInfo, Protector, SiteInfo, salt};
pub(crate) use testing::LINES as TEST_LINES;
pub(crate) use ty::NAMES as TYPES;

/// What the checker makes of a file.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Its sites, with what the lints want to know about them.
    pub(crate) sites: Vec<(Arc<ir::Site>, SiteInfo)>,
    /// Its `tcp` and `udp` items, with what the lints want to know about them.
    pub(crate) listening: Vec<(Arc<Listening>, l4::L4Info)>,
    /// Its `passthrough` items, likewise.
    pub(crate) passthroughs: Vec<(Arc<Passthrough>, l4::L4Info)>,
    /// Where its items listen, whether or not it loads.
    pub(crate) listeners: Vec<(Transport, ir::Listener)>,
    /// What it says about the gateway.
    pub(crate) gateway: Option<ir::Gateway>,
    /// Its tests.
    pub(crate) tests: Vec<Arc<Test>>,
    /// Its proofs.
    pub(crate) proofs: Vec<Arc<Proof>>,
    /// Its tenants.
    pub(crate) tenants: Vec<Arc<ir::Tenant>>,
    /// The hosts that it claims.
    pub(crate) claims: Vec<(ir::HostPattern, Loc)>,
    /// Its tables whose rows stand in files, those of its modules included.
    pub(crate) tables: Vec<Arc<ir::Table>>,
    /// The files it imports.
    pub(crate) imports: Vec<FileId>,
    /// The pools that it declares, and those that it names.
    pub(crate) pools: crate::lint::Pools,
    /// Where it reads `client.country` first.
    pub(crate) country: Option<Loc>,
    /// What is wrong.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Checks a file and lowers its sites.
pub(crate) fn run(parsed: &Arc<Parsed>, path: &str, text: &str, gateway: bool, modules: &dyn Modules) -> Outcome {
    check(parsed, path, text, gateway, modules, None).0
}

/// What the check of a file finds out about its names.
pub(crate) fn names(parsed: &Arc<Parsed>, path: &str, text: &str, gateway: bool, modules: &dyn Modules) -> Names {
    check(parsed, path, text, gateway, modules, Some(Names::default())).1.unwrap_or_default()
}

fn check(
    parsed: &Arc<Parsed>,
    path: &str,
    text: &str,
    gateway: bool,
    modules: &dyn Modules,
    names: Option<Names>,
) -> (Outcome, Option<Names>) {
    let mut diagnostics = parsed.diagnostics.clone();
    let linked = crate::resolve::link(parsed, path, modules, &mut diagnostics);
    let mut checker = Checker {
        linked: &linked,
        text,
        gateway_file: gateway,
        seen: HashSet::new(),
        diagnostics: Vec::new(),
        lets: BTreeMap::new(),
        pools: BTreeMap::new(),
        tables: BTreeMap::new(),
        providers: BTreeMap::new(),
        lines: BTreeMap::new(),
        modules,
        calls: Vec::new(),
        read: Vec::new(),
        shared_limits: BTreeMap::new(),
        shared_l4_limits: BTreeMap::new(),
        asked: calls::Asked::default(),
        named: BTreeSet::new(),
        alone: false,
        country: None,
        raw_paths: false,
        names,
    };
    for d in diagnostics {
        checker.report(d);
    }
    let mut out =
        Outcome { imports: checker.linked.modules[1..].iter().map(|m| m.file).collect(), ..Outcome::default() };
    for (index, item) in linked.modules[0].parsed.ast.items.iter().enumerate() {
        checker.item(index, item, &mut out);
    }
    checker.overlaps(&out);
    checker.bounds(&mut out);
    for host in parsed.ast.broken.iter().flat_map(|b| &b.hosts) {
        // What is wrong with it beside the syntax waits until the syntax is mended.
        let said = checker.diagnostics.len();
        if let Some(made) = checker.host_pattern(0, host) {
            out.claims.push((made.pattern, checker.loc(0, host.span)));
        }
        checker.diagnostics.truncate(said);
    }
    out.tables = checker.tables_from_files();
    for d in crate::lint::g1015::run(&checker.read) {
        checker.report(d);
    }
    out.pools = checker.pools_of_file();
    out.country = checker.country;
    out.diagnostics = checker.diagnostics;
    if let Some(names) = &mut checker.names {
        let imports = linked.modules[0].imports.iter();
        names.imports = imports.map(|(alias, module)| (alias.clone(), linked.modules[*module].file)).collect();
    }
    (out, checker.names)
}

/// A name that is visible inside a block.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    name: String,
    val: Val,
    loc: Loc,
    kind: LocalKind,
}

/// What declared a [`Local`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LocalKind {
    Capture,
    Let,
    Param,
}

/// Where names are looked up.
#[derive(Clone, Debug)]
pub(crate) struct Env {
    /// The file whose names are visible.
    module: ModIdx,
    /// Captures, `let`s and parameters, outermost first.
    locals: Vec<Local>,
    /// User functions of the enclosing blocks.
    functions: Vec<(ast::Let, Loc)>,
}

impl Env {
    fn top(module: ModIdx) -> Self {
        Self { module, locals: Vec::new(), functions: Vec::new() }
    }

    /// The captures that are visible here, with their names.
    fn captures(&self) -> Vec<(Capture, Arc<str>)> {
        let captures = self.locals.iter().filter(|l| l.kind == LocalKind::Capture);
        captures
            .filter_map(|l| match &l.val {
                Val::Field { field: Field::Capture(capture), .. } => Some((capture.clone(), l.name.as_str().into())),
                _ => None,
            })
            .collect()
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|l| l.name == name)
    }
}

/// Files of users and keys that were read, by who names them and what they are.
type LinesRead = BTreeMap<(ModIdx, Arc<str>, &'static str), Option<Arc<ir::Table>>>;

/// The state of one file's check.
pub(crate) struct Checker<'a> {
    linked: &'a Linked,
    /// The text of the file that is checked.
    text: &'a str,
    /// Whether the file is `gateway.route`.
    gateway_file: bool,
    /// Code and place of everything reported: what is inlined twice is reported once.
    seen: HashSet<(&'static str, Loc)>,
    diagnostics: Vec<Diagnostic>,
    /// Top-level `let`s that were evaluated; `None` while they are.
    lets: BTreeMap<(ModIdx, usize), Option<Val>>,
    /// Pools that were lowered; `None` for a broken one.
    pools: BTreeMap<(ModIdx, usize), Option<Arc<ir::Pool>>>,
    /// Tables that were lowered; `None` for a broken one.
    tables: BTreeMap<(ModIdx, usize), Option<tables::Made>>,
    /// Providers that were lowered; `None` for a broken one.
    providers: BTreeMap<(ModIdx, usize), Option<Arc<ir::Provider>>>,
    /// Files of users and keys that were read, by who names them and what they are; `None` for a broken one.
    lines: LinesRead,
    /// Where files are found that others name.
    modules: &'a dyn Modules,
    /// User functions that are being inlined.
    calls: Vec<Loc>,
    /// Headers, cookies and query fields that the file reads, and where they are named.
    read: Vec<(Field, Loc)>,
    /// Limits that are shared by their name.
    shared_limits: BTreeMap<Arc<str>, ir::Limit>,
    /// Those of connections and flows.
    shared_l4_limits: BTreeMap<Arc<str>, crate::tree::l4::Limit>,
    /// The calls of the site at hand.
    asked: calls::Asked,
    /// The pools that the file names.
    named: BTreeSet<(ModIdx, usize)>,
    /// Whether a policy is checked by itself: it may be meant for requests or for connections.
    alone: bool,
    /// Where the file reads `client.country` first.
    country: Option<Loc>,
    /// Whether the site at hand says `paths raw`: constants are compared as they are written.
    raw_paths: bool,
    /// What names mean, where somebody wants to know.
    names: Option<Names>,
}

impl<'a> Checker<'a> {
    /// Reports a finding, once.
    fn report(&mut self, d: Diagnostic) {
        if self.seen.insert((d.code, d.primary.loc)) {
            self.diagnostics.push(d);
        }
    }

    /// Says that a form is not carried out yet, as long as it stands in the list of those.
    fn unsupported(&mut self, name: &'static str, loc: Loc) {
        if let Some(d) = unsupported::refuse(name, loc) {
            self.report(d);
        }
    }

    fn loc(&self, module: ModIdx, span: Span) -> Loc {
        self.linked.loc(module, span)
    }

    fn item(&mut self, index: usize, item: &'a ast::Item, out: &mut Outcome) {
        let loc = self.loc(0, item.span);
        match &item.kind {
            // Followed by the linker.
            ItemKind::Import(_) => {}
            ItemKind::Let(l) => self.top_let_item(index, l),
            ItemKind::Pool(_) => {
                self.pool(0, index);
            }
            ItemKind::Table(_) => {
                self.table(0, index);
            }
            ItemKind::Policy(p) => self.policy_alone(index, p),
            ItemKind::Provider(_) => {
                self.provider_item(0, index);
            }
            ItemKind::Site(s) => self.site(s, loc, out),
            ItemKind::Passthrough(p) => self.passthrough(p, loc, out),
            ItemKind::L4(l) => self.listening(l, loc, out),
            ItemKind::Gateway(block) => self.gateway(block, loc, out),
            ItemKind::Tenant { name, body } => {
                let at = self.loc(0, item.span.start_to(name.span));
                self.tenant(name, body, at, out);
            }
            ItemKind::Test { title, lines } => {
                let at = self.loc(0, item.span.start_to(title.span));
                let test = self.test(title, lines, at);
                out.tests.push(Arc::new(test));
            }
            ItemKind::Prove { title, lines } => {
                let at = self.loc(0, item.span.start_to(title.span));
                let proof = self.proof(title, lines, at);
                out.proofs.push(Arc::new(proof));
            }
        }
    }

    /// What others must know of the file to tell which pools are used.
    fn pools_of_file(&self) -> crate::lint::Pools {
        let own = &self.linked.modules[0];
        let declared = own.parsed.ast.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Pool(pool) => Some((pool.name.node.clone(), self.loc(0, pool.name.span), self.loc(0, item.span))),
            _ => None,
        });
        let named = self.named.iter().filter_map(|&(module, item)| {
            let name = crate::resolve::item_name(self.linked.item(module, item))?;
            Some(self.loc(module, name.span))
        });
        crate::lint::Pools {
            file: own.file,
            imports: self.linked.modules[1..].iter().map(|m| m.file).collect(),
            sound: false,
            declared: declared.collect(),
            named: named.collect(),
        }
    }

    /// A `let` of this file: its value is checked whether or not it is used.
    fn top_let_item(&mut self, index: usize, l: &'a ast::Let) {
        match &l.params {
            None => {
                self.top_let(0, index);
            }
            Some(params) => {
                let mut env = Env::top(0);
                self.bind_untyped(params, &mut env);
                self.calls.push(self.loc(0, l.name.span));
                self.eval(&l.value, &env, None);
                self.calls.pop();
            }
        }
    }

    /// Any overlap of listeners is an error (LANGUAGE rule 29).
    fn overlaps(&mut self, out: &Outcome) {
        let own = out.gateway.iter().flat_map(|g| g.http.iter().chain(&g.https).chain(&g.metrics));
        let mut all: Vec<(Transport, &ir::Listener)> = own.map(|l| (Transport::Tcp, l)).collect();
        all.extend(out.listeners.iter().map(|(transport, listener)| (*transport, listener)));
        for (n, (transport, listener)) in all.iter().enumerate() {
            let earlier = all[..n].iter().find(|(t, l)| crate::lint::l4::overlap((*transport, listener), (*t, l)));
            if let Some((_, earlier)) = earlier {
                self.report(crate::lint::g7001::overlap(listener.loc, listener.port, earlier.loc));
            }
        }
    }

    /// Parameters of a function that is checked by itself.
    fn bind_untyped(&mut self, params: &[ast::Param], env: &mut Env) {
        for p in params {
            self.bind(env, &p.name, Val::Opaque(Ty::Unknown, false), LocalKind::Param);
        }
    }
}

/// From the start of one span to the end of another.
trait SpanExt {
    fn start_to(self, end: Span) -> Span;
}

impl SpanExt for Span {
    fn start_to(self, end: Span) -> Span {
        Span { start: self.start, end: end.end }
    }
}
