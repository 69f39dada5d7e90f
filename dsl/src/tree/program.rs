//! The compiled program of a site.

use super::asking;
use super::automaton::PatternId;
use super::automaton::layout::{Automaton, ChainRef, MAX_CHAINS};
use super::automaton::subset::{Subsets, TooMany};
use super::automaton::trie::Trie;
use super::eval;
use super::fault::{self, Fault};
use super::fields;
use super::guard::graph::{self, Builder, Graph, Ref};
use super::interpret;
use super::ir::{Class, Cond, Entry, Field, Identity, PathPattern, PlanIdx, ScopeIdx, Segment, Site, Target};
use super::order::order;
use super::request::Request;
use crate::region::Algebra;
use crate::syntax::span::Loc;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// To a plan of the site.
    Plan(PlanIdx),
    /// Nowhere: this field, which a condition on the way names, arrived several times with different values. 400.
    Conflict(Field),
}

/// Why a site is not compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// The code of the finding.
    pub code: &'static str,
    /// The line it is said of.
    pub loc: Loc,
    /// What is wrong, in one line.
    pub message: String,
    /// Another line that matters.
    pub other: Option<Loc>,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CompileError {}

/// A compiled site: the decision tree, and the plans it leads to.
#[derive(Clone, Debug)]
pub struct Program {
    site: Arc<Site>,
    /// What [`Site::identities`] says.
    identities: Box<[Identity]>,
    paths: Paths,
    /// A site that asks no condition has none.
    guards: Option<Box<Guards>>,
}

/// What is asked once the path is known.
#[derive(Clone, Debug)]
struct Guards {
    chains: Box<[Chain]>,
    fields: Box<[Field]>,
    graph: Graph,
}

#[derive(Clone, Debug)]
enum Paths {
    Automaton(Automaton),
    /// The states would have outgrown the patterns: the patterns of a path are found by walking the
    /// trie, and its chain is put together for each request.
    Sets(Box<Sets>),
}

#[derive(Clone, Debug)]
struct Sets {
    trie: Trie,
    /// The entries of each pattern.
    entries: Vec<Vec<(ScopeIdx, u32)>>,
    /// Holds every inclusion that an order can ask for.
    algebra: Algebra,
}

/// The candidates of a set of patterns.
#[derive(Clone, Copy, Debug)]
struct Chain {
    root: Ref,
    /// Fields whose values must not differ: where they begin, and how many.
    fields: (u32, u32),
}

/// A chain that is one plan needs no entry: the plan stands in the reference.
const SETTLED: ChainRef = MAX_CHAINS >> 1;

/// Numbers about a program, for benchmarks and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes of the tree; plans, texts of the site and automata of expressions not counted.
    pub bytes: usize,
    /// Chains that ask a condition.
    pub chains: usize,
    /// Whether paths are decided without looking back.
    pub automaton: bool,
}

/// Compiles a site.
///
/// # Errors
/// Its meaning cannot be decided within the limits.
pub fn compile(site: Arc<Site>) -> Result<Program, CompileError> {
    compile_within(site, &Limits::default())
}

/// How large things may grow before a slower form is taken that means the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    /// States of the automaton; by the size of the trie where not said.
    pub(super) states: Option<usize>,
    /// Of the graph, for one chain.
    pub(super) graph: graph::Limits,
}

pub(super) fn compile_within(site: Arc<Site>, limits: &Limits) -> Result<Program, CompileError> {
    let (patterns, entries) = distinct_patterns(&site)?;
    let trie = Trie::new(&patterns);
    let subsets = match limits.states {
        None => Subsets::new(&trie),
        Some(limit) => Subsets::within(&trie, limit),
    };
    let mut compiler = Compiler {
        site: &site,
        patterns: &patterns,
        entries: &entries,
        algebra: Algebra::paths(),
        graph: Builder::new(limits.graph.clone()),
        chains: Vec::new(),
        fields: Vec::new(),
        known: HashMap::new(),
    };
    let paths = match subsets {
        Ok(subsets) => {
            let chains = subsets.sets.iter().map(|set| compiler.chain(set)).collect::<Result<Vec<_>, _>>()?;
            Paths::Automaton(Automaton::new(&subsets, &chains))
        }
        Err(TooMany) => {
            compiler.settle_inclusions()?;
            let algebra = compiler.algebra.clone();
            Paths::Sets(Box::new(Sets { trie, entries: entries.clone(), algebra }))
        }
    };
    let Compiler { graph, chains, fields, .. } = compiler;
    let guards = (!chains.is_empty())
        .then(|| Box::new(Guards { chains: chains.into(), fields: fields.into(), graph: graph.finish() }));
    let identities = site.identities().into();
    Ok(Program { paths, guards, identities, site })
}

