//! Rows of conditions as a graph: each node looks at one column and goes on by the class.
//!
//! The first row's columns are asked first, the cheapest of them before the others; a class is put into
//! every row, what it settles disappears, and what is left is built once for all chains (hash-consing).
//! Chains that would grow past a limit stay lists of rows: as exact, only linear. Calls are asked last, in the
//! order that [`asking`] says: one that was asked on the way to a node is at hand there.

use super::column::{self, ClassId, Column, Kind};
use crate::tree::asking;
use crate::tree::eval;
use crate::tree::fields;
use crate::tree::ir::{CallIdx, Cond, Field, PlanIdx, Test};
use crate::tree::request::Request;
use std::collections::{HashMap, HashSet};

/// What a chain comes to: a plan, a node or a list, told apart by the two lowest bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ref(u32);

const PLAN: u32 = 0;
const NODE: u32 = 1;
const LIST: u32 = 2;

impl Ref {
    fn new(number: usize, kind: u32) -> Self {
        Self(
            u32::try_from(number).ok().filter(|n| *n < 1 << 30).expect("a site has fewer than 2^30 of them") << 2
                | kind,
        )
    }

    /// A plan.
    pub(crate) fn plan(plan: PlanIdx) -> Self {
        Self::new(plan.0 as usize, PLAN)
    }

    /// The plan, when nothing has to be asked.
    pub(crate) fn settled(self) -> Option<PlanIdx> {
        (self.0 & 3 == PLAN).then_some(PlanIdx(self.0 >> 2))
    }
}

/// The conditions of a site, compiled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    columns: Vec<Asked>,
    /// What a node asks, and where its targets begin.
    nodes: Vec<(u32, u32)>,
    targets: Vec<Ref>,
    lists: Vec<List>,
}

/// Rows that stayed a list.
#[derive(Clone, Debug)]
struct List {
    rows: Vec<(Cond, PlanIdx)>,
    /// Whether one of them reads a call.
    calls: bool,
}

/// What a node asks.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// For the class of a field.
    Class(Column),
    /// Whether a condition holds: 0 or 1.
    Holds(Cond),
}

impl Asked {
    /// A condition that reads what it reads.
    fn leaf(&self) -> Cond {
        match self {
            Self::Class(column) => Cond::Test(column.field.clone(), Test::Present),
            Self::Holds(leaf) => leaf.clone(),
        }
    }
}

impl Graph {
    /// The plan for a request.
    #[inline]
    pub(crate) fn decide(&self, mut at: Ref, req: &impl Request) -> PlanIdx {
        loop {
            let number = (at.0 >> 2) as usize;
            match at.0 & 3 {
                NODE => {
                    let (column, targets) = self.nodes[number];
                    let class = match &self.columns[column as usize] {
                        Asked::Class(column) => column.classify(req),
                        Asked::Holds(leaf) => ClassId::from(column::holds(leaf, req)),
                    };
                    at = self.targets[(targets + class) as usize];
                }
                LIST => return self.lists[number].decide(req),
                _ => return PlanIdx(at.0 >> 2),
            }
        }
    }

    /// Bytes it takes, automata not counted.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.len() * 8 + self.targets.len() * 4 + self.columns.len() * size_of::<Asked>()
    }
}

impl List {
    fn decide(&self, req: &impl Request) -> PlanIdx {
        let mut rows = self.rows.iter().map(|(cond, plan)| (cond, *plan));
        let found = match self.calls {
            true => asking::first(rows, req),
            false => rows.find(|(cond, _)| eval::holds(cond, req)).map(|(_, plan)| plan),
        };
        found.unwrap_or(PlanIdx(0))
    }
}

/// What one chain may take before it stays a list.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Nodes that it adds.
    pub(crate) nodes: usize,
    /// Steps of building them.
    pub(crate) steps: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nodes: 4096, steps: 1 << 16 }
    }
}

/// A search took too many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// Takes classes of columns as an answer, or wants others.
type Found<'f> = dyn FnMut(&[(&Asked, ClassId)]) -> bool + 'f;

/// A condition over columns, by its number.
type FormulaId = u32;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Formula {
    Const(bool),
    /// The n-th test of a column.
    Test(u32, u32),
    Not(FormulaId),
    And(Box<[FormulaId]>),
    Or(Box<[FormulaId]>),
}

