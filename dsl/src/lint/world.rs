//! What the routing lints ask about a site: who competes with whom, and requests that show it.

use super::solve::{Sat, describe, solve};
use crate::check::cond::{and, not};
use crate::check::{EntryInfo, SiteInfo};
use crate::diagnostic::Diagnostic;
use crate::region::Algebra;
use crate::syntax::span::Loc;
use crate::tree::calls::Outcome;
use crate::tree::ir::{CallIdx, Class, Cond, Entry, PathPattern, PlanIdx, Scope, ScopeIdx, Segment, Site, Target, Tls};
use crate::tree::pattern::segments;
use crate::tree::request::Plain;
use crate::tree::{Decision, Program, interpret_near};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

/// More competitors than this are not looked at one by one.
pub(super) const MANY: usize = 512;

/// An entry of a site: scope and position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct At {
    pub(super) scope: usize,
    pub(super) entry: usize,
}

/// A site under the linter.
pub(super) struct World<'a> {
    pub(super) program: &'a Program,
    pub(super) site: &'a Site,
    pub(super) info: &'a SiteInfo,
    pub(super) text: &'a str,
    pub(super) paths: Algebra,
    /// The entry that leads into a scope.
    pub(super) leads: Vec<Option<At>>,
    index: Vec<Index>,
    base: Plain,
    pub(super) views: super::view::Views,
    /// Where the lines of the text end.
    lines: OnceCell<Vec<usize>>,
    pub(super) out: Vec<Diagnostic>,
}

impl<'a> World<'a> {
    pub(super) fn new(program: &'a Program, info: &'a SiteInfo, text: &'a str) -> Self {
        let site: &Site = program.site();
        let mut leads = vec![None; site.scopes.len()];
        for (scope, s) in site.scopes.iter().enumerate() {
            for (entry, e) in s.entries.iter().enumerate() {
                if let Target::Scope(inner) = e.target {
                    leads[inner.0 as usize] = Some(At { scope, entry });
                }
            }
        }
        let host = site
            .hosts
            .iter()
            .find_map(|(h, _)| h.literal())
            .or_else(|| site.hosts.first().and_then(|(h, _)| Algebra::hosts().host_example(h).ok().flatten()));
        let mut base =
            Plain { host: host.unwrap_or_default(), https: site.settings.tls != Tls::Off, ..Plain::default() };
        for call in 0..site.calls.len() {
            base.calls.suppose(CallIdx(u32::try_from(call).unwrap_or(u32::MAX)), Outcome::No);
        }
        let index = site.scopes.iter().map(Index::new).collect();
        Self {
            program,
            site,
            info,
            text,
            paths: Algebra::paths(),
            leads,
            index,
            base,
            views: Default::default(),
            lines: OnceCell::new(),
            out: Vec::new(),
        }
    }