impl Program {
    /// What it was compiled from: plans, pools, settings.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Headers that clients cannot say to its origins.
    #[must_use]
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// Decides a request for this site. What a conflict is, [`interpret`](super::interpret()) says.
    #[inline]
    pub fn decide(&self, req: &impl Request) -> Decision {
        let automaton = match &self.paths {
            Paths::Automaton(automaton) => automaton,
            Paths::Sets(sets) => return sets.decide(&self.site, req),
        };
        let chain = match self.site.settings.paths {
            super::ir::Paths::Raw => automaton.walk_raw(req.path()),
            _ => automaton.walk(req.path()),
        };
        if chain & SETTLED != 0 {
            return Decision::Plan(PlanIdx(chain & !SETTLED));
        }
        match &self.guards {
            Some(guards) => guards.decide(chain, req),
            None => Decision::Plan(self.site.scopes[0].miss), // Chains are numbered where there are guards.
        }
    }

    /// How large it is.
    pub fn size(&self) -> Size {
        let (paths, automaton) = match &self.paths {
            Paths::Automaton(automaton) => (automaton.bytes(), true),
            Paths::Sets(sets) => (sets.trie.nodes.len() * size_of_val(sets.trie.node(0)), false),
        };
        Size {
            bytes: size_of::<Self>() + paths + self.guards.as_ref().map_or(0, |guards| guards.bytes()),
            chains: self.guards.as_ref().map_or(0, |guards| guards.chains.len()),
            automaton,
        }
    }

    /// The entries of a scope that match a path, in their order.
    pub(super) fn scope_candidates(&self, scope: ScopeIdx, path: &str) -> Vec<&Entry> {
        interpret::candidates(&self.site, scope, path, &mut Algebra::paths())
    }
}

impl Guards {
    #[inline]
    fn decide(&self, chain: ChainRef, req: &impl Request) -> Decision {
        let Chain { root, fields: (start, len) } = self.chains[chain as usize];
        for field in &self.fields[start as usize..][..len as usize] {
            if eval::conflicting(field, req) && !fault::made(Fault::IgnoreConflicts) {
                return Decision::Conflict(field.clone());
            }
        }
        Decision::Plan(self.graph.decide(root, req))
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.chains.len() * size_of::<Chain>()
            + self.fields.len() * size_of::<Field>()
            + self.graph.bytes()
    }
}

/// The distinct patterns of a site, and the entries of each.
type Patterns<'s> = (Vec<&'s PathPattern>, Vec<Vec<(ScopeIdx, u32)>>);

fn distinct_patterns(site: &Site) -> Result<Patterns<'_>, CompileError> {
    let mut ids: HashMap<&PathPattern, usize> = HashMap::new();
    let (mut patterns, mut entries): Patterns<'_> = (Vec::new(), Vec::new());
    for (scope, of_scope) in (0..).map(ScopeIdx).zip(&site.scopes) {
        for (at, entry) in (0..).zip(&of_scope.entries) {
            let id = *ids.entry(&entry.pattern).or_insert_with(|| {
                patterns.push(&entry.pattern);
                entries.push(Vec::new());
                patterns.len() - 1
            });
            entries[id].push((scope, at));
            if entries[id].len() == 1 && text_length(&entry.pattern) > MAX_PATTERN {
                return Err(CompileError {
                    code: "G2017",
                    loc: entry.loc,
                    message: format!("the path is longer than {MAX_PATTERN} bytes, which no request can have"),
                    other: None,
                });
            }
        }
    }
    Ok((patterns, entries))
}