const FALSE: FormulaId = 0;
const TRUE: FormulaId = 1;

/// What a column says of calls.
#[derive(Debug)]
struct Reads {
    /// Those that asking it may read.
    calls: Vec<CallIdx>,
    /// What is known once it was asked.
    tells: Told,
}

/// What was asked on the way to a node: see [`asking::Known`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Told {
    Call(CallIdx),
    /// What the n-th column is about.
    Column(u32),
}

/// Sorted.
type Known = Vec<Told>;

/// What has to be decided: rows, and what is known by then.
type Left = (Vec<(FormulaId, Ref)>, Known);

/// Builds the graph of a site, chain by chain.
#[derive(Debug)]
pub(crate) struct Builder {
    graph: Graph,
    /// Of each column; `None` where it reads no call.
    reads: Vec<Option<Reads>>,
    columns: HashMap<String, Vec<u32>>,
    formulas: Vec<Formula>,
    formula_ids: HashMap<Formula, FormulaId>,
    specialised: HashMap<(FormulaId, u32, ClassId), FormulaId>,
    nodes: HashMap<(u32, Box<[Ref]>), Ref>,
    built: HashMap<Left, Ref>,
    limits: Limits,
    /// Left for the chain at hand.
    left: Limits,
}

impl Builder {
    pub(crate) fn new(limits: Limits) -> Self {
        let mut builder = Self {
            graph: Graph::default(),
            reads: Vec::new(),
            columns: HashMap::new(),
            formulas: Vec::new(),
            formula_ids: HashMap::new(),
            specialised: HashMap::new(),
            nodes: HashMap::new(),
            built: HashMap::new(),
            left: limits.clone(),
            limits,
        };
        builder.formula(Formula::Const(false));
        builder.formula(Formula::Const(true));
        builder
    }

    /// What rows come to: the plan of the first that holds. The last row holds always.
    pub(crate) fn chain(&mut self, rows: Vec<(Cond, PlanIdx)>) -> Ref {
        if let Some((Cond::Const(true), plan)) = rows.first() {
            return Ref::plan(*plan);
        }
        self.left = self.limits.clone();
        let columns = self.columns_of(&rows);
        let formulas =
            rows.iter().map(|(cond, plan)| (self.formula_of(cond, &columns), Ref::plan(*plan))).collect::<Vec<_>>();
        match self.build(formulas, Known::new()) {
            Some(built) => built,
            None => {
                let calls = rows.iter().any(|(cond, _)| fields::reads_call(cond, &|_| true));
                self.graph.lists.push(List { rows, calls });
                Ref::new(self.graph.lists.len() - 1, LIST)
            }
        }
    }

    /// Looks for classes of the columns under which a condition holds: `order` says which classes of a
    /// column can be, those to be tried first before the others; `found` takes an answer or wants another.
    ///
    /// # Errors
    /// There are too many to try.
    pub(crate) fn solve(
        &mut self,
        cond: &Cond,
        order: &dyn Fn(&Asked, ClassId) -> Vec<ClassId>,
        found: &mut Found<'_>,
    ) -> Result<bool, TooMany> {
        self.left = self.limits.clone();
        let columns = self.columns_of(&[(cond.clone(), PlanIdx(0))]);
        let formula = self.formula_of(cond, &columns);
        self.search(formula, &mut Vec::new(), order, found)
    }