    pub(super) fn entry(&self, at: At) -> &'a Entry {
        &self.site.scopes[at.scope].entries[at.entry]
    }

    pub(super) fn entry_info(&self, at: At) -> EntryInfo {
        self.info.scopes[at.scope].entries[at.entry]
    }

    /// Every entry of every scope.
    pub(super) fn entries(&self) -> Vec<At> {
        let scopes = self.site.scopes.iter().enumerate();
        scopes.flat_map(|(scope, s)| (0..s.entries.len()).map(move |entry| At { scope, entry })).collect()
    }

    /// The entries that lead to a scope, outermost first.
    pub(super) fn chain(&self, scope: usize) -> Vec<At> {
        let mut chain = Vec::new();
        let mut at = scope;
        while let Some(lead) = self.leads[at] {
            chain.push(lead);
            at = lead.scope;
        }
        chain.reverse();
        chain
    }

    /// The conditions under which a scope is entered.
    pub(super) fn entered(&self, scope: usize) -> Cond {
        and(self.chain(scope).into_iter().map(|at| self.entry(at).guard.clone()).collect())
    }

    /// Whether a plan answers requests that an entry took.
    pub(super) fn leads_to(&self, at: At, plan: PlanIdx) -> bool {
        match self.entry(at).target {
            Target::Plan(p) => p == plan,
            Target::Scope(s) => self.scope_has(s.0 as usize, plan),
        }
    }

    fn scope_has(&self, scope: usize, plan: PlanIdx) -> bool {
        let s: &Scope = &self.site.scopes[scope];
        s.miss == plan || (0..s.entries.len()).any(|entry| self.leads_to(At { scope, entry }, plan))
    }

    /// The plans behind an entry, misses included.
    pub(super) fn plans(&self, at: At) -> Vec<PlanIdx> {
        let mut out = Vec::new();
        self.push_plans(at, &mut out);
        out
    }

    fn push_plans(&self, at: At, out: &mut Vec<PlanIdx>) {
        match self.entry(at).target {
            Target::Plan(p) => out.push(p),
            Target::Scope(s) => {
                let scope = s.0 as usize;
                out.push(self.site.scopes[scope].miss);
                (0..self.site.scopes[scope].entries.len()).for_each(|entry| self.push_plans(At { scope, entry }, out));
            }
        }
    }

    /// Entries of a scope whose patterns may overlap this one.
    pub(super) fn near(&self, scope: usize, pattern: &PathPattern) -> Vec<At> {
        self.index[scope].near(pattern).into_iter().map(|entry| At { scope, entry }).collect()
    }

    /// Whether one entry of a scope is asked before another one, where both match.
    pub(super) fn before(&mut self, a: At, b: At) -> bool {
        let (first, second) = if a.entry < b.entry { (a, b) } else { (b, a) };
        let patterns = [&self.entry(first).pattern, &self.entry(second).pattern];
        match crate::tree::order::order(&patterns, &mut self.paths) {
            Ok(order) => (order[0] == 0) == (first == a),
            // Such a site does not compile.
            Err(_) => false,
        }
    }

    /// Entries that take requests on some paths of this entry's before it is asked: its elders in its
    /// own scope and in the scopes around it.
    pub(super) fn elders(&mut self, at: At) -> Vec<At> {
        let pattern = &self.entry(at).pattern;
        let mut levels = self.chain(at.scope);
        levels.push(at);
        let mut out = Vec::new();
        for level in levels {
            for other in self.near(level.scope, pattern) {
                if other != level
                    && matches!(self.paths.path_overlap(&self.entry(other).pattern, pattern), Ok(Some(_)))
                    && self.before(other, level)
                {
                    out.push(other);
                }
            }
        }
        out
    }

    /// A request on this path that makes the condition hold and that nobody of these takes.
    pub(super) fn request(&mut self, path: &str, holds: &Cond, elders: &[At]) -> Sat {
        let mut all = vec![holds.clone()];
        for elder in elders {
            let entry = self.entry(*elder);
            if entry.pattern.matches(path) {
                all.push(not(entry.guard.clone()));
            }
        }
        let base = Plain { path: path.to_owned(), ..self.base.clone() };
        solve(&and(all), &base, &mut self.paths)
    }

    /// Where a request goes, asked of the program and of the interpreter.
    pub(super) fn decide(&mut self, request: &Plain, about: Loc) -> Option<PlanIdx> {
        let decided = self.program.decide(request);
        // Of many routes the interpreter is told which can match the path at all.
        let of_path = PathPattern {
            segments: segments(&request.path).map(|text| Segment::Lit(text.into())).collect(),
            splat: false,
        };
        let index = &self.index;
        let near = |scope: ScopeIdx| Some(index[scope.0 as usize].near(&of_path));
        let oracle = interpret_near(self.site, request, &mut self.paths, &near);
        if decided != oracle {
            let shown = self.describe(request);
            self.out.push(super::g0003::disagree(about, &shown));
            return None;
        }
        match decided {
            Decision::Plan(plan) => Some(plan),
            Decision::Conflict(_) => None,
        }
    }

    /// A request, with what its calls are supposed to say where that is yes.
    pub(super) fn describe(&self, request: &Plain) -> String {
        let mut out = describe(request);
        for (at, call) in self.site.calls.iter().enumerate() {
            let at = CallIdx(u32::try_from(at).unwrap_or(u32::MAX));
            if let Some(Outcome::Yes(claims)) = request.calls.outcome(at) {
                out.push_str(&format!(" with a yes of {}", call.shown));
                for (name, value) in claims.iter() {
                    out.push_str(&format!(", {name}={value}"));
                }
            }
        }
        out
    }

    /// Whether the program alone sends a request to a plan; findings still go through [`Self::decide`].
    pub(super) fn reaches(&self, request: &Plain, at: At) -> bool {
        matches!(self.program.decide(request), Decision::Plan(plan) if self.leads_to(at, plan))
    }

    /// A request that an entry takes, if one is found by the plain way: its pattern's example, its guards.
    pub(super) fn plain_witness(&mut self, at: At) -> Option<Plain> {
        let entry = self.entry(at);
        let guard = and(vec![self.entered(at.scope), entry.guard.clone()]);
        let example = self.example(&entry.pattern)?;
        let mut paths = vec![example.clone()];
        if entry.pattern.splat {
            let stem = example.trim_end_matches('/');
            paths.extend(["x", "x/x", "other", "-/-"].iter().map(|more| format!("{stem}/{more}")));
        }
        for path in paths {
            if let Sat::Yes(request) = self.request(&path, &guard, &[])
                && self.reaches(&request, at)
            {
                return Some(*request);
            }
        }
        None
    }

    /// An entry as its author wrote it: its absolute pattern, or the first word of a pathless form.
    pub(super) fn shown(&self, at: At) -> String {
        let info = self.entry_info(at);
        match info.pattern {
            Some(p) if self.source(p).starts_with('/') => self.source(p).to_owned(),
            Some(_) => super::show::path(&self.entry(at).pattern),
            None => self.source(info.stmt).split_whitespace().next().unwrap_or("else").to_owned(),
        }
    }

    /// A path that a pattern matches; the algebra is asked only where nothing plainer will do.
    pub(super) fn example(&mut self, pattern: &PathPattern) -> Option<String> {
        let mut path = String::new();
        for segment in &pattern.segments {
            path.push('/');
            match segment {
                Segment::Lit(text) => path.push_str(text),
                Segment::Capture { prefix, class, suffix } => {
                    let value = match class {
                        Class::Any => "x",
                        Class::Int => "7",
                        Class::Set(all) => &*all[0],
                        Class::Uuid => "123e4567-e89b-42d3-a456-426614174000",
                        Class::Regex(_) => return self.paths.path_example(pattern).ok().flatten(),
                    };
                    path.push_str(prefix);
                    path.push_str(value);
                    path.push_str(suffix);
                }
            }
        }
        Some(if path.is_empty() { "/".to_owned() } else { path })
    }

    /// A condition of an entry as it is written, captures by their names.
    pub(super) fn named(&self, at: At, cond: &str) -> String {
        let names = &self.entry(at).names;
        names.iter().fold(cond.to_owned(), |text, (capture, name)| text.replace(&capture.to_string(), name))
    }

    /// The line of a place, in words.
    pub(super) fn line(&self, loc: Loc) -> String {
        match self.text.get(..loc.span.start as usize).filter(|_| loc.file == self.site.loc.file) {
            Some(before) => {
                let lines = self.lines.get_or_init(|| self.text.match_indices('\n').map(|(at, _)| at).collect());
                format!("line {}", lines.partition_point(|at| *at < before.len()) + 1)
            }
            None => "a policy's route".to_owned(),
        }
    }

    /// The spaces before a statement, where it begins its line in the file at hand.
    pub(super) fn indent(&self, stmt: Loc) -> Option<&'a str> {
        if self.source(stmt).is_empty() {
            return None;
        }
        let before = &self.text[..stmt.span.start as usize];
        Some(&before[before.rfind('\n').map_or(0, |n| n + 1)..]).filter(|i| i.trim().is_empty())
    }

    /// Source text, where it is in the file at hand.
    pub(super) fn source(&self, loc: Loc) -> &'a str {
        if loc.file == self.site.loc.file { self.text.get(loc.span.range()).unwrap_or("") } else { "" }
    }
}