/// Longer than the head of any request.
const MAX_PATTERN: usize = 60_000;

fn text_length(pattern: &PathPattern) -> usize {
    let of = |segment: &Segment| match segment {
        Segment::Lit(text) => text.len(),
        Segment::Capture { prefix, class, suffix } => {
            let longest = match class {
                Class::Set(all) => all.iter().map(|one| one.len()).max().unwrap_or_default(),
                Class::Any | Class::Int | Class::Uuid | Class::Regex(_) => 1,
            };
            prefix.len() + longest + suffix.len()
        }
    };
    pattern.segments.iter().map(|segment| 1 + of(segment)).sum()
}

struct Compiler<'s> {
    site: &'s Site,
    patterns: &'s [&'s PathPattern],
    entries: &'s [Vec<(ScopeIdx, u32)>],
    algebra: Algebra,
    graph: Builder,
    chains: Vec<Chain>,
    fields: Vec<Field>,
    known: HashMap<(Ref, Vec<Field>), ChainRef>,
}

impl Compiler<'_> {
    /// The chain of a set of patterns.
    fn chain(&mut self, set: &[PatternId]) -> Result<ChainRef, CompileError> {
        let mut matching: Vec<(ScopeIdx, u32)> =
            set.iter().flat_map(|id| self.entries[*id as usize].iter().copied()).collect();
        matching.sort_unstable();
        let mut rows = rows(self.site, &matching, &mut self.algebra)?;
        if rows.rows.len() > 1 && fault::made(Fault::SwapRows) {
            rows.rows.swap(0, 1);
        }
        let root = self.graph.chain(rows.rows);
        if let (Some(plan), true) = (root.settled(), rows.strict.is_empty()) {
            return Ok(plan.0 | SETTLED);
        }
        let next = ChainRef::try_from(self.chains.len()).expect("no more chains than sets of patterns");
        let (chains, fields) = (&mut self.chains, &mut self.fields);
        Ok(*self.known.entry((root, rows.strict)).or_insert_with_key(|(root, strict)| {
            let place = |n: usize| u32::try_from(n).expect("no more fields than conditions");
            chains.push(Chain { root: *root, fields: (place(fields.len()), place(strict.len())) });
            fields.extend_from_slice(strict);
            next
        }))
    }

    /// Decides every inclusion that the order of candidates can ask for, before any request does.
    fn settle_inclusions(&mut self) -> Result<(), CompileError> {
        const MAX_PAIRS: usize = 1 << 14;
        let deepest = self.patterns.iter().map(|p| p.segments.len()).max().unwrap_or_default();
        let mut pairs = 0;
        for depth in 0..deepest {
            let mut captures: Vec<(&Segment, usize)> = Vec::new();
            for (id, pattern) in self.patterns.iter().enumerate() {
                if let Some(segment @ Segment::Capture { .. }) = pattern.segments.get(depth)
                    && !captures.iter().any(|(known, _)| *known == segment)
                {
                    captures.push((segment, id));
                }
            }
            pairs += captures.len() * captures.len();
            let entry = |id: usize| {
                let (scope, at) = self.entries[id][0];
                &self.site.scopes[scope.0 as usize].entries[at as usize]
            };
            if pairs > MAX_PAIRS {
                return Err(CompileError {
                    code: "G9006",
                    loc: self.site.loc,
                    message: "the patterns of this site cross in more ways than can be decided".into(),
                    other: None,
                });
            }
            for (inner, a) in &captures {
                for (outer, b) in &captures {
                    // Captures that no path meets together are never compared.
                    if let Err(why) = self.algebra.segment_inside(inner, outer)
                        && self.algebra.segment_overlap(inner, outer) != Ok(None)
                    {
                        return Err(undecided(entry(*a), entry(*b), why));
                    }
                }
            }
        }
        Ok(())
    }
}