    fn search(
        &mut self,
        formula: FormulaId,
        chosen: &mut Vec<(u32, ClassId)>,
        order: &dyn Fn(&Asked, ClassId) -> Vec<ClassId>,
        found: &mut Found<'_>,
    ) -> Result<bool, TooMany> {
        self.left.steps = self.left.steps.checked_sub(1).ok_or(TooMany)?;
        match formula {
            FALSE => return Ok(false),
            TRUE => {
                let chosen: Vec<_> =
                    chosen.iter().map(|(at, class)| (&self.graph.columns[*at as usize], *class)).collect();
                return Ok(found(&chosen));
            }
            _ => {}
        }
        let mut columns = Vec::new();
        self.columns_in(formula, &mut columns);
        let Some(column) = columns.into_iter().min_by_key(|at| (self.cost(*at), *at)) else { return Ok(false) };
        let count = self.class_count(column);
        for class in order(&self.graph.columns[column as usize], count) {
            let rest = self.specialise(formula, column, class);
            chosen.push((column, class));
            let done = self.search(rest, chosen, order, found)?;
            chosen.pop();
            if done {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The graph of all chains.
    pub(crate) fn finish(self) -> Graph {
        self.graph
    }

    /// The columns of a chain, and by which of their tests each leaf is known.
    fn columns_of(&mut self, rows: &[(Cond, PlanIdx)]) -> Vec<(Cond, u32, u32)> {
        let mut leaves: Vec<&Cond> = Vec::new();
        rows.iter().for_each(|(cond, _)| collect(cond, &mut leaves));
        let mut groups: Vec<((&Field, Kind), Vec<&Test>)> = Vec::new();
        let mut alone: Vec<&Cond> = Vec::new();
        for leaf in leaves {
            match leaf {
                Cond::Test(field, test) if column::kind(field, test) != Kind::Holds => {
                    let key = (field, column::kind(field, test));
                    match groups.iter_mut().find(|(k, _)| *k == key) {
                        Some((_, tests)) => tests.push(test),
                        None => groups.push((key, vec![test])),
                    }
                }
                leaf => alone.push(leaf),
            }
        }
        let mut found = Vec::new();
        for ((field, kind), tests) in groups {
            let owned: Vec<Test> = tests.iter().map(|t| (*t).clone()).collect();
            let leaf = |test: &Test| Cond::Test(field.clone(), test.clone());
            match self.class_column(field, kind, owned) {
                Some(column) => {
                    found.extend((0..).zip(&tests).map(|(at, test)| (leaf(test), column, at)));
                }
                None => found.extend(tests.iter().map(|test| {
                    let leaf = leaf(test);
                    let column = self.holds_column(&leaf);
                    (leaf, column, 0)
                })),
            }
        }
        found.extend(alone.into_iter().map(|leaf| (leaf.clone(), self.holds_column(leaf), 0)));
        found
    }

    fn class_column(&mut self, field: &Field, kind: Kind, tests: Vec<Test>) -> Option<u32> {
        let name = format!("{field:?} {kind:?}");
        for at in self.columns.get(&name).into_iter().flatten() {
            if matches!(&self.graph.columns[*at as usize], Asked::Class(column) if column.tests == tests) {
                return Some(*at);
            }
        }
        let column = Column::new(field.clone(), kind, tests)?;
        Some(self.add_column(name, Asked::Class(column)))
    }

    fn holds_column(&mut self, leaf: &Cond) -> u32 {
        let name = format!("{leaf:?}");
        match self.columns.get(&name) {
            Some(known) => known[0],
            None => self.add_column(name, Asked::Holds(leaf.clone())),
        }
    }

    fn add_column(&mut self, name: String, asked: Asked) -> u32 {
        let at = u32::try_from(self.graph.columns.len()).expect("no more columns than conditions");
        self.reads.push(self.reads_of(at, &asked));
        self.graph.columns.push(asked);
        self.columns.entry(name).or_default().push(at);
        at
    }

    fn reads_of(&self, at: u32, asked: &Asked) -> Option<Reads> {
        let leaf = asked.leaf();
        let mut calls = Vec::new();
        fields::each_read(&leaf, &mut |field| calls.extend(fields::call_of(field)));
        if calls.is_empty() {
            return None;
        }
        let before = (0..).zip(&self.graph.columns);
        let same = before.into_iter().find(|(_, known)| asking::one_subject(&known.leaf(), &leaf));
        let subject = same.map_or(at, |(first, _)| first);
        let tells = asking::call_of(&leaf).map_or(Told::Column(subject), Told::Call);
        Some(Reads { calls, tells })
    }

    fn formula_of(&mut self, cond: &Cond, columns: &[(Cond, u32, u32)]) -> FormulaId {
        match cond {
            Cond::Const(value) => FormulaId::from(*value),
            Cond::Test(..) | Cond::Relate(..) => {
                let (_, column, test) =
                    columns.iter().find(|(leaf, _, _)| leaf == cond).expect("every leaf was given a column");
                self.formula(Formula::Test(*column, *test))
            }
            Cond::Not(inner) => {
                let inner = self.formula_of(inner, columns);
                self.not(inner)
            }
            Cond::And(all) => {
                let all = all.iter().map(|c| self.formula_of(c, columns)).collect();
                self.join(all, true)
            }
            Cond::Or(all) => {
                let all = all.iter().map(|c| self.formula_of(c, columns)).collect();
                self.join(all, false)
            }
        }
    }

    fn formula(&mut self, formula: Formula) -> FormulaId {
        if let Some(known) = self.formula_ids.get(&formula) {
            return *known;
        }
        let id = FormulaId::try_from(self.formulas.len()).expect("steps are bounded");
        self.formulas.push(formula.clone());
        self.formula_ids.insert(formula, id);
        id
    }

    fn not(&mut self, inner: FormulaId) -> FormulaId {
        match self.formulas[inner as usize] {
            Formula::Const(value) => FormulaId::from(!value),
            Formula::Not(inner) => inner,
            Formula::Test(..) | Formula::And(_) | Formula::Or(_) => self.formula(Formula::Not(inner)),
        }
    }

    /// `and` of all, or `or`.
    fn join(&mut self, mut all: Vec<FormulaId>, and: bool) -> FormulaId {
        let (neutral, strong) = if and { (TRUE, FALSE) } else { (FALSE, TRUE) };
        if all.contains(&strong) {
            return strong;
        }
        // Their order stays as written: calls are asked in it.
        let mut seen = HashSet::new();
        all.retain(|id| *id != neutral && seen.insert(*id));
        match &*all {
            [] => neutral,
            [one] => *one,
            _ if and => self.formula(Formula::And(all.into())),
            _ => self.formula(Formula::Or(all.into())),
        }
    }

    /// A formula when a column has a class.
    fn specialise(&mut self, id: FormulaId, column: u32, class: ClassId) -> FormulaId {
        if let Some(known) = self.specialised.get(&(id, column, class)) {
            return *known;
        }
        let result = match self.formulas[id as usize].clone() {
            Formula::Const(_) => id,
            Formula::Test(of, test) if of == column => FormulaId::from(self.holds(column, class, test)),
            Formula::Test(..) => id,
            Formula::Not(inner) => {
                let inner = self.specialise(inner, column, class);
                self.not(inner)
            }
            Formula::And(all) => {
                let all = all.iter().map(|id| self.specialise(*id, column, class)).collect();
                self.join(all, true)
            }
            Formula::Or(all) => {
                let all = all.iter().map(|id| self.specialise(*id, column, class)).collect();
                self.join(all, false)
            }
        };
        self.specialised.insert((id, column, class), result);
        result
    }

    fn holds(&self, column: u32, class: ClassId, test: u32) -> bool {
        match &self.graph.columns[column as usize] {
            Asked::Class(column) => column.classes[class as usize][test as usize],
            Asked::Holds(_) => class == 1,
        }
    }

    fn class_count(&self, column: u32) -> ClassId {
        match &self.graph.columns[column as usize] {
            Asked::Class(column) => ClassId::try_from(column.classes.len()).expect("classes are numbered so"),
            Asked::Holds(_) => 2,
        }
    }

    fn build(&mut self, mut rows: Vec<(FormulaId, Ref)>, mut known: Known) -> Option<Ref> {
        rows.retain(|(formula, _)| *formula != FALSE);
        if let Some(last) = rows.iter().position(|(formula, _)| *formula == TRUE) {
            rows.truncate(last + 1);
        }
        let (first, leaf) = *rows.first()?;
        if first == TRUE {
            return Some(leaf);
        }
        self.forget(&mut known, &rows);
        let left = (rows, known);
        if let Some(built) = self.built.get(&left) {
            return Some(*built);
        }
        self.left.steps = self.left.steps.checked_sub(1)?;
        let (rows, known) = &left;
        let mut columns = Vec::new();
        self.columns_in(first, &mut columns);
        // Of equals this is the first, and calls are equals.
        let column = columns.into_iter().min_by_key(|at| match self.asks(*at, known) {
            Some(_) => (u8::MAX, 0, 0),
            None => (self.cost(*at), self.class_count(*at), *at),
        })?;
        let asks = self.asks(column, known);
        let mut then = known.clone();
        then.extend(asks);
        then.sort_unstable();
        let mut targets = Vec::new();
        for class in 0..self.class_count(column) {
            let rows = rows.iter().map(|(id, leaf)| (self.specialise(*id, column, class), *leaf)).collect();
            targets.push(self.build(rows, then.clone())?);
        }
        let built = match asks.is_none() && targets.iter().all(|t| *t == targets[0]) {
            true => targets[0],
            // A call is asked even where it changes nothing: whether it can be known may.
            false => self.node(column, targets.into())?,
        };
        self.built.insert(left, built);
        Some(built)
    }

    /// What asking a column tells of calls that are not known; `None` where it reads no such call.
    fn asks(&self, column: u32, known: &Known) -> Option<Told> {
        let reads = self.reads[column as usize].as_ref()?;
        let has = |told: &Told| known.binary_search(told).is_ok();
        let all = reads.calls.iter().all(|call| has(&Told::Call(*call)));
        (!all && !has(&reads.tells)).then_some(reads.tells)
    }

    /// Forgets what no row speaks of: they are built once, however they are reached.
    fn forget(&self, known: &mut Known, rows: &[(FormulaId, Ref)]) {
        if known.is_empty() {
            return;
        }
        let mut columns = Vec::new();
        rows.iter().for_each(|(formula, _)| self.columns_in(*formula, &mut columns));
        let read = || columns.iter().filter_map(|at| self.reads[*at as usize].as_ref());
        known.retain(|told| match told {
            Told::Call(call) => read().any(|reads| reads.calls.contains(call)),
            Told::Column(_) => read().any(|reads| reads.tells == *told),
        });
    }

    fn node(&mut self, column: u32, targets: Box<[Ref]>) -> Option<Ref> {
        let key = (column, targets);
        if let Some(known) = self.nodes.get(&key) {
            return Some(*known);
        }
        self.left.nodes = self.left.nodes.checked_sub(1)?;
        let start = u32::try_from(self.graph.targets.len()).ok()?;
        self.graph.targets.extend_from_slice(&key.1);
        self.graph.nodes.push((column, start));
        let node = Ref::new(self.graph.nodes.len() - 1, NODE);
        self.nodes.insert(key, node);
        Some(node)
    }

    fn columns_in(&self, id: FormulaId, found: &mut Vec<u32>) {
        match &self.formulas[id as usize] {
            Formula::Const(_) => {}
            Formula::Test(column, _) => found.push(*column),
            Formula::Not(inner) => self.columns_in(*inner, found),
            Formula::And(all) | Formula::Or(all) => all.iter().for_each(|id| self.columns_in(*id, found)),
        }
    }

    /// What asking costs: what is at hand, an address, a capture, what has to be searched for.
    fn cost(&self, column: u32) -> u8 {
        match &self.graph.columns[column as usize] {
            Asked::Holds(_) => 9,
            Asked::Class(column) => match &column.field {
                Field::Method | Field::Version | Field::Host | Field::Path | Field::Size => 0,
                Field::TlsSni | Field::TlsVersion | Field::TlsAlpn | Field::QueryString => 1,
                Field::ClientIp | Field::ClientPort | Field::TlsCert(_) => 2,
                Field::Capture(_) | Field::Uri | Field::ClientCountry => 3,
                Field::Cookie(_) => 4,
                Field::Header(_) => 5,
                Field::Query(_) => 6,
                Field::Row(_) => 7,
                // Last: they may have to be worked out.
                Field::Call(..) | Field::Claim(..) | Field::Body(..) => 8,
            },
        }
    }
}

/// The leaves of a condition, each once.
fn collect<'c>(cond: &'c Cond, leaves: &mut Vec<&'c Cond>) {
    match cond {
        Cond::Const(_) => {}
        Cond::Test(..) | Cond::Relate(..) => {
            if !leaves.contains(&cond) {
                leaves.push(cond);
            }
        }
        Cond::Not(inner) => collect(inner, leaves),
        Cond::And(all) | Cond::Or(all) => all.iter().for_each(|c| collect(c, leaves)),
    }
}