/// The patterns of a scope, by their segments.
struct Index {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    literals: HashMap<Arc<str>, usize>,
    captures: Vec<(Segment, usize)>,
    exact: Vec<usize>,
    splat: Vec<usize>,
}

impl Index {
    fn new(scope: &Scope) -> Self {
        let mut index = Self { nodes: vec![Node::default()] };
        for (n, entry) in scope.entries.iter().enumerate() {
            let mut at = 0;
            for segment in &entry.pattern.segments {
                at = index.child(at, segment);
            }
            let node = &mut index.nodes[at];
            if entry.pattern.splat { node.splat.push(n) } else { node.exact.push(n) }
        }
        index
    }

    fn child(&mut self, at: usize, segment: &Segment) -> usize {
        let fresh = self.nodes.len();
        let node = &mut self.nodes[at];
        let found = match segment {
            Segment::Lit(text) => *node.literals.entry(Arc::clone(text)).or_insert(fresh),
            Segment::Capture { .. } => match node.captures.iter().find(|(s, _)| s == segment) {
                Some((_, child)) => *child,
                None => {
                    node.captures.push((segment.clone(), fresh));
                    fresh
                }
            },
        };
        if found == fresh {
            self.nodes.push(Node::default());
        }
        found
    }

    /// Entries that may overlap a pattern, in source order.
    fn near(&self, pattern: &PathPattern) -> Vec<usize> {
        let mut out = Vec::new();
        self.collect(0, &pattern.segments, pattern.splat, &mut out);
        out.sort_unstable();
        out
    }

    fn collect(&self, at: usize, rest: &[Segment], splat: bool, out: &mut Vec<usize>) {
        let node = &self.nodes[at];
        out.extend(&node.splat);
        match rest.split_first() {
            None => {
                out.extend(&node.exact);
                if splat {
                    for child in node.literals.values().chain(node.captures.iter().map(|(_, c)| c)) {
                        self.collect(*child, rest, splat, out);
                    }
                }
            }
            Some((segment @ Segment::Lit(text), rest)) => {
                if let Some(child) = node.literals.get(text) {
                    self.collect(*child, rest, splat, out);
                }
                for (other, child) in &node.captures {
                    if let Segment::Lit(text) = segment
                        && other.matches(text)
                    {
                        self.collect(*child, rest, splat, out);
                    }
                }
            }
            Some((segment, rest)) => {
                for (text, child) in &node.literals {
                    if segment.matches(text) {
                        self.collect(*child, rest, splat, out);
                    }
                }
                for (_, child) in &node.captures {
                    self.collect(*child, rest, splat, out);
                }
            }
        }
    }
}