fn undecided(a: &Entry, b: &Entry, why: crate::region::Undecided) -> CompileError {
    CompileError {
        code: "G2003",
        loc: b.loc,
        message: format!(
            "whether `{}` lies inside `{}`, which decides who is asked first, cannot be told: {why}",
            b.pattern, a.pattern
        ),
        other: Some(a.loc),
    }
}

/// The candidates of a path, blocks flattened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    /// The first that holds is taken; the last holds always.
    pub(crate) rows: Vec<(Cond, PlanIdx)>,
    /// Fields that must not arrive with different values.
    pub(crate) strict: Vec<Field>,
}

/// The candidates of a path, by the entries of all scopes that match it, sorted.
///
/// # Errors
/// Which of them comes first cannot be decided; such a site does not compile.
pub(crate) fn rows(site: &Site, matching: &[(ScopeIdx, u32)], algebra: &mut Algebra) -> Result<Rows, CompileError> {
    let mut rows = Rows::default();
    rows.scope(site, ScopeIdx(0), matching, &Cond::Const(true), algebra)?;
    Ok(rows)
}

impl Rows {
    /// Adds the rows of a scope, entered when a condition holds; `matching` are the entries of all
    /// scopes that match the path, sorted.
    fn scope(
        &mut self,
        site: &Site,
        scope: ScopeIdx,
        matching: &[(ScopeIdx, u32)],
        entered: &Cond,
        algebra: &mut Algebra,
    ) -> Result<(), CompileError> {
        let of = &site.scopes[scope.0 as usize];
        let from = matching.partition_point(|(s, _)| *s < scope);
        let to = matching.partition_point(|(s, _)| *s <= scope);
        let entries: Vec<&Entry> = matching[from..to].iter().map(|(_, at)| &of.entries[*at as usize]).collect();
        let patterns: Vec<&PathPattern> = entries.iter().map(|entry| &entry.pattern).collect();
        let order = order(&patterns, algebra).map_err(|(a, b, why)| undecided(entries[a], entries[b], why))?;
        for entry in order.into_iter().map(|at| entries[at]) {
            fields::strict_fields(&entry.guard, &mut self.strict);
            let guard = both(entered, &entry.guard);
            match entry.target {
                Target::Plan(plan) => self.rows.push((guard, plan)),
                Target::Scope(inner) => self.scope(site, inner, matching, &guard, algebra)?,
            }
            if entry.guard == Cond::Const(true) {
                return Ok(());
            }
        }
        if scope == ScopeIdx(0) || !fault::made(Fault::OpenBlocks) {
            self.rows.push((entered.clone(), of.miss));
        }
        Ok(())
    }
}

fn both(a: &Cond, b: &Cond) -> Cond {
    match (a, b) {
        (Cond::Const(true), other) | (other, Cond::Const(true)) => other.clone(),
        (a, b) => Cond::And(vec![a.clone(), b.clone()]),
    }
}

impl Sets {
    fn decide(&self, site: &Site, req: &impl Request) -> Decision {
        let found = self.trie.matching(req.path());
        let mut matching: Vec<_> = found.iter().flat_map(|id| self.entries[*id as usize].iter().copied()).collect();
        matching.sort_unstable();
        let mut rows = Rows::default();
        let mut algebra = self.algebra.clone();
        // Every inclusion was decided when the site was compiled.
        if rows.scope(site, ScopeIdx(0), &matching, &Cond::Const(true), &mut algebra).is_err() {
            return Decision::Plan(site.scopes[0].miss);
        }
        if let Some(field) = rows.strict.into_iter().find(|field| eval::conflicting(field, req)) {
            return Decision::Conflict(field);
        }
        let mut rows = rows.rows.iter().map(|(cond, plan)| (cond, *plan));
        let found = match site.calls.is_empty() {
            true => rows.find(|(cond, _)| eval::holds(cond, req)).map(|(_, plan)| plan),
            false => asking::first(rows, req),
        };
        Decision::Plan(found.unwrap_or(site.scopes[0].miss))
    }
}
